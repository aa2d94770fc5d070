"""Schemas as they go out, the same for every dialect, and servers that do not take them."""

from __future__ import annotations

from typing import Any

import pytest

from roci.errors import BadRequestError, ContextTooLongError, ServerBusyError, ServerFailedError, UsageError
from roci.types.settings import ResponseFormat
from roci.wire.openai.convert import wire_response_format
from roci.wire.openai.response_format import refuses_format
from roci.wire.schema.enforceable import enforceable


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "array"}, {"type": "array"}),
        ({"type": ["integer", "null"]}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (
            {"properties": {"a": {"type": "string", "title": "A", "description": "words", "default": "x"}}},
            {
                "type": "object",
                "properties": {"a": {"type": "string", "description": "words"}},
                "additionalProperties": False,
            },
        ),
        (
            {"type": "object", "properties": {"title": {"type": "string"}, "default": {"enum": [{"title": 1}]}}},
            {
                "type": "object",
                "properties": {"title": {"type": "string"}, "default": {"const": {"title": 1}}},
                "additionalProperties": False,
            },
        ),
        (
            {"$ref": "#/definitions/A", "definitions": {"A": {"type": "string"}, "B": {"type": "null"}}},
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}},
        ),
    ],
)
def test_what_is_sent(schema: dict[str, Any], sent: dict[str, Any]) -> None:
    part = enforceable(schema)

    assert part.schema == sent
    assert enforceable(part.schema).schema == sent
    wire = wire_response_format(ResponseFormat.json_schema(schema, name="n"))
    assert wire == {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": sent}}


def test_what_no_server_enforces_is_named() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True, "items": {"not": {}}}}}

    assert set(enforceable(schema).checked_only) >= {"properties.a.uniqueItems", "properties.a.items.not"}


def test_a_schema_too_large_for_a_grammar_is_left_to_the_server() -> None:
    schema = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(3000)}}

    part = enforceable(schema)

    assert len(part.schema["properties"]) == 3000
    assert "very large" in part.checked_only[0]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"$ref": "#/$defs/none"},
        {"$ref": "https://example.org/schema"},
        {"a": object()},
        {"enum": []},
    ],
)
def test_what_is_no_schema_is_the_callers_fault(schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        enforceable(schema)

    assert caught.value.field.startswith("schema")


@pytest.mark.parametrize(
    ("error", "refuses"),
    [
        # LM Studio, llama.cpp, vLLM, OpenAI, Ollama
        (BadRequestError("'response_format.type' must be 'json_schema' or 'text'", status=400), True),
        (BadRequestError("Failed to parse grammar", status=400), True),
        (ServerFailedError("Failed to initialize samplers: failed to parse grammar", status=500), True),
        (BadRequestError("The provided JSON schema contains features not supported by xgrammar.", status=400), True),
        (BadRequestError("Invalid parameter", status=400, param="response_format"), True),
        (BadRequestError('invalid format: expected "json" or a JSON schema', status=400), True),
        # other things
        (BadRequestError("temperature must be above 0", status=400, param="temperature"), False),
        (ServerFailedError("out of memory", status=500), False),
        (ServerBusyError("the schema queue is full", status=503), False),
        (ContextTooLongError("too long for the schema", status=400), False),
    ],
)
def test_a_refusal_of_the_form_is_told_from_others(error: Any, refuses: bool) -> None:
    assert refuses_format(error) == refuses
