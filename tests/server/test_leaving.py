"""Nothing runs on for nobody: a client that leaves frees its place, wherever its request is."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from tests.server.conftest import Gateway, GatewayMaker, chat
from tests.support.compatibility import compatible
from tests.support.workers import fake_log, wait_for_event, wait_until

NEVER_READY = (sys.executable, "-c", "import time; time.sleep(3600)")
either = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def starts(gateway: Gateway) -> int:
    return sum(note["event"] == "start" for note in fake_log(gateway.file("first")))


@compatible("Every route", "closing the connection stops the answer", "better", "while the prompt is computed too")
@either
@pytest.mark.parametrize("phase", ["#prefill", "#slow"])
def test_a_client_that_leaves_frees_its_slot(gateway: Gateway, stream: bool, phase: str):
    with gateway.asking(chat(phase, stream=stream)):
        wait_for_event(gateway.file("first"), event="start", prompt=phase)
        gateway.wait_for_running(1)
    wait_for_event(gateway.file("first"), event="end", how="client left")
    gateway.wait_for_running(0)


@either
def test_a_client_that_leaves_in_the_queue_never_reaches_the_worker(make_gateway: GatewayMaker, stream: bool):
    with make_gateway(parallel=1) as gateway, gateway.asking(chat("#slow", stream=True)):
        wait_for_event(gateway.file("first"), event="start")
        with gateway.asking(chat(stream=stream)):
            gateway.wait_for_queue(1)
        gateway.wait_for_queue(0)
        assert gateway.running() == 1
        assert starts(gateway) == 1


@either
def test_a_load_is_cancelled_when_its_last_client_leaves(make_gateway: GatewayMaker, stream: bool):
    with make_gateway(NEVER_READY) as gateway:
        with gateway.asking(chat(stream=stream)):
            gateway.wait_for_queue(1)
            with gateway.asking(chat(stream=stream)):
                gateway.wait_for_queue(2)
            gateway.wait_for_queue(1)
            assert [model["state"] for model in gateway.health()["models"]] == ["loading"]
        wait_until(lambda: gateway.health()["models"] == [], "the load's end")


def test_who_waits_gets_the_place_of_who_leaves(make_gateway: GatewayMaker):
    with make_gateway(parallel=1) as gateway, ExitStack() as later:
        with gateway.asking(chat("#slow", stream=True)):
            gateway.wait_for_running(1)
            second = later.enter_context(gateway.asking(chat()))
            gateway.wait_for_queue(1)
        assert second.getresponse().status == 200
