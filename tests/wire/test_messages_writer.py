"""Anthropic's stream and plain reply, judged by its own package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter

from roci.wire.anthropic.errors import messages_error_body
from roci.wire.anthropic.writer import MessagesWriter
from roci.wire.generation import (
    Ended,
    Event,
    Finish,
    LoadEnded,
    LoadStarted,
    Note,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    Timing,
    TokenUsage,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Transcript,
)
from roci.wire.reply_writer import Begun, Failure

BEGUN = Begun(id="0123456789abcdef" * 3, created=1, model="m:2")
USAGE = TokenUsage(prompt_tokens=12, completion_tokens=7, cached_tokens=5, reasoning_tokens=2)
ENDED = Ended(USAGE, Timing())
BEFORE: Sequence[Event] = (LoadStarted(), LoadEnded(0.5), PromptProgress(12, 5, 5), PromptProgress(12, 5, 12))
ADAPTER: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

ANSWER: Sequence[Event] = (
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    TextDelta('It "rains"\n'),
    TextDelta("ü"),
    ToolCallStart(0, "call_abc", "get_weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Köln"}'),
    ToolCallEnd(0),
    ToolCallStart(1, "call_def", "stop"),
    ToolCallEnd(1),
    Finish("tool_calls"),
)


def stream(events: Sequence[Event], writer: MessagesWriter | None = None) -> bytes:
    writer = writer or MessagesWriter()
    return writer.start(BEGUN) + b"".join(writer.feed(event) for event in (*BEFORE, *events, ENDED))


def events_in(data: bytes) -> list[dict[str, Any]]:
    """The data of every event, each checked to be under its own name."""
    found: list[dict[str, Any]] = []
    for frame in data.decode().removesuffix("\n\n").split("\n\n"):
        name, payload = frame.split("\n")
        event = json.loads(payload.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def accumulated(events: Sequence[Event]) -> Message:
    """What Anthropic's client makes of the stream."""
    sent = stream(events)
    for event in events_in(sent):
        ADAPTER.validate_python(event)

    def reply(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=sent)

    http_client = httpx2.Client(transport=httpx2.MockTransport(reply))
    with (
        anthropic.Anthropic(api_key="k", base_url="http://localhost", http_client=http_client) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as read,
    ):
        return Message.model_validate(read.get_final_message().model_dump(warnings=False))


def whole(events: Sequence[Event], writer: MessagesWriter | None = None) -> dict[str, Any]:
    transcript = Transcript()
    for event in (*BEFORE, *events, ENDED):
        transcript.add(event)
    return json.loads((writer or MessagesWriter()).whole(BEGUN, transcript))


def test_the_plain_reply_is_a_message_of_anthropics():
    reply = whole(ANSWER)
    message = Message.model_validate(reply)
    assert reply["id"] == "msg_0123456789abcdef01234567"
    assert (message.type, message.role, message.model) == ("message", "assistant", "m:2")
    assert [block.model_dump(exclude_none=True) for block in message.content] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": ""},
        {"type": "text", "text": 'It "rains"\nü'},
        {"type": "tool_use", "id": "toolu_abc", "name": "get_weather", "input": {"city": "Köln"}},
        {"type": "tool_use", "id": "toolu_def", "name": "stop", "input": {}},
    ]
    assert message.stop_reason == "tool_use"
    assert reply["stop_sequence"] is None
    assert reply["usage"] == {
        "input_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 5,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_the_stream_adds_up_to_the_plain_reply():
    assert accumulated(ANSWER) == Message.model_validate(whole(ANSWER))


def test_the_streams_events_come_in_anthropics_order():
    events = events_in(stream(ANSWER))
    kinds = [(event["type"], event.get("index")) for event in events]
    assert kinds == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("content_block_start", 3),
        ("content_block_stop", 3),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert events[4]["delta"] == {"type": "signature_delta", "signature": ""}
    assert events[10]["content_block"] == {"type": "tool_use", "id": "toolu_abc", "name": "get_weather", "input": {}}


def test_the_head_tells_the_prompts_tokens_which_came_before_the_answer():
    head = events_in(stream(ANSWER))[0]["message"]
    assert head["content"] == []
    assert head["stop_reason"] is None
    assert (head["usage"]["input_tokens"], head["usage"]["cache_read_input_tokens"]) == (7, 5)


@pytest.mark.parametrize(
    ("finish", "reason", "sequence"),
    [
        (Finish("stop"), "end_turn", None),
        (Finish("stop", stop_sequence="END"), "stop_sequence", "END"),
        (Finish("length"), "max_tokens", None),
        (Finish("tool_calls"), "tool_use", None),
    ],
)
def test_why_it_ended(finish: Finish, reason: str, sequence: str | None):
    events: list[Event] = [TextDelta("a"), finish]
    reply = whole(events)
    assert (reply["stop_reason"], reply["stop_sequence"]) == (reason, sequence)
    message = accumulated(events)
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


def test_an_answer_of_nothing_is_still_a_whole_message():
    events: list[Event] = [TextDelta(""), Finish("stop")]
    assert whole(events)["content"] == []
    assert [event["type"] for event in events_in(stream(events))] == ["message_start", "message_delta", "message_stop"]


def test_a_call_that_the_limit_cut_is_given_as_text():
    events: list[Event] = [
        ToolCallStart(0, "call_abc", 'get "it"'),
        ToolCallDelta(0, '{"city": "Kö'),
        Finish("length"),
    ]
    reply = whole(events)
    assert reply["content"] == [{"type": "text", "text": '{"name": "get \\"it\\"", "arguments": {"city": "Kö'}]
    assert reply["stop_reason"] == "max_tokens"
    ends = [event["type"] for event in events_in(stream(events))[-3:]]
    assert ends == ["content_block_stop", "message_delta", "message_stop"]


def test_thoughts_can_be_left_out():
    reply = whole(ANSWER, MessagesWriter(shows_thinking=False))
    assert reply["content"][0] == {"type": "thinking", "thinking": "", "signature": ""}
    sent = stream(ANSWER, MessagesWriter(shows_thinking=False))
    assert b"Let me" not in sent
    assert events_in(sent)[1]["content_block"]["type"] == "thinking"


def test_a_note_goes_where_the_answer_ends():
    events: list[Event] = [TextDelta("<tool_call>oops"), Note("tool_parse_error", "No call."), Finish("stop")]
    told = {"notes": [{"code": "tool_parse_error", "message": "No call."}]}
    assert whole(events)["roci"] == told
    assert events_in(stream(events))[-2]["roci"] == told
    assert "roci" not in whole([TextDelta("a"), Finish("stop")])


def test_a_stream_that_breaks_ends_with_an_error_event():
    writer = MessagesWriter()
    sent = writer.start(BEGUN) + writer.feed(TextDelta("a"))
    sent += writer.fail(Failure(status=503, message="The worker died.", code="worker_died"))
    last = events_in(sent)[-1]
    assert last["error"] == {"type": "api_error", "message": "The worker died.", "code": "worker_died"}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "context_length_exceeded", "invalid_request_error"),
        (405, None, "invalid_request_error"),
        (401, None, "authentication_error"),
        (403, "origin_not_allowed", "permission_error"),
        (404, "model_not_found", "not_found_error"),
        (413, "body_too_large", "request_too_large"),
        (429, None, "rate_limit_error"),
        (500, "engine_failed", "api_error"),
        (503, "queue_full", "overloaded_error"),
        (503, "worker_died", "api_error"),
        (507, "insufficient_memory", "overloaded_error"),
    ],
)
def test_errors_have_anthropics_words(status: int, code: str | None, kind: str):
    failure = Failure(status=status, message="No.", code=code, param="model", facts={"limit_tokens": 8})
    told = json.loads(messages_error_body(failure))
    assert (told["type"], told["error"]["type"], told["error"]["message"]) == ("error", kind, "No.")
    assert (told["error"]["limit_tokens"], told["error"]["param"]) == (8, "model")
    assert told["request_id"] is None
    if kind != "request_too_large":  # Anthropic's own package has no class for it
        assert ErrorResponse.model_validate(told).error.type == kind
