"""How tools are run: in turn or together, within their time, and what becomes of what they give."""

from __future__ import annotations

import array
import asyncio
import contextvars
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import pytest

import roci
from roci import tool
from tests.support.tool_rounds import Turn, call, playing
from tests.support.twins import AsyncTwin, SyncTwin, Twin

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


PNG = roci.ImagePart("data:image/png;base64,iVBORw0KGgo=")


@dataclass
class Place:
    city: str


class Person(pydantic.BaseModel):
    name: str


def result_of(twin: Twin, function: Callable[..., Any], **options: Any) -> roci.GenerateTextResult:
    """What becomes of a model that calls `function`, without arguments, and then is done."""
    made = tool(name="f", **options)(function)
    with playing(Turn("", call("f")), Turn("Done.")) as (model, _):
        result = twin.call(roci, "generate_text", model, "hi", tools=[made])
    assert result.text == "Done."
    return result


def told(twin: Twin, function: Callable[..., Any], **options: Any) -> tuple[str, bool]:
    """(What the model reads, whether it is an error)."""
    (message,) = result_of(twin, function, **options).steps[0].tool_results
    return message.text, message.is_error


def test_a_tool_that_never_returns_ends_at_its_own_time_out(twin: Twin) -> None:
    forever = threading.Event()

    text, is_error = told(twin, lambda: forever.wait(), timeout_s=0.2)

    assert (text, is_error) == ("Error: the tool did not answer within 0.2 s", True)
    forever.set()


def test_an_async_tool_that_never_returns_is_cancelled_at_its_time_out(twin: Twin) -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    assert told(twin, forever, timeout_s=0.2) == ("Error: the tool did not answer within 0.2 s", True)
    assert cancelled.wait(30)


def test_a_time_out_inside_a_tool_is_the_tools_own_failure(twin: Twin) -> None:
    def slow() -> None:
        raise TimeoutError("the database is slow")

    async def aslow() -> None:
        raise TimeoutError("the database is slow")

    for function in (slow, aslow):
        assert told(twin, function) == ("Error: TimeoutError: the database is slow", True)


def test_async_callers_run_parallel_calls_together() -> None:
    both = asyncio.Barrier(2)
    threads = threading.Barrier(2, timeout=30)

    @tool
    async def meet() -> str:
        await both.wait()
        return "met"

    @tool
    def meet_in_threads() -> str:
        threads.wait()
        return "met in threads"

    calls = [call("meet", call_id="a"), call("meet_in_threads", call_id="b"), call("meet", call_id="c")]
    calls.append(call("meet_in_threads", call_id="d"))
    with playing(Turn("", *calls), Turn("Done.")) as (model, _):
        result = AsyncTwin().call(roci, "generate_text", model, "hi", tools=[meet, meet_in_threads])

    results = result.steps[0].tool_results
    assert [(message.tool_call_id, message.text) for message in results] == [
        ("a", "met"),
        ("b", "met in threads"),
        ("c", "met"),
        ("d", "met in threads"),
    ]


def test_sync_callers_run_calls_in_turn() -> None:
    running: list[str] = []

    @tool
    def step(name: str) -> str:
        running.append(name)
        assert len(running) == 1
        return running.pop()

    calls = [call("step", f'{{"name": "{name}"}}', name) for name in "abc"]
    with playing(Turn("", *calls), Turn("Done.")) as (model, _):
        result = SyncTwin().call(roci, "generate_text", model, "hi", tools=[step])

    assert [message.text for message in result.steps[0].tool_results] == ["a", "b", "c"]


def test_results_keep_the_calls_order_though_the_first_ends_last() -> None:
    async def run() -> tuple[list[str], roci.GenerateTextResult]:
        last = asyncio.Event()

        @tool
        async def first() -> str:
            await last.wait()
            return "first"

        @tool
        async def second() -> str:
            return "second"

        shown: list[str] = []
        async with roci.astream_text(model, "hi", tools=[first, second]) as stream:
            async for delta in stream:
                shown += [message.text for message in delta.tool_results]
                if delta.tool_results:
                    last.set()
            return shown, await stream.result()

    with playing(Turn("", call("first"), call("second")), Turn("Done.")) as (model, _):
        shown, result = asyncio.run(run())

    assert shown == ["second", "first"]
    assert [message.text for message in result.steps[0].tool_results] == ["first", "second"]


def test_a_cancelled_call_cancels_its_tools() -> None:
    async def run() -> bool:
        started, cancelled = asyncio.Event(), asyncio.Event()

        @tool
        async def endless() -> None:
            started.set()
            try:
                await asyncio.sleep(600)
            finally:
                cancelled.set()

        task = asyncio.create_task(roci.agenerate_text(model, "hi", tools=[endless]))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return cancelled.is_set()

    with playing(Turn("", call("endless"))) as (model, _):
        assert asyncio.run(run())


def test_leaving_a_stream_while_tools_run_cancels_them() -> None:
    async def run() -> bool:
        cancelled = asyncio.Event()

        @tool
        async def quick() -> str:
            return "quick"

        @tool
        async def endless() -> None:
            try:
                await asyncio.sleep(600)
            finally:
                cancelled.set()

        async with roci.astream_text(model, "hi", tools=[quick, endless]) as stream:
            async for delta in stream:
                if delta.tool_results:
                    break
        return cancelled.is_set()

    with playing(Turn("", call("quick"), call("endless"))) as (model, _):
        assert asyncio.run(run())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_not_kept_from_it(kind: type[BaseException], twin: Twin) -> None:
    def stop() -> None:
        raise kind

    with pytest.raises(kind):
        told(twin, stop)


def test_a_sync_caller_inside_a_running_loop_may_use_async_tools() -> None:
    async def now() -> str:
        await asyncio.sleep(0)
        return "noon"

    async def notebook() -> tuple[str, bool]:
        return told(SyncTwin(), now)

    assert asyncio.run(notebook()) == ("noon", False)


def test_tools_see_the_callers_context(twin: Twin) -> None:
    def who() -> str:
        return user.get()

    async def awho() -> str:
        return user.get()

    token = user.set("ada")
    try:
        assert [told(twin, function)[0] for function in (who, awho)] == ["ada", "ada"]
    finally:
        user.reset(token)


def test_without_a_time_out_a_sync_callers_tool_runs_in_its_own_thread() -> None:
    thread = threading.get_ident()

    assert told(SyncTwin(), lambda: threading.get_ident() == thread, timeout_s=None) == ("true", False)
    assert told(SyncTwin(), lambda: threading.get_ident() == thread) == ("false", False)
    assert told(SyncTwin(), lambda: asyncio.sleep(0, "later"), timeout_s=None) == ("later", False)


def test_a_function_that_gives_an_awaitable_is_awaited(twin: Twin) -> None:
    assert told(twin, lambda: asyncio.sleep(0, "later")) == ("later", False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        ("", ""),
        (None, "null"),
        (3, "3"),
        (True, "true"),
        ([1, "a"], '[1,"a"]'),
        ({"a": [1]}, '{"a":[1]}'),
        (Place("Bern"), '{"city":"Bern"}'),
        ([Person(name="Ada")], '[{"name":"Ada"}]'),
        ({1}, "[1]"),
        (Path("/tmp/a"), '"/tmp/a"'),
        (array.array("i", [1, 2]), "[1,2]"),
        ("\ud83d", "?"),
        ("Zürich 🌦", "Zürich 🌦"),
    ],
    ids=repr,
)
def test_what_a_tool_gives_is_told_as_text_or_json(value: Any, text: str, twin: Twin) -> None:
    assert told(twin, lambda: value) == (text, False)


@pytest.mark.parametrize("given", [PNG, ["See:", PNG]], ids=["one", "several"])
def test_parts_go_to_the_model_as_parts(given: Any, twin: Twin) -> None:
    (message,) = result_of(twin, lambda: given).steps[0].tool_results

    assert message.parts[-1] == PNG


def itself() -> list[Any]:
    holder: list[Any] = []
    holder.append(holder)
    return holder


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: socket.socket, "the tool gave a type, which cannot be written as JSON: type has no JSON form"),
        (lambda: {"a": object()}, "the tool gave a dict, which cannot be written as JSON: object has no JSON form"),
        (lambda: (number for number in [1]), "the tool gave a generator"),
        (lambda: {(1, 2): 3}, "the tool gave a dict"),
        (lambda: b"\x89PNG", "the tool gave a bytes, which cannot be written as JSON: bytes are no text"),
        (itself, "the tool gave a list, which cannot be written as JSON: it contains itself"),
    ],
    ids=["class", "inside", "generator", "keys", "bytes", "itself"],
)
def test_a_result_that_is_not_serialisable_is_an_error_result(make: Callable[[], Any], says: str, twin: Twin) -> None:
    text, is_error = told(twin, make)

    assert is_error
    assert text.startswith(f"Error: {says}")


def test_a_result_of_5_mb_is_cut_with_a_mark_and_a_warning(twin: Twin) -> None:
    result = result_of(twin, lambda: "x" * 5_000_000)

    (message,) = result.steps[0].tool_results
    assert len(message.text) < 200_200
    assert message.text.endswith("[cut here: the result has 5,000,000 characters, and these are the first 200,000]")
    assert not message.is_error
    assert [warning.kind for warning in result.warnings] == ["tool_result_cut"]
    assert told(twin, lambda: ["y" * 5], result_limit_chars=3)[0].startswith('["y\n[cut here')


def test_a_long_error_is_cut_and_one_that_cannot_be_said_is_named(twin: Twin) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def long() -> None:
        raise ValueError("x" * 100_000)

    def mute() -> None:
        raise MuteError

    assert len(told(twin, long)[0]) < 2_100
    assert told(twin, mute) == ("Error: MuteError", True)


def test_stop_iteration_in_a_tool_is_a_failure_like_any_other(twin: Twin) -> None:
    text, is_error = told(twin, lambda: next(iter(())))

    assert is_error
    assert "StopIteration" in text
