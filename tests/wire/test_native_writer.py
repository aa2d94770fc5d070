"""The answer of `/api/v1/chat` as it goes out: its events in order, and the plain reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roci.wire.generation import (
    Ended,
    Event,
    Finish,
    LoadEnded,
    LoadProgress,
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
    ToolResult,
    Transcript,
)
from roci.wire.lmstudio.chat_writer import NativeChatWriter
from roci.wire.lmstudio.error_shape import native_error_body
from roci.wire.reply_writer import Begun, Failure
from tests.support.compatibility import compatible

BEGUN = Begun(id="0123456789ab" * 4, created=1, model="m:2")
USAGE = TokenUsage(prompt_tokens=9, completion_tokens=5, cached_tokens=2, reasoning_tokens=2)
TIMING = Timing(time_to_first_token_s=0.25, generation_time_s=1.0, tokens_per_second=5.0)
ENDED = Ended(USAGE, TIMING)
PROVIDERS = {"look": {"type": "ephemeral_mcp", "server_label": "docs"}}


def events(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for frame in data.decode().removesuffix("\n\n").split("\n\n"):
        name, _, body = frame.partition("\n")
        found.append(json.loads(body.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def streamed(*given: Event, writer: NativeChatWriter | None = None) -> list[dict[str, Any]]:
    writer = writer or NativeChatWriter()
    return events(writer.start(BEGUN) + b"".join(writer.feed(event) for event in given))


def whole(*given: Event, writer: NativeChatWriter | None = None) -> dict[str, Any]:
    transcript = Transcript()
    for event in given:
        transcript.add(event)
    return json.loads((writer or NativeChatWriter()).whole(BEGUN, transcript))


def names(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in found]


def tool_round(index: int, name: str, arguments: str, result: ToolResult) -> list[Event]:
    calls = [ToolCallStart(index, f"call_{index}", name), ToolCallDelta(index, arguments), ToolCallEnd(index)]
    return [*calls, Finish("tool_calls"), result]


EVERYTHING: list[Event] = [
    LoadStarted(),
    LoadProgress(0.5),
    LoadEnded(1.5),
    PromptProgress(9, 2, 2),
    PromptProgress(9, 2, 9),
    ReasoningDelta("Hm", tokens=2),
    *tool_round(0, "look", '{"for":', ToolResult(0, '[{"type":"text","text":"found"}]')),
    PromptProgress(20, 9, 20),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finish("stop"),
    ENDED,
]
EVERYTHING.insert(EVERYTHING.index(ToolCallEnd(0)), ToolCallDelta(0, ' "x"}'))


@compatible("POST /api/v1/chat", "events `tool_call.start`, `.arguments`, `.success`", "same")
def test_all_kinds_of_events_come_in_their_order():
    found = streamed(*EVERYTHING, writer=NativeChatWriter(providers=PROVIDERS))
    from_docs = {"provider_info": PROVIDERS["look"], "tool": "look"}
    arguments = {"for": "x"}
    output = '[{"type":"text","text":"found"}]'
    assert found[:-1] == [
        {"type": "chat.start", "model_instance_id": "m:2"},
        {"type": "model_load.start", "model_instance_id": "m:2"},
        {"type": "model_load.progress", "model_instance_id": "m:2", "progress": 0.5},
        {"type": "model_load.end", "model_instance_id": "m:2", "load_time_seconds": 1.5},
        {"type": "prompt_processing.start"},
        {"type": "prompt_processing.progress", "progress": 0.0},
        {"type": "prompt_processing.progress", "progress": 1.0},
        {"type": "prompt_processing.end"},
        {"type": "reasoning.start"},
        {"type": "reasoning.delta", "content": "Hm"},
        {"type": "reasoning.end"},
        {"type": "tool_call.start", **from_docs},
        {"type": "tool_call.arguments", "arguments": arguments, **from_docs},
        {"type": "tool_call.success", "arguments": arguments, "output": output, **from_docs},
        {"type": "prompt_processing.start"},
        {"type": "prompt_processing.progress", "progress": 1.0},
        {"type": "prompt_processing.end"},
        {"type": "message.start"},
        {"type": "message.delta", "content": "Hel"},
        {"type": "message.delta", "content": "lo"},
        {"type": "message.end"},
    ]
    assert found[-1]["type"] == "chat.end"


def test_the_last_event_holds_the_plain_reply():
    found = streamed(*EVERYTHING, writer=NativeChatWriter(providers=PROVIDERS))
    reply = whole(*EVERYTHING, writer=NativeChatWriter(providers=PROVIDERS))
    assert found[-1]["result"] == reply
    assert reply == {
        "model_instance_id": "m:2",
        "output": [
            {"type": "reasoning", "content": "Hm"},
            {
                "type": "tool_call",
                "tool": "look",
                "arguments": {"for": "x"},
                "output": '[{"type":"text","text":"found"}]',
                "provider_info": PROVIDERS["look"],
            },
            {"type": "message", "content": "Hello"},
        ],
        "stats": {
            "input_tokens": 9,
            "total_output_tokens": 5,
            "reasoning_output_tokens": 2,
            "tokens_per_second": 5.0,
            "time_to_first_token_seconds": 0.25,
            "model_load_time_seconds": 1.5,
            "cached_input_tokens": 2,
            "stop_reason": "eosFound",
        },
        "response_id": f"resp_{BEGUN.id}",
    }


def test_an_answer_that_is_not_stored_has_no_id():
    assert "response_id" not in whole(Finish("stop"), ENDED, writer=NativeChatWriter(is_stored=False))


def test_a_model_that_was_loaded_before_has_no_load_time():
    assert "model_load_time_seconds" not in whole(TextDelta("x"), Finish("stop"), ENDED)["stats"]


def test_prompt_processing_is_told_even_where_nobody_measured_it():
    found = streamed(TextDelta("x"), Finish("stop"), ENDED)
    assert names(found) == [
        "chat.start",
        "prompt_processing.start",
        "prompt_processing.end",
        "message.start",
        "message.delta",
        "message.end",
        "chat.end",
    ]


def test_an_empty_answer_still_says_why_it_ended():
    found = streamed(PromptProgress(5, 0, 0), Finish("length"), ENDED)
    assert names(found)[1:] == [
        "prompt_processing.start",
        "prompt_processing.progress",
        "prompt_processing.end",
        "chat.end",
    ]
    assert found[-1]["result"]["output"] == []
    assert found[-1]["result"]["stats"]["stop_reason"] == "maxPredictedTokensReached"


def test_reasoning_and_text_that_alternate_open_and_close_each_other():
    found = streamed(ReasoningDelta("a"), TextDelta("b"), ReasoningDelta("c"), Finish("stop"), ENDED)
    assert names(found)[3:-1] == [
        f"{group}.{part}" for group in ("reasoning", "message", "reasoning") for part in ("start", "delta", "end")
    ]
    assert [item["type"] for item in found[-1]["result"]["output"]] == ["reasoning", "message", "reasoning"]


def test_an_empty_piece_is_no_event():
    assert names(streamed(TextDelta(""), Finish("stop"), ENDED)) == [
        "chat.start",
        "prompt_processing.start",
        "prompt_processing.end",
        "chat.end",
    ]


@compatible("POST /api/v1/chat", "event `tool_call.failure`, item `invalid_tool_call`", "same")
@pytest.mark.parametrize(("name", "kind"), [("nobody", "invalid_name"), ("look", "invalid_arguments")])
def test_a_call_that_could_not_be_made_is_a_failure_and_an_invalid_call(name: str, kind: str):
    given = [*tool_round(0, name, '{"a": 1}', ToolResult(0, "No.", is_error=True)), TextDelta("x"), Finish("stop")]
    found = streamed(*given, ENDED, writer=NativeChatWriter(providers=PROVIDERS))
    failure = next(event for event in found if event["type"] == "tool_call.failure")
    assert failure["reason"] == "No."
    metadata = {"type": kind, "tool_name": name, "arguments": {"a": 1}}
    if name in PROVIDERS:
        metadata["provider_info"] = PROVIDERS[name]
    assert failure["metadata"] == metadata
    item = found[-1]["result"]["output"][0]
    assert item == {"type": "invalid_tool_call", "reason": "No.", "metadata": metadata}


def test_a_call_that_the_token_limit_cut_is_an_invalid_call():
    cut = [ToolCallStart(0, "call_0", "look"), ToolCallDelta(0, '{"a'), Finish("length"), ENDED]
    (item,) = whole(*cut, writer=NativeChatWriter(providers=PROVIDERS))["output"]
    assert item["type"] == "invalid_tool_call"
    assert item["reason"] == "The call was cut off."
    assert "arguments" not in item["metadata"]


def test_a_stream_that_breaks_ends_with_the_error_and_what_had_come():
    writer = NativeChatWriter()
    data = writer.start(BEGUN)
    for event in (PromptProgress(7, 0, 7), ReasoningDelta("Hm", tokens=3), TextDelta("He"), TextDelta("l")):
        data += writer.feed(event)
    data += writer.fail(Failure(status=503, message="It died.", code="worker_died"))
    error, end = events(data)[-2:]
    assert error == {
        "type": "error",
        "error": {"type": "internal_error", "message": "It died.", "code": "worker_died"},
    }
    assert end["type"] == "chat.end"
    assert end["result"]["output"] == [{"type": "reasoning", "content": "Hm"}, {"type": "message", "content": "Hel"}]
    assert "response_id" not in end["result"]
    stats = end["result"]["stats"]
    assert (stats["input_tokens"], stats["total_output_tokens"], stats["reasoning_output_tokens"]) == (7, 5, 3)
    assert "stop_reason" not in stats


def test_notes_are_told_in_a_field_of_their_own():
    reply = whole(TextDelta("x"), Note("tool_parse_error", "why"), Finish("stop"), ENDED)
    assert reply["roci"] == {"notes": [{"code": "tool_parse_error", "message": "why"}]}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (
            Failure(status=404, message="m", code="model_not_found", param="model", facts={"similar": ["a"]}),
            {"type": "model_not_found", "message": "m", "code": "model_not_found", "param": "model", "similar": ["a"]},
        ),
        (
            Failure(status=400, message="m", code="unrecognized_keys"),
            {"type": "invalid_request", "message": "m", "code": "unrecognized_keys"},
        ),
        (Failure(status=404, message="m", code="unknown_path"), {"type": "invalid_request", "code": "unknown_path"}),
        (Failure(status=404, message="m", code="job_not_found"), {"type": "job_not_found"}),
        (Failure(status=502, message="m", code="mcp_connection_error"), {"type": "mcp_connection_error"}),
        (Failure(status=401, message="m", code="invalid_api_key"), {"type": "invalid_request"}),
        (
            Failure(status=507, message="m", code="insufficient_memory", facts={"needed_bytes": 5, "message": "x"}),
            {"type": "internal_error", "needed_bytes": 5, "message": "m"},
        ),
        (Failure(status=500, message="m"), {"type": "internal_error", "message": "m"}),
    ],
)
def test_an_error_has_the_type_that_its_code_or_status_means(failure: Failure, error: dict[str, Any]):
    told = json.loads(native_error_body(failure))["error"]
    assert {name: told.get(name) for name in error} == error
