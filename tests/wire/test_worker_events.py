"""A worker's stream, cut anywhere, becomes the same events."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
from hypothesis import given, strategies as st

from roci.wire.generation import (
    Ended,
    Event,
    Finish,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Transcript,
)
from roci.wire.llama_cpp.stream import WorkerStreamDecoder
from tests.support.fake_worker import SAMPLES
from tests.support.workers import text_of

RECORDED = (SAMPLES / "chat_stop_usage.sse").read_bytes().rstrip(b"\n") + b"\n\n"
BROKEN = (SAMPLES / "error_in_stream.sse").read_bytes().rstrip(b"\n") + b"\n\n"
CUTS = st.lists(st.integers(0, len(RECORDED)), max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def chunk(*, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str, **more: str) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk(tool_calls=[{"index": index, **more, "function": {**name, "arguments": arguments}}])


def events_of(*chunks: dict[str, Any]) -> list[Event]:
    decoder = WorkerStreamDecoder()
    stream = b"".join(b"data: " + json.dumps(data).encode() + b"\n\n" for data in chunks)
    return decoder.feed(stream + b"data: [DONE]\n\n")


@given(CUTS)
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]):
    whole, cut = WorkerStreamDecoder(), WorkerStreamDecoder()
    expected = whole.feed(RECORDED)
    got = [event for piece in pieces(RECORDED, cuts) for event in cut.feed(piece)]
    assert msgspec.json.encode(got) == msgspec.json.encode(expected)
    assert [type(event) for event in got] == [type(event) for event in expected]
    assert cut.is_done


def test_a_recorded_answer_has_its_text_reason_usage_and_times():
    transcript = Transcript()
    for event in WorkerStreamDecoder().feed(RECORDED):
        transcript.add(event)
    choice = transcript.choice()
    assert choice.text == text_of(RECORDED.decode())
    assert choice.finish == Finish("stop")
    assert transcript.ended is not None
    usage, timing = transcript.ended.usage, transcript.ended.timing
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert timing.time_to_first_token_s > 0
    assert timing.engine is not None


@given(CUTS)
def test_an_error_event_ends_the_stream_however_it_is_cut(cuts: list[int]):
    decoder = WorkerStreamDecoder()
    for piece in pieces(BROKEN + b"data: more\n\n", cuts):
        decoder.feed(piece)
    assert decoder.error is not None
    assert json.loads(decoder.error)["error"]["code"] == 500
    assert not decoder.is_done


def test_progress_is_told_with_what_the_cache_had():
    stream = (SAMPLES / "chat_progress.sse").read_bytes().rstrip(b"\n") + b"\n\n"
    told = [event for event in WorkerStreamDecoder().feed(stream) if isinstance(event, PromptProgress)]
    assert told[-1].processed_tokens == told[-1].total_tokens
    assert told[-1].ratio == 1.0
    assert told[0].ratio == 0.0


def test_a_stream_without_a_finish_reason_has_no_end():
    decoder = WorkerStreamDecoder()
    decoder.feed(b"data: " + json.dumps(chunk(content="a")).encode() + b"\n\ndata: [DONE]\n\n")
    assert not decoder.is_done
    assert decoder.lacks_reason


def test_reasoning_and_text_are_kept_apart_and_reasoning_is_counted():
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    events = events_of(
        chunk(role="assistant", content=None),
        chunk(reasoning_content="th"),
        chunk(reasoning_content="ink"),
        chunk(content="say"),
        chunk(finish="stop"),
        {"choices": [], "usage": usage},
    )
    assert events[:4] == [ReasoningDelta("th"), ReasoningDelta("ink"), TextDelta("say"), Finish("stop")]
    assert isinstance(events[4], Ended)
    assert events[4].usage.reasoning_tokens == 2


def test_answers_are_told_apart_by_index_and_their_usage_is_added_up():
    usage = {"prompt_tokens": 31, "completion_tokens": 4, "total_tokens": 35}
    *events, ended = events_of(
        chunk(index=1, content="b"),
        chunk(index=0, content="a"),
        chunk(index=1, finish="stop"),
        {"choices": [], "usage": usage},
        chunk(index=0, finish="length"),
        {"choices": [], "usage": usage},
    )
    assert events == [TextDelta("b", 1), TextDelta("a", 0), Finish("stop", 1), Finish("length", 0)]
    assert isinstance(ended, Ended)
    assert (ended.usage.prompt_tokens, ended.usage.completion_tokens, ended.usage.total_tokens) == (31, 8, 39)


def test_calls_follow_each_other_and_each_is_ended():
    *events, _ = events_of(
        call(0, "{", id="a" * 32, name="f"),
        call(0, '"x": 1}'),
        call(1, "{}", id="b", name="g"),
        chunk(finish="tool_calls"),
    )
    assert events == [
        ToolCallStart(0, "call_" + "a" * 24, "f"),
        ToolCallDelta(0, "{"),
        ToolCallDelta(0, '"x": 1}'),
        ToolCallEnd(0),
        ToolCallStart(1, "call_b", "g"),
        ToolCallDelta(1, "{}"),
        ToolCallEnd(1),
        Finish("tool_calls"),
    ]


def test_a_call_that_the_token_limit_cut_is_never_ended():
    *events, _ = events_of(call(0, "{}", id="a", name="f"), call(1, "{", id="b", name="g"), chunk(finish="length"))
    assert [event.index for event in events if isinstance(event, ToolCallEnd)] == [0]
    assert events[-1] == Finish("length")


def test_logprobs_come_with_their_text():
    entry = {"token": "a", "logprob": -0.1, "top_logprobs": []}
    piece = chunk(content="a")
    piece["choices"][0]["logprobs"] = {"content": [entry]}
    first = events_of(piece, chunk(finish="stop"))[0]
    assert isinstance(first, TextDelta)
    assert [json.loads(bytes(raw)) for raw in first.logprobs] == [entry]


def test_a_stream_of_several_prompts_may_begin_with_null():
    decoder = WorkerStreamDecoder()
    assert decoder.feed(b"data: null\n\n") == []
    assert decoder.error is None
