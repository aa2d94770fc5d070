"""What a chat request may hold: each fault is a 400 that names its field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roci.errors import BadRequestError
from roci.wire.openai.requests import decode_chat_request

USER = {"role": "user", "content": "hi"}
GOOD: dict[str, Any] = {"model": "m", "messages": [USER]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def called_with(arguments: object) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [call]}]}


def refused(body: dict[str, Any] | bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        decode_chat_request(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 1}, "model"),
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [USER, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        (called_with("{"), "messages[1].tool_calls[0].function.arguments"),
        (called_with("[]"), "messages[1].tool_calls[0].function.arguments"),
        (called_with({}), "messages[1].tool_calls[0].function.arguments"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": "x"}, "stream_options"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": float("-inf")}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 101}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_p": 4}, "top_p"),
        ({"min_p": "3"}, "min_p"),
        ({"top_k": -1}, "top_k"),
        ({"repeat_penalty": 0}, "repeat_penalty"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"seed": 1.5}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"stop": 3}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stop": ["a"] * 65}, "stop"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "bogus"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice.function.name",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"reasoning_format": "loud"}, "reasoning_format"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(fields: dict[str, Any], param: str):
    error = refused(GOOD | fields)
    assert error.param == param
    assert param in error.message


def test_a_field_that_is_missing_is_named():
    error = refused({key: value for key, value in GOOD.items() if key != "messages"})
    assert (error.param, error.code) == ("messages", "missing_field")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b"  \n", "empty_body"),
        (b"{", "invalid_json"),
        (b"hello", "invalid_json"),
        (b"[]", "invalid_type"),
        (b'"x"', "invalid_type"),
        (b'{"model": "m\xff"}', "invalid_json"),
        (json.dumps(GOOD).encode()[:-1] + b', "x": "\xff"}', "invalid_json"),
        (b'{"model": "m", "x": ' + b"[" * 100_000, "invalid_json"),
        (b'{"model": "m", "x": "\\ud800"}', "invalid_json"),
    ],
)
def test_a_body_that_is_no_object_of_json_is_refused(body: bytes, code: str):
    assert refused(body).code == code


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": None},
        {"max_tokens": -1},
        {"max_completion_tokens": 5, "max_tokens": 7},
        {"temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0, "seed": -1},
        {"stream": None, "n": None, "stop": None, "tools": None, "tool_choice": None, "response_format": None},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": True}}},
        called_with("{}"),
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "x"}]}]},
        {"something_new": {"a": [1]}},
    ],
)
def test_what_is_right_is_taken(fields: dict[str, Any]):
    request = decode_chat_request(json.dumps(GOOD | fields).encode())
    assert request.model == "m"


def test_the_message_lists_what_a_field_takes():
    assert "user" in refused(GOOD | {"messages": [{"role": "robot", "content": ""}]}).message
