"""Line 6 of the checklist: the order of every stream's events, and which of them end with `[DONE]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conformance.checklist.conftest import TOOL, checked_gateway, frames, post, runs
from tests.server.conftest import Gateway
from tests.support.compatibility import compatible
from tests.support.starter_gateway import KEY

WEATHER = {"name": "get_weather", "input_schema": TOOL["function"]["parameters"]}
FLAT_TOOL = {"type": "function", **TOOL["function"]}


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def names(found: list[tuple[str, Any]]) -> list[str]:
    """The events' names, which their JSON repeats."""
    assert all(name == data["type"] for name, data in found)
    return [name for name, _ in found]


@compatible("POST /api/v1/chat", "events `chat.start`, `chat.end`, no `[DONE]`", "same")
@compatible("POST /api/v1/chat", "events `model_load.start`, `.progress`, `.end`", "same")
@compatible("POST /api/v1/chat", "events `reasoning.start`, `.delta`, `.end`", "same")
@compatible("POST /api/v1/chat", "events `message.start`, `.delta`, `.end`", "same")
def test_line_6_native_chat_that_loads_a_thinking_model(tmp_path: Path):
    with checked_gateway(tmp_path) as gateway:
        found = frames(gateway, "/api/v1/chat", {"model": "thinker", "input": "#think"})
    order = runs(names(found))
    optional = [name for name in order if name == "model_load.progress"]
    assert [name for name in order if name not in optional] == [
        "chat.start",
        "model_load.start",
        "model_load.end",
        "prompt_processing.start",
        "prompt_processing.end",
        "reasoning.start",
        "reasoning.delta",
        "reasoning.end",
        "message.start",
        "message.delta",
        "message.end",
        "chat.end",
    ]
    if optional:
        assert order[1:4] == ["model_load.start", "model_load.progress", "model_load.end"]
    assert set(found[0][1]) == {"type", "model_instance_id"}
    assert [item["type"] for item in found[-1][1]["result"]["output"]] == ["reasoning", "message"]


@compatible("POST /api/v1/chat", "events `prompt_processing.start`, `.progress`, `.end`", "same")
def test_line_6_native_chat_tells_of_the_prompt(shared: Gateway):
    post(shared, "/v1/chat/completions", {"model": "first", "messages": said("hi")})  # loads it
    found = frames(shared, "/api/v1/chat", {"model": "first", "input": "#progress"})
    assert runs(names(found)) == [
        "chat.start",
        "prompt_processing.start",
        "prompt_processing.progress",
        "prompt_processing.end",
        "chat.end",
    ]
    progress = [data["progress"] for name, data in found if name == "prompt_processing.progress"]
    assert progress == sorted(progress)
    assert progress[-1] == 1


@compatible("POST /api/v1/chat", "event `error`, then `chat.end` with what had come", "same")
def test_line_6_native_chat_that_breaks(shared: Gateway):
    found = frames(shared, "/api/v1/chat", {"model": "first", "input": "#die"})
    assert names(found)[-2:] == ["error", "chat.end"]
    assert found[-2][1]["error"]["code"] == "worker_died"
    assert found[-1][1]["result"]["output"][0]["content"]


@compatible(
    "POST /v1/chat/completions", "stream: unnamed chunks with `role`, text, `finish_reason`, then `[DONE]`", "same"
)
@compatible("POST /v1/chat/completions", "`stream_options.include_usage`", "same", "a chunk with empty `choices`")
def test_line_6_chat_completions(shared: Gateway):
    body = {"model": "first", "messages": said("hi"), "stream_options": {"include_usage": True}}
    found = frames(shared, "/v1/chat/completions", body)
    assert {name for name, _ in found} == {""}
    *chunks, done = [data for _, data in found]
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("content" in chunk["choices"][0]["delta"] for chunk in chunks[1:-2])
    assert (chunks[-2]["choices"][0]["delta"], chunks[-2]["choices"][0]["finish_reason"]) == ({}, "stop")
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"] > 0) == ([], True)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


@compatible(
    "POST /v1/chat/completions",
    "usage on streams that did not ask for it",
    "better",
    "on the last chunk; LM Studio sends none",
)
def test_line_6_every_chat_stream_ends_with_usage(shared: Gateway):
    *chunks, _ = [data for _, data in frames(shared, "/v1/chat/completions", {"model": "first", "messages": said("")})]
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert not any("usage" in chunk for chunk in chunks[:-1])


@compatible(
    "POST /v1/chat/completions", "stream: `delta.reasoning_content` before the text", "same", "`delta.reasoning` too"
)
def test_line_6_chat_completions_of_a_thinking_model(shared: Gateway):
    found = frames(shared, "/v1/chat/completions", {"model": "thinker", "messages": said("#think")})
    deltas = [data["choices"][0]["delta"] for _, data in found[1:-2]]
    thoughts = [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta]
    assert "".join(thoughts) == "Let me see."
    assert runs(["reasoning_content" in delta for delta in deltas]) == [True, False]


@compatible("POST /v1/chat/completions", "stream: `delta.tool_calls`, name first, arguments in pieces", "same")
def test_line_6_chat_completions_with_a_call(shared: Gateway):
    found = frames(shared, "/v1/chat/completions", {"model": "tools", "messages": said("#tools"), "tools": [TOOL]})
    chunks = [data["choices"][0] for _, data in found[:-1]]
    pieces = [chunk["delta"]["tool_calls"][0] for chunk in chunks if "tool_calls" in chunk["delta"]]
    first, *rest = pieces
    assert (first["index"], first["type"], first["function"]) == (
        0,
        "function",
        {"name": "get_weather", "arguments": ""},
    )
    assert first["id"]
    assert all(set(piece) == {"index", "function"} for piece in rest)
    assert "".join(piece["function"]["arguments"] for piece in rest).startswith("{")
    assert chunks[-1]["finish_reason"] == "tool_calls"


@compatible("POST /v1/completions", "stream: chunks with `text`, `finish_reason`, then `[DONE]`", "same")
@compatible("POST /api/v0/completions", "stream: chunks with `text`, `finish_reason`, then `[DONE]`", "same")
@pytest.mark.parametrize("path", ["/v1/completions", "/api/v0/completions"])
def test_line_6_completions(real: httpx2.Client, path: str):
    body = {"model": KEY, "prompt": "The sky is", "max_tokens": 4, "temperature": 0, "stream": True}
    reply = real.post(path, json=body)
    *chunks, done = [frame.removeprefix("data: ") for frame in reply.text.split("\n\n") if frame.startswith("data: ")]
    assert done == "[DONE]"
    assert "event:" not in reply.text
    assert all('"text_completion"' in chunk and '"text"' in chunk for chunk in chunks[:-1])
    assert '"finish_reason":"length"' in chunks[-1]


@compatible("POST /v1/responses", "stream: events of reasoning and text in order, each with `sequence_number`", "same")
def test_line_6_responses_of_a_thinking_model(shared: Gateway):
    found = frames(shared, "/v1/responses", {"model": "thinker", "input": "#think"})
    assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
    assert runs(names(found)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@compatible("POST /v1/responses", "stream: events of a function call", "same", "the arguments' deltas always come")
def test_line_6_responses_with_a_call(shared: Gateway):
    found = frames(shared, "/v1/responses", {"model": "tools", "input": "#tools", "tools": [FLAT_TOOL]})
    assert runs(names(found)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    (added,) = [data["item"] for name, data in found if name == "response.output_item.added"]
    assert (added["type"], added["name"], added["arguments"]) == ("function_call", "get_weather", "")


@compatible("POST /v1/responses", "stream that breaks: `response.failed` and `error`", "same")
def test_line_6_responses_that_break(shared: Gateway):
    assert names(frames(shared, "/v1/responses", {"model": "first", "input": "#die"}))[-2:] == [
        "response.failed",
        "error",
    ]


@compatible("POST /v1/messages", "events `message_start`, `content_block_*`, `message_delta`, `message_stop`", "same")
@compatible("POST /v1/messages", "`thinking` blocks", "same")
def test_line_6_messages_of_a_thinking_model(shared: Gateway):
    found = frames(shared, "/v1/messages", {"model": "thinker", "max_tokens": 99, "messages": said("#think")})
    assert runs(names(found)) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [data["content_block"]["type"] for name, data in found if name == "content_block_start"] == [
        "thinking",
        "text",
    ]
    assert found[-2][1]["delta"]["stop_reason"] == "end_turn"


@compatible("POST /v1/messages", "`tool_use` blocks with `input_json_delta`", "same")
def test_line_6_messages_with_a_call(shared: Gateway):
    body = {"model": "tools", "max_tokens": 99, "messages": said("#tools"), "tools": [WEATHER]}
    found = frames(shared, "/v1/messages", body)
    assert runs(names(found)) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[1][1]["content_block"]["type"] == "tool_use"
    assert {data["delta"]["type"] for name, data in found if name == "content_block_delta"} == {"input_json_delta"}
    assert found[-2][1]["delta"]["stop_reason"] == "tool_use"


@compatible("POST /v1/messages", "event `error` where a stream breaks", "same")
def test_line_6_messages_that_break(shared: Gateway):
    found = frames(shared, "/v1/messages", {"model": "first", "max_tokens": 99, "messages": said("#die")})
    assert names(found)[-1] == "error"


@compatible("POST /api/v0/chat/completions", "stream: as `/v1`, then `[DONE]`", "same")
@compatible("POST /api/v0/chat/completions", "figures at a stream's end", "better", "LM Studio's streams have none")
def test_line_6_v0_chat(shared: Gateway):
    found = frames(shared, "/api/v0/chat/completions", {"model": "first", "messages": said("hi")})
    assert {name for name, _ in found} == {""}
    *chunks, done = [data for _, data in found]
    assert done == "[DONE]"
    assert chunks[-1]["stats"]["stop_reason"] == "eosFound"


def test_line_6_the_events_of_each_stream_are_those_that_the_description_names(shared: Gateway):
    described = {
        path: set(operation["responses"]["200"]["content"]["text/event-stream"]["x-events"])
        for path, methods in shared.client.get("/openapi.json").json()["paths"].items()
        for operation in methods.values()
        if "text/event-stream" in operation["responses"]["200"]["content"]
    }
    for path, fields in (("/api/v1/chat", {"input": "#think"}), ("/v1/responses", {"input": "#think"})):
        told = set(names(frames(shared, path, {"model": "thinker", **fields})))
        assert told <= described[path]
    body = {"model": "thinker", "max_tokens": 99, "messages": said("#think")}
    assert set(names(frames(shared, "/v1/messages", body))) <= described["/v1/messages"]
    assert described["/v1/chat/completions"] == set()
