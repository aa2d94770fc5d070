"""OpenAI's chat chunks and replies, made from events."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from roci.wire.generation import (
    Ended,
    Event,
    Finish,
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
from roci.wire.openai.chat_ask import chat_ask
from roci.wire.openai.chat_writer import ChatWriter
from roci.wire.reply_writer import Begun, Failure

BEGUN = Begun(id="ab" * 24, created=7, model="first:2")
ENDED = Ended(TokenUsage(5, 3, 2, 1), Timing(tokens_per_second=9.0))


def writer(**fields: Any) -> ChatWriter:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return ChatWriter(chat_ask(json.dumps(body).encode()).chat)


def chunks(written: bytes) -> list[Any]:
    events = written.decode().split("\n\n")
    assert events.pop() == ""
    return [event[6:] if event == "data: [DONE]" else json.loads(event.removeprefix("data: ")) for event in events]


def stream(of: ChatWriter, *events: Event) -> list[Any]:
    return chunks(of.start(BEGUN) + b"".join(of.feed(event) for event in events))


def whole(of: ChatWriter, *events: Event) -> dict[str, Any]:
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    return json.loads(of.whole(BEGUN, transcript))


def test_a_stream_names_the_instance_twice_and_begins_with_a_role():
    first, text, last, done = stream(writer(), TextDelta("a\n"), Finish("stop"), ENDED)
    assert first["model"] == first["system_fingerprint"] == "first:2"
    assert first["id"] == "chatcmpl-" + "ab" * 12
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text["choices"] == [{"index": 0, "delta": {"content": "a\n"}, "logprobs": None, "finish_reason": None}]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"


def test_usage_ends_every_stream_on_the_last_chunk_that_has_a_choice():
    *_, last, _ = stream(writer(stream=True), TextDelta("a"), Finish("stop"), ENDED)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_usage_that_was_asked_for_has_a_chunk_of_its_own():
    of = writer(stream=True, stream_options={"include_usage": True})
    *_, finish, last, _ = stream(of, TextDelta("a"), Finish("stop"), ENDED)
    assert "usage" not in finish
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 8


def test_reasoning_goes_out_under_its_name_and_its_alias():
    _, chunk = stream(writer(), ReasoningDelta("hm"))
    assert chunk["choices"][0]["delta"] == {"reasoning_content": "hm", "reasoning": "hm"}


def test_calls_stream_like_openais():
    calls = (ToolCallStart(0, "call_1", "f"), ToolCallDelta(0, '{"a":1}'), ToolCallEnd(0), Finish("tool_calls"), ENDED)
    _, start, piece, last, _ = stream(writer(), *calls)
    (call,) = start["choices"][0]["delta"]["tool_calls"]
    assert call == {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    (more,) = piece["choices"][0]["delta"]["tool_calls"]
    assert more == {"index": 0, "function": {"arguments": '{"a":1}'}}
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    message = whole(writer(), *calls)["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_a_cut_call_is_no_call_and_its_text_is_in_a_note():
    reply = whole(writer(), ToolCallStart(0, "call_1", "f"), ToolCallDelta(0, '{"a"'), Finish("length"), ENDED)
    (choice,) = reply["choices"]
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "length"
    (note,) = choice["roci"]["notes"]
    assert note["code"] == "tool_call_cut"
    assert 'f {"a"' in note["message"]


def test_several_answers_are_told_apart():
    of = writer(n=2)
    said = stream(of, TextDelta("b", 1), TextDelta("a", 0), Finish("stop", 1), Finish("length", 0), ENDED)
    roles, texts = said[:2], said[2:4]
    assert [chunk["choices"][0]["index"] for chunk in roles] == [0, 1]
    assert [chunk["choices"][0]["delta"]["content"] for chunk in texts] == ["b", "a"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in said[4:6]] == ["stop", "length"]
    assert "usage" in said[5]
    assert "usage" not in said[4]


def test_logprobs_stand_beside_their_text():
    entry = Raw(b'{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}')
    _, chunk = stream(writer(logprobs=True), TextDelta("a", 0, (entry,)))
    assert chunk["choices"][0]["logprobs"]["content"][0]["token"] == "a"
    reply = whole(writer(logprobs=True), TextDelta("a", 0, (entry,)), Finish("stop"), ENDED)
    assert reply["choices"][0]["logprobs"]["content"][0]["logprob"] == -0.5


def test_notes_are_in_rocis_own_field():
    *_, last, _ = stream(writer(), TextDelta("x"), Note("tool_parse_error", "why"), Finish("stop"), ENDED)
    assert last["roci"] == {"notes": [{"code": "tool_parse_error", "message": "why"}]}


def test_progress_is_shown_to_who_asked():
    of = writer(return_progress=True)
    _, chunk = stream(of, PromptProgress(10, 2, 6))
    assert chunk["prompt_progress"] == {"total": 10, "cache": 2, "processed": 6}
    assert stream(writer(), PromptProgress(10, 2, 6))[1:] == []


def test_a_stream_that_breaks_ends_with_an_error_and_no_done():
    (event,) = chunks(writer().fail(Failure(status=503, message="gone", code="worker_died")))
    assert event == {"error": {"message": "gone", "type": "server_error", "param": None, "code": "worker_died"}}


def test_the_load_and_the_context_are_told_at_the_end_beside_the_notes():
    ended = Ended(TokenUsage(5, 3), Timing(load_time_s=1.5, context_length=256))
    events = (TextDelta("x"), Note("n", "m"), Finish("stop"), ended)
    told = {"load_time_s": 1.5, "context_length": 256}

    reply = whole(writer(), *events)
    assert (reply["roci"], reply["choices"][0]["roci"]) == (told, {"notes": [{"code": "n", "message": "m"}]})
    *_, last, _ = stream(writer(), *events)
    assert last["roci"] == {"notes": [{"code": "n", "message": "m"}]} | told
    *_, notes, usage, _ = stream(writer(stream_options={"include_usage": True}), *events)
    assert (notes["roci"], usage["roci"]) == ({"notes": [{"code": "n", "message": "m"}]}, told)
