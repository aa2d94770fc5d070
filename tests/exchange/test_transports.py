"""Both transports on real sockets: phases that run out, servers that are not there, clients that leave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import roci
from roci import LmStudioProvider, ModelMessage, ProviderRequest, Timeouts
from tests.support.canned_server import CannedServer, Reply, canned_server, chunk, completion
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
FOR_EVER = 60.0


def asked(**fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user("hi"),), **fields)


@pytest.fixture
def endless() -> Iterator[CannedServer]:
    """Streams two words, then nothing more until the client leaves."""
    with canned_server({CHAT: Reply.events(chunk("one"), chunk("two"), FOR_EVER)}) as server:
        yield server


@pytest.fixture
def silent() -> Iterator[CannedServer]:
    """Takes requests and answers none until the client leaves."""

    def wait(_: Any) -> Reply:
        return Reply(200, {"content-type": "text/event-stream"}, [FOR_EVER])

    with canned_server({CHAT: wait}) as server:
        yield server


def test_nothing_at_the_address_lists_what_to_check(twin: Twin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = LmStudioProvider("m", base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(roci.ServerUnreachableError) as caught:
        twin.call(model, "generate_text", asked())
    with pytest.raises(roci.ServerUnreachableError):
        twin.streamed(model, asked())

    text = str(caught.value)
    assert caught.value.base_url == f"http://127.0.0.1:{port}"
    assert caught.value.base_url in text
    for cause in ("The program is running", "Its server is started", f"blocks port {port}", "the right address"):
        assert cause in text
    assert isinstance(caught.value, ConnectionError)


def test_a_host_that_does_not_exist_is_unreachable(twin: Twin) -> None:
    with pytest.raises(roci.ServerUnreachableError, match=r"no-such-host\.invalid"):
        twin.call(LmStudioProvider("m", base_url="http://no-such-host.invalid"), "generate_text", asked())


def test_a_connection_that_does_not_come_about_in_time_is_unreachable(twin: Twin) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as crowd:
        address = full.getsockname()
        for _ in range(4):  # nobody accepts: the queue is full, and the next connection waits
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        model = LmStudioProvider("m", base_url=f"http://127.0.0.1:{address[1]}", timeouts=Timeouts(connect_s=0.3))
        with pytest.raises(roci.ServerUnreachableError, match=r"within 0\.3 s"):
            twin.call(model, "generate_text", asked())


def test_a_first_token_that_never_comes_runs_out(silent: CannedServer, twin: Twin) -> None:
    model = LmStudioProvider("m", base_url=silent.url, timeouts=Timeouts(first_token_s=0.3))
    with pytest.raises(roci.TimedOutError) as streamed:
        twin.streamed(model, asked())

    assert streamed.value.phase == "first_token"
    assert streamed.value.waited_s >= 0.29
    assert "ROCI_TIMEOUT_FIRST_TOKEN_S" in streamed.value.hint
    assert isinstance(streamed.value, TimeoutError)
    assert silent.left.wait(10)


def test_a_plain_reply_that_never_comes_runs_out(twin: Twin) -> None:
    plain = Reply(200, {"content-type": "application/json"}, [FOR_EVER])
    with canned_server({CHAT: plain}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(first_token_s=0.3))
        with pytest.raises(roci.TimedOutError) as caught:
            twin.call(model, "generate_text", asked())
        assert server.left.wait(10)

    assert caught.value.phase == "first_token"
    assert "set max_tokens" in caught.value.hint


def test_a_plain_reply_whose_length_is_bounded_is_not_told_to_bound_it(twin: Twin) -> None:
    plain = Reply(200, {"content-type": "application/json"}, [FOR_EVER])
    with canned_server({CHAT: plain}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(first_token_s=0.3))
        with pytest.raises(roci.TimedOutError) as caught:
            twin.call(model, "generate_text", asked(settings=roci.GenerationSettings(max_tokens=5)))
    assert "max_tokens" not in caught.value.hint


def test_comments_do_not_count_as_a_token(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(*[b": ping\n\n", 0.1] * 100)}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(first_token_s=0.5, gap_s=FOR_EVER))
        with pytest.raises(roci.TimedOutError) as caught:
            twin.streamed(model, asked())

    assert caught.value.phase == "first_token"


def test_a_gap_runs_out_with_what_had_come(endless: CannedServer, twin: Twin) -> None:
    model = LmStudioProvider("m", base_url=endless.url, timeouts=Timeouts(gap_s=0.3))
    with pytest.raises(roci.TimedOutError) as caught:
        twin.streamed(model, asked())

    assert (caught.value.phase, caught.value.partial.text) == ("gap", "onetwo")
    assert endless.left.wait(10)


def test_comments_do_not_fill_a_gap(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(chunk("x"), *[b": ping\n\n", 0.1] * 100)}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(gap_s=0.5))
        with pytest.raises(roci.TimedOutError) as caught:
            twin.streamed(model, asked())

    assert (caught.value.phase, caught.value.partial.text) == ("gap", "x")


def test_a_slow_reader_is_no_gap() -> None:
    reply = Reply.events(chunk("a"), chunk("b"), 2.2, chunk("c"), chunk(finish="stop"))
    with canned_server({CHAT: reply}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(gap_s=2))
        with model.stream_text(asked()) as stream:
            assert next(stream).text == "a"
            assert next(stream).text == "b"
            time.sleep(2.1)  # longer than a gap may be, and the next piece is not there yet
            assert stream.result().text == "abc"


def test_a_gap_may_be_longer_than_the_first_token(twin: Twin) -> None:
    reply = Reply.events(chunk("one"), 1.0, chunk("two"), chunk(finish="stop"))
    with canned_server({CHAT: reply}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(first_token_s=0.5, gap_s=FOR_EVER))
        assert twin.streamed(model, asked()).text == "onetwo"


def test_the_total_runs_out_though_each_gap_is_short(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(*[chunk("x"), 0.05] * 400)}) as server:
        model = LmStudioProvider("m", base_url=server.url, timeouts=Timeouts(total_s=0.5))
        with pytest.raises(roci.TimedOutError) as caught:
            twin.streamed(model, asked())

    assert caught.value.phase == "total"
    assert caught.value.partial.text.startswith("x")


def test_a_calls_time_outs_win_over_the_providers(endless: CannedServer, twin: Twin) -> None:
    model = LmStudioProvider("m", base_url=endless.url, timeouts=Timeouts(gap_s=FOR_EVER))
    with pytest.raises(roci.TimedOutError):
        twin.streamed(model, asked(timeouts=Timeouts(gap_s=0.2)))


def test_the_environments_time_outs_hold_where_nothing_else_does(
    endless: CannedServer, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROCI_TIMEOUT_GAP_S", "0.2")
    with pytest.raises(roci.TimedOutError):
        twin.streamed(LmStudioProvider("m", base_url=endless.url), asked())


def test_leaving_the_with_block_closes_the_connection(endless: CannedServer, twin: Twin) -> None:
    deltas = twin.deltas(LmStudioProvider("m", base_url=endless.url), asked(), after=lambda _: True)

    assert [delta.text for delta in deltas] == ["one"]
    assert endless.left.wait(10)


def test_dropping_an_unnamed_stream_closes_the_connection(endless: CannedServer) -> None:
    model = LmStudioProvider("m", base_url=endless.url)
    for _ in model.stream_text(asked()):
        break

    assert endless.left.wait(10)


def test_dropping_an_unnamed_async_stream_closes_the_connection(endless: CannedServer) -> None:
    async def run() -> bool:
        model = LmStudioProvider("m", base_url=endless.url)
        async for _ in model.astream_text(asked()):
            break
        gc.collect()
        return await asyncio.to_thread(endless.left.wait, 10)

    assert asyncio.run(run())


def test_cancelling_the_task_closes_the_connection(endless: CannedServer) -> None:
    async def run() -> bool:
        model = LmStudioProvider("m", base_url=endless.url)
        task = asyncio.create_task(model.astream_text(asked()).result())
        while not endless.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(endless.left.wait, 10)

    assert asyncio.run(run())


def test_cancelling_a_plain_call_closes_the_connection() -> None:
    async def run(server: CannedServer) -> bool:
        model = LmStudioProvider("m", base_url=server.url)
        task = asyncio.create_task(model.agenerate_text(asked()))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(server.left.wait, 10)

    plain = Reply(200, {"content-type": "application/json"}, [FOR_EVER])
    with canned_server({CHAT: plain}) as server:
        assert asyncio.run(run(server))


def test_a_closed_stream_gives_no_result_but_what_came(endless: CannedServer) -> None:
    stream = LmStudioProvider("m", base_url=endless.url).stream_text(asked())
    next(stream)
    stream.close()
    stream.close()

    assert endless.left.wait(10)
    assert list(stream) == []
    with pytest.raises(roci.StreamInterruptedError) as caught:
        stream.result()
    assert caught.value.partial.text == "one"


def test_a_failed_stream_fails_again_when_asked_for_its_result() -> None:
    with canned_server({CHAT: Reply.events(chunk("x"), done=False)}) as server:
        stream = LmStudioProvider("m", base_url=server.url).stream_text(asked())
        with pytest.raises(roci.StreamInterruptedError) as first:
            list(stream)
        with pytest.raises(roci.StreamInterruptedError) as second:
            stream.result()

    assert second.value is first.value


def test_nothing_is_sent_before_a_stream_is_read(endless: CannedServer) -> None:
    stream = LmStudioProvider("m", base_url=endless.url).stream_text(asked())
    stream.close()

    assert endless.connections == 0


def test_connections_are_used_again(twin: Twin) -> None:
    routes = {CHAT: Reply.json(completion())}
    with canned_server(routes) as server, LmStudioProvider("m", base_url=server.url) as model:
        for _ in range(3):
            model.generate_text(asked())
        server.routes[CHAT] = Reply.events(chunk("x"), chunk(finish="stop"))
        for _ in range(3):
            model.stream_text(asked()).result()

        async def more() -> None:
            for _ in range(3):
                await model.astream_text(asked()).result()

        asyncio.run(more())
        assert (server.connections, len(server.requests)) == (2, 9)


def test_a_server_that_lingers_behind_done_holds_nobody_up(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(chunk("x"), chunk(finish="stop"), b"data: [DONE]\n\n", FOR_EVER)}) as server:
        started = time.monotonic()
        assert twin.streamed(LmStudioProvider("m", base_url=server.url), asked()).text == "x"
        assert time.monotonic() - started < FOR_EVER / 2
        assert server.left.wait(10)


def test_selector_strings_share_one_transport_and_loops_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        for _ in range(3):
            roci.generate_text("lmstudio:m", "hi")
        assert server.connections == 1

        async def twice() -> None:
            await roci.agenerate_text("lmstudio:m", "hi")
            await roci.agenerate_text("lmstudio:m", "hi")

        asyncio.run(twice())
        asyncio.run(twice())
        assert server.connections == 3
        monkeypatch.setenv("LM_API_TOKEN", "another")
        roci.generate_text("lmstudio:m", "hi")
        assert server.connections == 4


def test_sync_calls_from_many_threads_do_not_mix(twin: Twin) -> None:
    def echo(request: Any) -> Reply:
        text = request.json()["messages"][0]["content"]
        return Reply.events(*(chunk(word) for word in text.split("|")), chunk(finish="stop"))

    with canned_server({CHAT: echo}) as server, LmStudioProvider("m", base_url=server.url) as model:
        answers: dict[int, str] = {}

        def ask(number: int) -> None:
            request = ProviderRequest(messages=(ModelMessage.user("|".join([f"{number} "] * 20)),))
            answers[number] = model.stream_text(request).result().text

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == {number: f"{number} " * 20 for number in range(16)}


def test_a_loopback_server_is_never_asked_through_a_proxy(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with canned_server({CHAT: Reply.json(completion())}) as server:
        assert twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked()).text == "Hello."


def test_a_providers_connections_end_with_it(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        with LmStudioProvider("m", base_url=server.url) as model:
            model.generate_text(asked())
        model.close()
        assert model.generate_text(asked()).text == "Hello."
        model.close()

        async def run() -> None:
            async with LmStudioProvider("m", base_url=server.url) as other:
                await other.agenerate_text(asked())
            await other.aclose()

        asyncio.run(run())
        assert server.connections == 3
