"""The pool behind a real gateway: loading once, waiting in order, switching models."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.server.conftest import Gateway, GatewayMaker, chat
from tests.support.workers import fake_log, is_running, wait_for_event, wait_until


def loaded_pids(gateway: Gateway, key: str) -> list[int]:
    return [note["pid"] for note in fake_log(gateway.file(key)) if note["event"] == "loaded"]


def test_twenty_requests_at_once_load_their_model_once_and_never_crowd_it(gateway: Gateway):
    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda _: gateway.ask(chat()).status_code, range(20)))
    assert replies == [200] * 20
    notes = fake_log(gateway.file("first"))
    assert sum(note["event"] == "loaded" for note in notes) == 1
    assert max(note["running"] for note in notes if note["event"] == "start") <= 2


def test_another_model_waits_until_the_answers_in_progress_are_finished_then_switches(gateway: Gateway):
    with ExitStack() as later:
        with gateway.asking(chat("#slow", stream=True)):
            wait_for_event(gateway.file("first"), event="start")
            other = later.enter_context(gateway.asking(chat(model="second")))
            gateway.wait_for_queue(1)
            late = later.enter_context(gateway.asking(chat()))
            gateway.wait_for_queue(2)  # the late one may not go into a model that is being drained
            (pid,) = loaded_pids(gateway, "first")
            assert is_running(pid)
            assert loaded_pids(gateway, "second") == []
        assert other.getresponse().status == 200
        assert not is_running(pid)
        assert late.getresponse().status == 200
    assert len(loaded_pids(gateway, "first")) == 2


def test_a_switch_leaves_only_the_second_model_in_memory(gateway: Gateway):
    assert gateway.ask(chat()).status_code == 200
    (first,) = loaded_pids(gateway, "first")
    assert gateway.ask(chat(model="second")).json()["model"] == "second"
    assert not is_running(first)
    assert [model["id"] for model in gateway.health()["models"]] == ["second"]


def test_with_room_for_two_both_stay_loaded(make_gateway: GatewayMaker):
    with make_gateway(max_loaded=2) as gateway:
        gateway.ask(chat())
        gateway.ask(chat(model="second"))
        gateway.ask(chat())
        assert sorted(model["id"] for model in gateway.health()["models"]) == ["first", "second"]
        assert len(loaded_pids(gateway, "first")) == 1


def test_a_full_queue_refuses_with_a_time_to_come_back(make_gateway: GatewayMaker):
    with make_gateway(parallel=1, queue_limit=1) as gateway, gateway.asking(chat("#slow", stream=True)):
        wait_for_event(gateway.file("first"), event="start")
        with gateway.asking(chat()):
            gateway.wait_for_queue(1)
            reply = gateway.ask(chat())
            assert reply.status_code == 503
            assert int(reply.headers["retry-after"]) > 0
            assert reply.json()["error"]["code"] == "queue_full"


def test_the_models_are_listed_with_what_is_loaded(make_gateway: GatewayMaker):
    with make_gateway(context_length=1024) as gateway:
        gateway.ask(chat())
        models = {model["id"]: model for model in gateway.client.get("/v1/models").json()["data"]}
        assert set(models) == {"first", "second"}
        first, second = models["first"], models["second"]
        assert (first["state"], first["loaded_context_length"]) == ("loaded", 1024)
        assert (second["state"], second["loaded_context_length"]) == ("not-loaded", None)
        assert first["max_context_length"] == 2048
        assert first["created"] == int(gateway.file("first").stat().st_mtime)
        assert gateway.client.get("/v1/models/first").json() == first


def test_a_broken_file_is_left_out_of_the_list(gateway: Gateway):
    gateway.file("second").write_bytes(b"GGUF")
    assert [model["id"] for model in gateway.client.get("/v1/models").json()["data"]] == ["first"]


def test_a_model_that_is_added_while_the_gateway_runs_is_found(gateway: Gateway):
    gateway.client.get("/v1/models")
    late = gateway.file("late")
    late.parent.mkdir()
    late.write_bytes(gateway.file("first").read_bytes())
    assert gateway.ask(chat(model="late")).status_code == 200


def test_a_worker_that_dies_idle_is_noticed(gateway: Gateway):
    gateway.ask(chat())
    (pid,) = loaded_pids(gateway, "first")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gateway.health()["models"] == [], "the pool's notice")
    assert gateway.ask(chat()).status_code == 200
