"""Answers of `/v1/responses`: every event and object is what OpenAI's own types take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_output_text import Logprob
from pydantic import TypeAdapter, ValidationError

from roci.wire.generation import (
    Ended,
    Event,
    Finish,
    LoadEnded,
    Note,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    Timing,
    TokenUsage,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    Transcript,
)
from roci.wire.openai.responses_checks import decode_responses_request
from roci.wire.openai.responses_mcp import ListedServer, ServedTool
from roci.wire.openai.responses_writer import ResponsesWriter
from roci.wire.reply_writer import Begun, Failure

BEGUN = Begun(id="0" * 48, created=1_700_000_000, model="first:2")
ENDED = Ended(TokenUsage(11, 7, 4, 3), Timing())
ANY_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

THOUGHT = [ReasoningDelta("Let me "), ReasoningDelta("think.")]
TEXT = [TextDelta("Hello"), TextDelta(" there")]
CALL = [
    ToolCallStart(0, "call_a", "get_weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Oslo"}'),
    ToolCallEnd(0),
]
CUT_CALL = [ToolCallStart(0, "call_a", "get_weather"), ToolCallDelta(0, '{"ci')]


def writer(**fields: Any) -> ResponsesWriter:
    body = msgspec.json.encode({"model": "first", "input": "hi", **fields})
    return ResponsesWriter(decode_responses_request(body), now=lambda: 1_700_000_005)


def parsed(data: bytes) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for frame in data.decode().split("\n\n")[:-1]:
        name, _, payload = frame.partition("\n")
        event = msgspec.json.decode(payload.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        ANY_EVENT.validate_python(event)
        events.append(event)
    return events


def streamed(events: Iterable[Event], **fields: Any) -> list[dict[str, Any]]:
    made = writer(**fields)
    data = made.start(BEGUN) + b"".join(made.feed(event) for event in events) + made.feed(ENDED)
    found = parsed(data)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert made.final is not None
    assert msgspec.json.decode(made.final) == found[-1]["response"]
    return found


def plain(events: Iterable[Event], **fields: Any) -> dict[str, Any]:
    transcript = Transcript()
    for event in (*events, ENDED):
        transcript.add(event)
    made = writer(**fields)
    reply = msgspec.json.decode(made.whole(BEGUN, transcript))
    assert made.final == msgspec.json.encode(reply)
    Response.model_validate(reply)
    return reply


def without_ids(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "id"} for item in output]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_thought_and_a_text_are_told_in_lm_studios_order():
    events = streamed([LoadEnded(1.0), PromptProgress(11, 4, 11), *THOUGHT, *TEXT, Finish("stop")])
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["output_index"] for event in events[2:-1]] == [0] * 7 + [1] * 7
    thought, text = events[-1]["response"]["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Let me think."}]
    assert thought["summary"] == []
    assert text["content"] == [{"type": "output_text", "text": "Hello there", "annotations": [], "logprobs": []}]
    assert (thought["id"][:3], text["id"][:4]) == ("rs_", "msg_")
    assert {event["item_id"] for event in events[10:15] if "item_id" in event} == {text["id"]}


def test_a_call_is_told_with_its_arguments_as_they_come():
    events = streamed([*TEXT, *CALL, Finish("tool_calls")])
    assert kinds(events)[-7:] == [
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    added, done, call = events[-6]["item"], events[-3], events[-2]["item"]
    assert (added["arguments"], added["status"]) == ("", "in_progress")
    assert (done["arguments"], done["name"]) == ('{"city":"Oslo"}', "get_weather")
    assert (call["call_id"], call["status"]) == ("call_a", "completed")
    assert call["id"].startswith("fc_")


def test_several_calls_are_items_of_their_own_in_order():
    second = [ToolCallStart(1, "call_b", "now"), ToolCallEnd(1)]
    events = streamed([*CALL, *second, Finish("tool_calls")])
    output = events[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [
        ("call_a", '{"city":"Oslo"}'),
        ("call_b", "{}"),
    ]


@pytest.mark.parametrize(
    "events",
    [
        [*THOUGHT, *TEXT, Finish("stop")],
        [*THOUGHT, *TEXT, *CALL, Finish("tool_calls")],
        [*TEXT, Finish("length")],
        [*THOUGHT, Finish("length")],
        [*TEXT, *CUT_CALL, Finish("length")],
        [*CALL, Finish("length")],
        [*THOUGHT, TextDelta(""), Finish("length")],
        [*TEXT, ReasoningDelta(""), *TEXT, Finish("stop")],
        [*CUT_CALL, *TEXT, Finish("stop")],
        [Finish("stop")],
        [Finish("length")],
        [TextDelta(""), *CALL, Note("tool_parse_error", "No JSON."), Finish("tool_calls")],
    ],
)
def test_the_plain_reply_says_what_the_stream_ends_with(events: list[Event]):
    last = streamed(events)[-1]["response"]
    whole = plain(events)
    assert without_ids(last.pop("output")) == without_ids(whole.pop("output"))
    assert last == whole


def test_an_answer_cut_by_the_token_limit_is_incomplete_and_so_is_its_last_item():
    events = streamed([*THOUGHT, *TEXT, Finish("length")])
    assert events[-1]["type"] == "response.incomplete"
    response = events[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["completed_at"] is None


def test_a_call_cut_by_the_token_limit_is_incomplete_with_what_there_is_of_it():
    reply = plain([*TEXT, *CUT_CALL, Finish("length")])
    assert [item["status"] for item in reply["output"]] == ["completed", "incomplete"]
    assert reply["output"][1]["arguments"] == '{"ci'


def test_an_answer_without_a_word_has_an_empty_message():
    reply = plain([Finish("stop")])
    assert reply["output"][0]["content"][0]["text"] == ""
    assert reply["status"] == "completed"


def test_usage_tells_cached_and_reasoning_tokens():
    assert plain([*TEXT, Finish("stop")])["usage"] == {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 18,
    }


def test_log_probabilities_come_as_openais_types_want_them():
    entry = Raw(
        b'{"id":1,"token":"Hello","bytes":null,"logprob":-0.5,'
        b'"top_logprobs":[{"id":1,"token":"Hello","bytes":[72],"logprob":-0.5}]}'
    )
    events = streamed([TextDelta("Hello", logprobs=(entry,)), Finish("stop")], include=["message.output_text.logprobs"])
    (delta,) = [event for event in events if event["type"] == "response.output_text.delta"]
    assert delta["logprobs"][0]["token"] == "Hello"
    told = events[-1]["response"]["output"][0]["content"][0]["logprobs"]
    assert [Logprob.model_validate(item).logprob for item in told] == [-0.5]


def test_a_stream_that_breaks_tells_what_there_is_and_why():
    made = writer()
    data = made.start(BEGUN) + b"".join(made.feed(event) for event in (*THOUGHT, *TEXT))
    failure = Failure(status=503, message="It died.", code="worker_died", facts={"exit_code": -9})
    failed, error = parsed(data + made.fail(failure))[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert failed["response"]["error"]["type"] == "worker_died"
    assert [item["status"] for item in failed["response"]["output"]] == ["completed", "incomplete"]
    assert failed["response"]["output"][1]["content"][0]["text"] == "Hello there"
    assert (error["type"], error["code"], error["error"]["code"]) == ("error", "worker_died", "worker_died")
    assert made.final is None


def test_notes_stand_in_rocis_own_field():
    reply = plain([*TEXT, Note("schema_mismatch", "No city."), Finish("stop")])
    assert reply["roci"] == {"notes": [{"code": "schema_mismatch", "message": "No city."}]}
    assert "roci" not in plain([*TEXT, Finish("stop")])


def test_a_response_tells_what_was_asked():
    schema = {"type": "object"}
    reply = plain(
        [*TEXT, Finish("stop")],
        instructions="Be brief.",
        temperature=0.3,
        max_output_tokens=50,
        metadata={"a": "b"},
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}},
        tools=[{"type": "function", "name": "f", "parameters": schema}],
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        parallel_tool_calls=False,
        store=False,
        truncation="auto",
        user="me",
    )
    assert reply["id"] == "resp_" + "0" * 48
    assert (reply["model"], reply["created_at"], reply["completed_at"]) == ("first:2", 1_700_000_000, 1_700_000_005)
    assert reply["text"]["format"]["schema"] == schema
    assert reply["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": schema, "strict": None}
    ]
    assert reply["tool_choice"]["mode"] == "required"
    assert reply["reasoning"] == {"effort": "low", "summary": "auto"}
    echoed = ("instructions", "temperature", "max_output_tokens", "metadata", "parallel_tool_calls", "store", "user")
    assert [reply[name] for name in echoed] == ["Be brief.", 0.3, 50, {"a": "b"}, False, False, "me"]


def test_what_was_not_asked_is_told_as_it_counted():
    request = decode_responses_request(b'{"model":"first","input":"hi","top_p":0.5}')
    made = ResponsesWriter(request, sampling={"temperature": 0.2, "top_p": 0.9, "top_k": 5})
    (created, _) = parsed(made.start(BEGUN))
    response = created["response"]
    assert (response["temperature"], response["top_p"], response["presence_penalty"]) == (0.2, 0.5, 0.0)
    assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
    assert (response["text"], response["tool_choice"]) == ({"format": {"type": "text"}}, "auto")
    assert (response["truncation"], response["store"], response["service_tier"]) == ("disabled", True, "default")


def test_the_judge_of_these_tests_sees_a_field_that_is_missing():
    (event,) = [event for event in streamed([*TEXT[:1], Finish("stop")]) if event["type"].endswith("text.delta")]
    del event["logprobs"]
    with pytest.raises(ValidationError):
        ANY_EVENT.validate_python(event)


SERVED = {"mcp_add": ServedTool("sums", "add")}
LISTED = [ListedServer("sums", [{"name": "add", "input_schema": {"type": "object"}}])]
TWO_ROUNDS: list[Event] = [
    ToolCallStart(0, "call_a", "mcp_add"),
    ToolCallDelta(0, '{"a":1}'),
    ToolCallEnd(0),
    ToolCallStart(1, "call_b", "mcp_add"),
    ToolCallEnd(1),
    Finish("tool_calls"),
    ToolResult(0, '[{"type":"text","text":"1"}]'),
    ToolResult(1, '"No a."', is_error=True),
    *TEXT,
    Finish("stop"),
]


def test_calls_that_the_server_makes_are_told_with_their_results():
    request = decode_responses_request(b'{"model":"first","input":"hi"}')
    made = ResponsesWriter(request, listed=LISTED, served=SERVED, now=lambda: 5)
    data = made.start(BEGUN) + b"".join(made.feed(event) for event in (*TWO_ROUNDS, ENDED))
    events = parsed(data)
    assert kinds(events)[2:-8] == [
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
        "mcp_call.failed",
        "output_item.done",
    ]
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["mcp_list_tools", "mcp_call", "mcp_call", "message"]
    assert (output[1]["name"], output[1]["server_label"]) == ("add", "sums")
    assert (output[1]["status"], output[1]["output"]) == ("completed", "1")
    assert (output[2]["status"], output[2]["error"]["content"]) == ("failed", "No a.")
    transcript = Transcript()
    for event in (*TWO_ROUNDS, ENDED):
        transcript.add(event)
    whole = msgspec.json.decode(ResponsesWriter(request, listed=LISTED, served=SERVED).whole(BEGUN, transcript))
    assert without_ids(whole["output"]) == without_ids(output)
    Response.model_validate(whole)
