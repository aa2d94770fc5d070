"""`stream_object`: partial values as they grow, and the checked one at the end."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

import roci
from roci import LmStudioProvider
from roci.errors import BadRequestError, SchemaMismatchError, StreamInterruptedError, UsageError
from roci.generation.partial_json import GrowingObject
from tests.support.canned_server import Reply, Request, canned_server, chunk
from tests.support.twins import SyncTwin, Twin

CHAT = "POST /v1/chat/completions"


@dataclasses.dataclass
class Pet:
    name: str
    legs: int = 4


def pieces(*texts: str, finish: str | None = "stop") -> Reply:
    return Reply.events(*(chunk(text) for text in texts), *([chunk(finish=finish)] if finish else []))


def read(twin: Twin, model: Any, wanted: Any, *, after: Callable[[Any], bool] | None = None) -> tuple[list[Any], Any]:
    """(partial values, result or failure) of a stream, left early where `after(value)` is true."""
    found: list[Any] = []

    async def aread() -> Any:
        async with roci.astream_object(model, "?", wanted) as stream:
            try:
                async for value in stream:
                    found.append(value)
                    if after is not None and after(value):
                        await stream.aclose()
                return await stream.result()
            except roci.RociError as failure:
                return failure

    if not isinstance(twin, SyncTwin):
        return found, asyncio.run(aread())
    with roci.stream_object(model, "?", wanted) as stream:
        try:
            for value in stream:
                found.append(value)
                if after is not None and after(value):
                    stream.close()
            return found, stream.result()
        except roci.RociError as failure:
            return found, failure


def streamed(twin: Twin, reply: Reply | Callable[[Request], Reply], wanted: Any, **more: Any) -> tuple[list[Any], Any]:
    with canned_server({CHAT: reply}) as server, LmStudioProvider("m", server.url) as model:
        return read(twin, model, wanted, **more)


def test_an_object_grows_and_ends_as_a_value_of_its_type(twin: Twin) -> None:
    reply = pieces('{"na', 'me": "R', "ex", '", "legs": 1', "2", "}")

    partials, result = streamed(twin, reply, Pet)

    assert partials == [{}, {"name": "R"}, {"name": "Rex"}, {"name": "Rex", "legs": 12}]
    assert result.object == Pet("Rex", 12)
    assert (result.receipt.schema, result.text) == ("enforced", '{"name": "Rex", "legs": 12}')
    assert result.receipt.model_asked == "m"
    assert result.receipt.time_to_first_token_s is not None


def test_a_value_that_is_no_object_grows_without_its_wrapper(twin: Twin) -> None:
    partials, result = streamed(twin, pieces('{"value": [1', ", 2", "3", "]", "}"), list[int])

    assert partials == [[], [1], [1, 23]]
    assert result.object == [1, 23]

    partials, result = streamed(twin, pieces('{"value":', ' "y', 'es"}'), Literal["yes", "no"])
    assert (partials, result.object) == (["y", "yes"], "yes")


def test_words_before_the_object_are_passed_over_and_said(twin: Twin) -> None:
    partials, result = streamed(twin, pieces("Sure!\n```json\n", '{"name": "R', 'ex"}', "\n```"), Pet)

    assert partials == [{"name": "R"}, {"name": "Rex"}]
    assert (result.object, result.receipt.schema, result.receipt.recovered) == (Pet("Rex"), "recovered", "fence")


def test_reasoning_is_no_part_of_the_object(twin: Twin) -> None:
    thought = chunk(delta={"reasoning_content": '{"name": "Draft"}'})
    reply = Reply.events(thought, chunk('{"name": "Rex"}'), chunk(finish="stop"))

    partials, result = streamed(twin, reply, Pet)

    assert partials == [{"name": "Rex"}]
    assert result.reasoning == '{"name": "Draft"}'
    assert result.receipt.reasoning_ran


def test_an_object_that_does_not_fit_is_a_mismatch_and_not_asked_for_again(twin: Twin) -> None:
    with (
        canned_server({CHAT: pieces('{"name": 5', "}")}) as server,
        LmStudioProvider("m", server.url) as model,
    ):
        partials, failure = read(twin, model, Pet)

        assert partials == [{}, {"name": 5}]
        assert isinstance(failure, SchemaMismatchError)
        assert (failure.json_path, failure.text, len(server.requests)) == ("$.name", '{"name": 5}', 1)
        assert failure.receipt is not None


def test_a_stream_that_breaks_off_keeps_what_came(twin: Twin) -> None:
    partials, failure = streamed(twin, pieces('{"name": "R', "e", finish=None), Pet)

    assert partials == [{"name": "R"}, {"name": "Re"}]
    assert isinstance(failure, StreamInterruptedError)
    assert failure.partial.text == '{"name": "Re'


def test_leaving_early_closes_the_connection_and_the_result_holds_what_came(twin: Twin) -> None:
    reply = Reply.events(chunk('{"name": "Rex'), 30.0, chunk('"}'), chunk(finish="stop"))
    with canned_server({CHAT: reply}) as server, LmStudioProvider("m", server.url) as model:
        partials, failure = read(twin, model, Pet, after=lambda value: value == {"name": "Rex"})

        assert partials == [{"name": "Rex"}]
        assert isinstance(failure, StreamInterruptedError)
        assert failure.partial.text == '{"name": "Rex'
        assert server.left.wait(20)


def test_a_stream_that_nobody_names_any_more_is_closed_at_once() -> None:
    reply = Reply.events(chunk('{"name": "Rex'), 30.0, chunk('"}'), chunk(finish="stop"))
    with canned_server({CHAT: reply}) as server, LmStudioProvider("m", server.url) as model:
        gc.disable()
        try:
            for _ in roci.stream_object(model, "?", Pet):
                break
            assert server.left.wait(20)
        finally:
            gc.enable()


def test_a_cancelled_task_closes_the_connection() -> None:
    reply = Reply.events(chunk('{"name": "Rex'), 30.0, chunk('"}'), chunk(finish="stop"))

    async def leave(url: str) -> None:
        reading = asyncio.Event()

        async def consume() -> None:
            async with LmStudioProvider("m", url) as model, roci.astream_object(model, "?", Pet) as stream:
                async for _ in stream:
                    reading.set()

        task = asyncio.create_task(consume())
        await asyncio.wait_for(reading.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with canned_server({CHAT: reply}) as server:
        asyncio.run(leave(server.url))
        assert server.left.wait(20)


def test_a_server_without_schemas_is_asked_with_the_schema_in_the_prompt(twin: Twin) -> None:
    def answer(request: Request) -> Reply:
        if request.json()["response_format"]["json_schema"]["name"] == "Pet":
            return Reply.json({"error": "response_format is not supported"}, 400)
        return pieces('{"name": "Rex"}')

    partials, result = streamed(twin, answer, Pet)

    assert (partials, result.object, result.receipt.schema) == ([{"name": "Rex"}], Pet("Rex"), "validated")


def test_any_other_refusal_is_the_streams(twin: Twin) -> None:
    partials, failure = streamed(twin, Reply.json({"error": {"message": "no"}}, 400), Pet)

    assert partials == []
    assert isinstance(failure, BadRequestError)


def test_nothing_is_sent_before_the_stream_is_read(twin: Twin) -> None:
    with canned_server({CHAT: pieces("{}")}) as server, LmStudioProvider("m", server.url) as model:
        open_stream = roci.stream_object if isinstance(twin, SyncTwin) else roci.astream_object
        with pytest.raises(UsageError):
            open_stream(model, "?", 5)
        open_stream(model, "?", Pet)
        assert server.requests == []


# ---- the growing object by itself

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.data())
@settings(deadline=None)
def test_however_it_is_cut_it_ends_as_the_whole_and_no_number_is_ever_half(value: dict[str, Any], data: Any) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    growing = GrowingObject(is_wrapped=False)
    partials: list[Any] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        partials += growing.feed(text[start:end])
    partials += growing.close()

    assert partials[-1] == value
    whole = set(numbers(value))
    assert all(set(numbers(partial)) <= whole for partial in partials)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_a_long_answer_is_not_read_again_at_every_piece() -> None:
    text = msgspec.json.encode({"items": [{"name": "x" * 20, "number": number} for number in range(2000)]}).decode()
    growing = GrowingObject(is_wrapped=False)
    told = sum(len(growing.feed(text[place : place + 4])) for place in range(0, len(text), 4))

    assert growing.close()[-1]["items"][-1]["number"] == 1999
    assert told < len(text) / 4 / 5
