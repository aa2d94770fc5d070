"""A worker's stream, cut anywhere: passed on in whole events, or put together to one reply."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from roci.errors import BadRequestError, ContextTooLongError, ServerFailedError
from roci.server.frames import FrameScanner
from roci.server.worker_errors import worker_error
from roci.wire.openai.assemble import ChatAssembler
from tests.support.fake_worker import SAMPLES

RECORDED = (SAMPLES / "chat_stop_usage.sse").read_bytes().rstrip(b"\n") + b"\n\n"
BROKEN = (SAMPLES / "error_in_stream.sse").read_bytes().rstrip(b"\n") + b"\n\n"
CUTS = st.lists(st.integers(0, len(RECORDED)), max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def chunk(*, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
    }


def reply_of(*chunks: dict[str, Any]) -> dict[str, Any]:
    assembler = ChatAssembler()
    for data in chunks:
        assembler.feed(b"data: " + json.dumps(data).encode() + b"\n\n")
    assembler.feed(b"data: [DONE]\n\n")
    assert assembler.is_whole
    return json.loads(assembler.reply())


@given(CUTS)
def test_what_is_passed_on_is_the_stream_itself_in_whole_events(cuts: list[int]):
    scanner = FrameScanner()
    passed = [scanner.feed(piece) for piece in pieces(RECORDED, cuts)]
    assert b"".join(passed) == RECORDED
    assert all(piece.endswith(b"\n\n") for piece in passed if piece)
    assert scanner.is_done
    assert scanner.error is None


@given(CUTS)
def test_an_error_event_is_held_back_however_it_is_cut(cuts: list[int]):
    scanner = FrameScanner()
    passed = b"".join(scanner.feed(piece) for piece in pieces(BROKEN + b"data: more\n\n", cuts))
    assert passed == BROKEN[: BROKEN.index(b'data: {"error"')]
    assert scanner.error is not None
    assert json.loads(scanner.error)["error"]["code"] == 500
    assert not scanner.is_done


PROGRESS = (SAMPLES / "chat_progress.sse").read_bytes().rstrip(b"\n") + b"\n\n"


@given(CUTS)
def test_progress_and_comments_before_the_answer_are_kept_from_who_did_not_ask(cuts: list[int]):
    stream = b":\n\n" + PROGRESS
    told, untold = FrameScanner(with_progress=True), FrameScanner()

    assert b"".join(told.feed(piece) for piece in pieces(stream, cuts)) == stream
    left = b"".join(untold.feed(piece) for piece in pieces(stream, cuts))
    assert b"prompt_progress" not in left
    assert stream.endswith(left)
    assert left.startswith(b"data: {")
    assert untold.is_done


def test_a_comment_inside_the_answer_is_passed_on():
    scanner = FrameScanner()
    events = [b'data: {"choices":[]}\n\n', b":\n\n", b"data: [DONE]\n\n"]

    assert b"".join(map(scanner.feed, events)) == b"".join(events)


def test_half_an_event_is_never_passed_on():
    scanner = FrameScanner()
    assert scanner.feed(RECORDED[:-5]) == RECORDED[: -len(b"data: [DONE]\n\n")]
    assert not scanner.is_done


def test_a_text_that_speaks_of_errors_and_ends_is_only_a_text():
    words = 'data: {"error" data: [DONE]\n\n'
    event = b"data: " + json.dumps(chunk(content=words)).encode() + b"\n\n"
    scanner = FrameScanner()
    assert scanner.feed(event) == event
    assert not scanner.is_done
    assert scanner.error is None


@given(CUTS)
def test_the_whole_reply_is_the_same_however_the_stream_is_cut(cuts: list[int]):
    whole, cut = ChatAssembler(), ChatAssembler()
    whole.feed(RECORDED)
    for piece in pieces(RECORDED, cuts):
        cut.feed(piece)
    assert cut.is_whole
    assert cut.reply() == whole.reply()


def test_an_error_event_ends_the_reply():
    assembler = ChatAssembler()
    assembler.feed(BROKEN)
    assert assembler.error is not None
    assert not assembler.is_whole


def test_a_stream_without_a_finish_reason_is_not_whole():
    assembler = ChatAssembler()
    assembler.feed(b"data: " + json.dumps(chunk(content="a")).encode() + b"\n\ndata: [DONE]\n\n")
    assert not assembler.is_whole


def test_reasoning_and_content_are_kept_apart():
    message = reply_of(
        chunk(role="assistant", content=None),
        chunk(reasoning_content="th"),
        chunk(reasoning_content="ink"),
        chunk(content="say"),
        chunk(finish="stop"),
    )["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "say", "reasoning_content": "think"}


def test_answers_are_told_apart_by_index_and_their_usage_is_added_up():
    usage = {"prompt_tokens": 31, "completion_tokens": 4, "total_tokens": 35}
    reply = reply_of(
        chunk(index=1, content="b"),
        chunk(index=0, content="a"),
        chunk(index=1, finish="stop"),
        {"choices": [], "usage": usage},
        chunk(index=0, finish="length"),
        {"choices": [], "usage": usage},
    )
    said = [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in reply["choices"]]
    assert said == [(0, "a", "length"), (1, "b", "stop")]
    assert reply["usage"] == {"prompt_tokens": 31, "completion_tokens": 8, "total_tokens": 39}


def call(index: int, arguments: str, **more: str) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk(tool_calls=[{"index": index, **more, "function": {**name, "arguments": arguments}}])


def test_tool_calls_are_put_together_by_index():
    message = reply_of(
        call(0, "{", id="abc", name="f"),
        call(1, '{"b"', id="call_d", name="g"),
        call(0, '"a": 1}'),
        call(1, ": 2}"),
        chunk(finish="tool_calls"),
    )["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "call_d", "type": "function", "function": {"name": "g", "arguments": '{"b": 2}'}},
    ]


def test_a_call_that_the_token_limit_cut_is_dropped():
    message = reply_of(call(0, "{}", id="a", name="f"), call(1, "{", id="b", name="g"), chunk(finish="length"))
    assert [made["id"] for made in message["choices"][0]["message"]["tool_calls"]] == ["call_a"]


def test_logprobs_are_collected():
    def with_logprobs(token: str) -> dict[str, Any]:
        piece = chunk(content=token)
        piece["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -0.1, "top_logprobs": []}]}
        return piece

    choice = reply_of(with_logprobs("a"), with_logprobs("b"), chunk(finish="stop"))["choices"][0]
    assert [entry["token"] for entry in choice["logprobs"]["content"]] == ["a", "b"]


def test_an_overflow_carries_both_numbers():
    error = worker_error((SAMPLES / "overflow.json").read_bytes(), 400)
    assert isinstance(error, ContextTooLongError)
    assert (error.given_tokens, error.limit_tokens, error.code) == (3031, 2048, "context_length_exceeded")


def test_a_refusal_keeps_the_engines_words_and_field():
    error = worker_error((SAMPLES / "bad_request.json").read_bytes(), 400)
    assert isinstance(error, BadRequestError)
    assert error.param == "n"
    assert "Value must be between" in error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b"\xff", b'{"error": 3}'])
def test_a_refusal_without_a_reason_is_the_engines_failure(body: bytes):
    assert isinstance(worker_error(body, 500), ServerFailedError)


def test_what_the_engine_cannot_do_is_the_requests_fault():
    body = b'{"error": {"code": 501, "message": "This server does not support that.", "type": "not_supported_error"}}'
    error = worker_error(body, 501)
    assert isinstance(error, BadRequestError)
    assert (error.status, error.code) == (400, "not_supported_error")
