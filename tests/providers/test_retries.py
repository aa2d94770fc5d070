"""Asking again: only where nothing is generated twice, never behind the caller's back, and never for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import roci
from roci import LmStudioProvider, ModelMessage, ProviderRequest, RetryPolicy, Timeouts
from tests.support.canned_server import CannedServer, Reply, Request, canned_server, chunk, completion
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
LIST = "GET /v1/models"
GOOD_LIST = Reply.json({"data": [{"id": "m"}]})
WHOLE = Reply.json(completion())
STREAM = Reply.events(chunk("Hello."), chunk(finish="stop"))


def busy(status: int = 503, **headers: str) -> Reply:
    return Reply.json({"error": {"message": "no room", "type": "x"}}, status, **{"retry-after": "0", **headers})


def first(*replies: Reply) -> Callable[[Request], Reply]:
    """Each reply once, and the last for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def provider(server: CannedServer, **kwargs: Any) -> LmStudioProvider:
    return LmStudioProvider("m", base_url=server.url, **kwargs)


def asked(**fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user("hi"),), **fields)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_and_the_receipt_says_so(status: int, twin: Twin) -> None:
    with canned_server({CHAT: first(busy(status), busy(status), WHOLE)}) as server:
        response = twin.call(provider(server), "generate_text", asked())

    assert (response.text, len(server.requests)) == ("Hello.", 3)
    assert [retry.reason for retry in response.receipt.retries] == ["no room", "no room"]
    assert all(retry.generated_tokens == 0 for retry in response.receipt.retries)


def test_a_busy_server_is_asked_again_for_a_stream_too(twin: Twin) -> None:
    with canned_server({CHAT: first(busy(), STREAM)}) as server:
        result = twin.streamed(provider(server), asked())

    assert (result.text, len(server.requests), len(result.receipt.retries)) == ("Hello.", 2, 1)


def test_a_server_that_stays_busy_is_given_up_with_a_receipt(twin: Twin) -> None:
    with canned_server({CHAT: busy()}) as server:
        with pytest.raises(roci.ServerBusyError) as caught:
            twin.call(provider(server), "generate_text", asked())
        with pytest.raises(roci.ServerBusyError) as streamed:
            twin.streamed(provider(server), asked())

    assert len(server.requests) == 6
    assert len(caught.value.receipt.retries) == len(streamed.value.receipt.retries) == 2


@pytest.mark.parametrize(
    "reply",
    [
        busy(**{"retry-after": "31"}),
        busy(**{"x-should-retry": "false"}),
        Reply.json({"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}}, 429),
        Reply.json({"error": {"message": "died", "type": "x", "code": "worker_died"}}, 503),
        Reply.json({"error": "no"}, 500),
        Reply.json({"error": "no"}, 400),
        Reply.text("<html>", status=502),
        Reply.text("<html>", status=504),
    ],
)
def test_what_may_have_generated_or_cannot_pass_is_asked_once(reply: Reply, twin: Twin) -> None:
    with canned_server({CHAT: reply}) as server, pytest.raises(roci.ReplyError) as caught:
        twin.call(provider(server), "generate_text", asked())

    assert len(server.requests) == 1
    assert caught.value.receipt.retries == ()


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_that_did_not_reach_the_server_is_asked_again_for_a_stream(status: int, twin: Twin) -> None:
    with canned_server({CHAT: first(Reply.text("<html>", status=status), STREAM)}) as server:
        model = provider(server, retries=RetryPolicy(max_retries=1))
        assert twin.streamed(model, asked()).text == "Hello."

    assert len(server.requests) == 2


def test_a_list_is_asked_again_where_a_generation_would_not_be(twin: Twin) -> None:
    cut = Reply(200, {"content-length": "10"}, [], chunked=False, cut=True)
    with canned_server({"GET /api/v1/models": first(cut, Reply.json({"models": []}))}) as server:
        assert twin.call(provider(server), "list_models") == []
        assert len(server.requests) == 2

    with canned_server({CHAT: first(cut, WHOLE)}) as server:
        with pytest.raises(roci.ConnectionLostError) as caught:
            twin.call(provider(server), "generate_text", asked())
        assert len(server.requests) == 1
    assert caught.value.receipt.model_asked == "m"


def test_a_stream_that_has_begun_is_never_begun_again(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(chunk("Hel"), done=False, cut=True)}) as server:
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.streamed(provider(server), asked())
        assert len(server.requests) == 1

    assert caught.value.partial.text == "Hel"
    assert caught.value.receipt == caught.value.partial.receipt
    assert caught.value.receipt.time_to_first_token_s is not None


def test_nobody_there_is_told_at_once(twin: Twin) -> None:
    with canned_server({}) as server:
        pass
    with pytest.raises(roci.ServerUnreachableError) as caught:
        twin.call(provider(server), "generate_text", asked())

    assert caught.value.receipt.retries == ()


def test_retries_can_be_switched_off(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROCI_MAX_RETRIES", "0")
    with canned_server({CHAT: busy()}) as server:
        with pytest.raises(roci.ServerBusyError):
            twin.call(provider(server), "generate_text", asked())
        assert len(server.requests) == 1
        with pytest.raises(roci.ServerBusyError):
            twin.call(provider(server, retries=RetryPolicy(max_retries=1)), "generate_text", asked())
        assert len(server.requests) == 3


@pytest.mark.parametrize("value", ["-1", "many", "99"])
def test_a_number_of_retries_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROCI_MAX_RETRIES", value)
    with pytest.raises(roci.ConfigError, match="ROCI_MAX_RETRIES"):
        roci.RociConfig.from_env()


@pytest.mark.parametrize("limits", [Timeouts(total_s=5), Timeouts(first_token_s=5)])
def test_a_wait_that_the_time_outs_do_not_allow_is_not_begun(limits: Timeouts, twin: Twin) -> None:
    with canned_server({CHAT: busy(**{"retry-after": "20"})}) as server, pytest.raises(roci.ServerBusyError):
        twin.call(provider(server, timeouts=limits), "generate_text", asked())

    assert len(server.requests) == 1


def test_time_outs_count_from_the_first_attempt(twin: Twin) -> None:
    silent = Reply(200, {"content-type": "application/json"}, [60.0])
    with canned_server({CHAT: first(busy(**{"retry-after": "1"}), silent)}) as server:
        with pytest.raises(roci.TimedOutError) as caught:
            twin.call(provider(server, timeouts=Timeouts(total_s=2)), "generate_text", asked())

    assert (caught.value.phase, len(caught.value.receipt.retries)) == ("total", 1)
    assert "2 s" in str(caught.value)


def test_closing_the_provider_ends_the_wait() -> None:
    with canned_server({CHAT: busy(**{"retry-after": "29"})}) as server:
        model = provider(server)
        failures: list[BaseException] = []

        def call() -> None:
            try:
                model.generate_text(asked())
            except roci.RociError as error:
                failures.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        assert server.asked.wait(10)
        while thread.is_alive():
            model.close()
            thread.join(0.05)

    assert isinstance(failures[0], (roci.ConnectionLostError, roci.ServerBusyError))


async def _cancelled_while_waiting(model: LmStudioProvider, server: CannedServer) -> None:
    task = asyncio.create_task(model.agenerate_text(asked()))
    await asyncio.to_thread(server.asked.wait, 10)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelling_ends_the_wait() -> None:
    with canned_server({CHAT: busy(**{"retry-after": "29"})}) as server:
        started = time.monotonic()
        asyncio.run(_cancelled_while_waiting(provider(server), server))

    assert time.monotonic() - started < 20
    assert len(server.requests) == 1
