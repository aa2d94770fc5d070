"""The decoder of a streamed chat answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from roci.errors import (
    ContextTooLongError,
    ReplyError,
    StreamInterruptedError,
    TruncatedReplyError,
    UnexpectedReplyError,
)
from roci.types.results import FinishReason, Usage
from roci.types.stream import TextStreamDelta, ToolCallDelta
from roci.wire.lmstudio.errors import TEXTS
from roci.wire.openai.stream import ChatStreamDecoder
from tests.support.canned_server import chunk, completion


def sse(*events: dict[str, Any] | str, done: bool = True) -> bytes:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])]).encode()


def decoded(stream: bytes, size: int = 10**9) -> tuple[list[TextStreamDelta], ChatStreamDecoder]:
    decoder = ChatStreamDecoder(path="/v1/chat/completions", model="m", texts=TEXTS)
    deltas = [delta for i in range(0, len(stream), size) for delta in decoder.feed(stream[i : i + size])]
    return deltas + decoder.close(), decoder


def calls_of(deltas: list[TextStreamDelta]) -> dict[int, tuple[str, str, str]]:
    calls: dict[int, tuple[str, str, str]] = {}
    for piece in (piece for delta in deltas for piece in delta.tool_calls):
        call_id, name, arguments = calls.get(piece.index, ("", "", ""))
        calls[piece.index] = (call_id or piece.id, name or piece.name, arguments + piece.arguments_json)
    return calls


def test_text_reasoning_reason_and_usage_come_apart() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    deltas, decoder = decoded(
        sse(
            chunk(delta={"role": "assistant", "content": None}),
            chunk(delta={"reasoning_content": "Hm"}),
            chunk(delta={"reasoning": "m."}),
            chunk("Hel"),
            chunk("lo"),
            chunk(finish="stop"),
            {"id": "chatcmpl-1", "model": "m", "choices": [], "usage": usage},
        )
    )

    assert deltas == [
        TextStreamDelta(reasoning="Hm"),
        TextStreamDelta(reasoning="m."),
        TextStreamDelta("Hel"),
        TextStreamDelta("lo"),
        TextStreamDelta(finish_reason=FinishReason.STOP),
        TextStreamDelta(
            usage=Usage(input_tokens=5, output_tokens=2, total_tokens=7, cached_tokens=3, reasoning_tokens=1)
        ),
    ]
    assert (decoder.failure, decoder.is_done, decoder.model, decoder.response_id) == (None, True, "m", "chatcmpl-1")


@given(st.integers(1, 300))
def test_pieces_of_any_size_give_the_same_deltas(size: int) -> None:
    stream = sse(chunk("grüß "), chunk("🦙"), chunk(delta={"reasoning": "ja"}), chunk(finish="length"))

    assert decoded(stream, size)[0] == decoded(stream)[0]


@pytest.mark.parametrize(
    ("word", "reason"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("content_filter", "content_filter")]
    + [("function_call", "tool_calls"), ("eos", "stop"), ("max_tokens", "length"), ("end_turn", "stop")],
)
def test_each_servers_word_for_the_end_is_understood(word: str, reason: str) -> None:
    deltas, _ = decoded(sse(chunk("x"), chunk(finish=word)))

    assert deltas[-1].finish_reason == reason


def test_an_unknown_word_for_the_end_counts_as_stop_with_a_warning() -> None:
    deltas, decoder = decoded(sse(chunk("x"), chunk(finish="tired")))

    assert deltas[-1].finish_reason is FinishReason.STOP
    assert [warning.kind for warning in decoder.warnings] == ["unknown_finish_reason"]


def test_a_finish_reason_without_done_ends_well() -> None:
    assert decoded(sse(chunk("x"), chunk(finish="stop"), done=False))[1].failure is None


@pytest.mark.parametrize("done", [True, False])
def test_an_end_without_a_finish_reason_is_an_interruption(done: bool) -> None:
    deltas, decoder = decoded(sse(chunk("x"), done=done))

    assert deltas == [TextStreamDelta("x")]
    assert isinstance(decoder.failure, StreamInterruptedError)


def test_a_cut_in_the_middle_of_an_event_keeps_what_came() -> None:
    deltas, decoder = decoded(sse(chunk("whole"), chunk("half"), done=False)[:-40])

    assert deltas == [TextStreamDelta("whole")]
    assert isinstance(decoder.failure, StreamInterruptedError)
    assert isinstance(decoder.failure.__cause__, TruncatedReplyError)


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}\n\n',
        b'event: error\ndata: {"error": {"message": "n", "code": "context_length_exceeded"}}\n\n',
        b'data: {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}\n\n',
    ],
)
def test_an_error_frame_ends_the_stream_with_its_class(frame: bytes) -> None:
    deltas, decoder = decoded(sse(chunk("x"), done=False) + frame + sse(chunk("never read")))

    assert deltas == [TextStreamDelta("x")]
    assert isinstance(decoder.failure, ContextTooLongError)


def test_an_error_event_that_is_no_json_is_an_error_too() -> None:
    _, decoder = decoded(b"event: error\ndata: engine exploded\n\n")

    assert isinstance(decoder.failure, ReplyError)
    assert "engine exploded" in decoder.failure.message


def test_a_null_error_is_none() -> None:
    assert decoded(sse(chunk("x", error=None), chunk(finish="stop")))[1].failure is None


def test_an_event_of_another_form_is_told_with_its_path() -> None:
    _, decoder = decoded(sse({"choices": [{"delta": {"content": 7}}]}))

    assert isinstance(decoder.failure, UnexpectedReplyError)
    assert decoder.failure.json_path == "$.choices[0].delta.content"


def call(index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: str | None = None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fields = {"index": index, "id": call_id, "function": function}
    return {key: value for key, value in fields.items() if value is not None}


PARALLEL = {0: ("a", "f", '{"x":1}'), 1: ("b", "g", '{"y":2}')}


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [call(0, "a", "f", ""), call(0, arguments='{"x"'), call(0, arguments=":1}")]
            + [call(1, "b", "g", ""), call(1, arguments='{"y":2}')],
            id="as OpenAI sends them",
        ),
        pytest.param(
            [call(0, "a", "f"), call(1, "b", "g")]
            + [
                call(0, arguments='{"x"'),
                call(1, arguments='{"y"'),
                call(0, arguments=":1}"),
                call(1, arguments=":2}"),
            ],
            id="interleaved",
        ),
        pytest.param([call(0, "a", "f", '{"x":1}'), call(1, "b", "g", '{"y":2}')], id="whole"),
        pytest.param([call(0, "a", "f", '{"x":1}'), call(0, "b", "g", '{"y":2}')], id="index repeated"),
        pytest.param(
            [call(None, "a", "f", ""), call(arguments='{"x":1}'), call(None, "b", "g", ""), call(arguments='{"y":2}')],
            id="no indexes",
        ),
        pytest.param(
            [call(0, "a", "f", '{"x"'), call(0, "a", "f", ":1}"), call(1, "b", "g", '{"y":2}')],
            id="id and name repeated",
        ),
    ],
)
def test_streamed_calls_are_assembled_by_index(pieces: list[dict[str, Any]]) -> None:
    stream = sse(*(chunk(delta={"tool_calls": [piece]}) for piece in pieces), chunk(finish="tool_calls"))

    assert calls_of(decoded(stream)[0]) == PARALLEL


def test_calls_without_ids_are_told_apart_by_their_index() -> None:
    pieces = [call(0, None, "f", '{"x":1}'), call(1, None, "g", '{"y":2}')]
    deltas, _ = decoded(sse(*(chunk(delta={"tool_calls": [piece]}) for piece in pieces), chunk(finish="stop")))

    assert calls_of(deltas) == {0: ("", "f", '{"x":1}'), 1: ("", "g", '{"y":2}')}
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS


def test_a_call_and_text_in_one_chunk_both_arrive() -> None:
    deltas, _ = decoded(sse(chunk("Let me see.", delta={"content": "Let me see.", "tool_calls": [call(0, "a", "f")]})))

    assert deltas == [TextStreamDelta("Let me see.", tool_calls=(ToolCallDelta(index=0, id="a", name="f"),))]


def test_a_plain_reply_to_a_streamed_request_is_taken_whole() -> None:
    decoder = ChatStreamDecoder(path="/v1/chat/completions", model="m")
    decoder.take_whole(json.dumps(completion("Hello."), indent=1).encode(), "application/json")
    deltas = decoder.close()

    assert decoder.failure is None
    assert "".join(delta.text for delta in deltas) == "Hello."
    assert deltas[-1].finish_reason is FinishReason.STOP


def test_a_web_page_instead_of_a_stream_is_refused() -> None:
    decoder = ChatStreamDecoder(path="/v1/chat/completions", model="m")

    with pytest.raises(UnexpectedReplyError, match="web page"):
        decoder.take_whole(b"<html></html>", "text/html")
