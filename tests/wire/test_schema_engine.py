"""What llama.cpp's grammar really enforces of a normalised schema, and what it lets through, with the real engine.

Each case is made so that the model would rather write something else.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roci.engine.worker_process import WorkerOptions, WorkerProcess
from roci.wire.schema.plan import plan_schema
from tests.support.planned import Answered, ask_planned, chat_request, json_schema
from tests.support.workers import PATIENCE_S

ENFORCED: dict[str, dict[str, Any]] = {
    "a list of types": {"type": ["integer", "null"]},
    "an enum of several types": {"enum": [3.5, None]},
    "an enum that its type narrows": {"type": "string", "enum": ["x", 3, None]},
    "a constant object": {"const": {"a": [1, 2]}},
    "an anchored pattern": {"type": "string", "pattern": "^[a-f]{3}[0-9]+$"},
    "a pattern with classes": {"type": "string", "pattern": "^\\d{3}-\\w{2}$"},
    "a pattern with a dot": {"type": "string", "pattern": "^a.c$"},
    "a pattern that excludes letters": {"type": "string", "pattern": "^[^x]{5}$"},
    "a pattern with escapes": {"type": "string", "pattern": "^\\(\\d\\)\\.\\[x\\]$"},
    "a pattern with choices": {"type": "string", "pattern": "^(foo|ba[rz])-?\\d{2}$"},
    "a text's least length": {"type": "string", "minLength": 12, "maxLength": 14},
    "a text's largest length": {"type": "string", "maxLength": 1},
    "whole numbers between bounds": {"type": "integer", "exclusiveMinimum": 13, "maximum": 15},
    "draft 4's exclusive bound": {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4},
    "a number of items": {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 3},
    "an empty array": {"type": "array", "maxItems": 0},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
    "a tuple and more": {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"const": 7}, "minItems": 3},
    "draft 7's tuple": {"type": "array", "items": [{"type": "null"}, {"type": "boolean"}]},
    "parts that hold together": {
        "type": "object",
        "properties": {"z": {"type": "integer"}},
        "required": ["z"],
        "allOf": [{"properties": {"b": {"type": "boolean"}}, "required": ["b"]}],
    },
    "a choice beside properties": {
        "properties": {"z": {"type": "null"}},
        "anyOf": [{"required": ["z"]}, {"required": ["z", "y"], "properties": {"y": {"const": 1}}}],
    },
    "OpenAPI's nullable": {"enum": ["x", "y"], "type": "string", "nullable": True},
    "a required property without a schema": {"properties": {"a": {"const": 1}}, "required": ["a", "q"]},
    "true and false as schemas": {"properties": {"a": {"const": 1}, "b": False}, "required": ["a"]},
    "names with quotes": {"properties": {'a "b" \\ é': {"const": 1}}, "required": ['a "b" \\ é']},
    "a uuid": {"type": "string", "format": "uuid"},
    "two thousand words": {"enum": [f"word number {number}" for number in range(2000)]},
}

REFERENCES: dict[str, dict[str, Any]] = {
    "kinds told apart by a constant": {
        "oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        "$defs": {
            "A": {"type": "object", "properties": {"k": {"const": "a"}, "n": {"const": 1}}, "required": ["k", "n"]},
            "B": {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]},
        },
    },
    "a schema that refers to itself": {
        "type": "object",
        "properties": {"n": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["n"],
    },
    "keywords beside a reference": {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/N", "maximum": 3, "minimum": 3}},
        "required": ["a"],
        "definitions": {"N": {"type": "integer"}},
    },
}

LET_THROUGH: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "bounds of a fraction": ({"type": "number", "minimum": 13, "maximum": 15}, ("minimum", "maximum")),
    "multipleOf": ({"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 9}, ("multipleOf",)),
    "uniqueItems": ({"items": {"const": 1}, "minItems": 2, "maxItems": 2, "uniqueItems": True}, ("uniqueItems",)),
    "a pattern that looks ahead": ({"type": "string", "pattern": "^(?=a)abc$", "maxLength": 2}, ("pattern",)),
    "an e-mail address": ({"type": "string", "format": "email", "maxLength": 3}, ("format",)),
    "contains": ({"type": "array", "items": {"const": 1}, "contains": {"const": 5}, "maxItems": 1}, ("contains",)),
    "not": ({"type": "boolean", "not": {"type": "boolean"}}, ("not",)),
    "if": ({"type": "null", "if": True, "then": False}, ("if",)),
    "dependentRequired": (
        {"properties": {"a": {"const": 1}}, "required": ["a"], "dependentRequired": {"a": ["b"]}},
        ("dependentRequired",),
    ),
}

BATCH = 8


@pytest.fixture(scope="module")
def engine(starter_model: Path) -> Iterator[Path]:
    worker = WorkerProcess.start("smol", starter_model, WorkerOptions(context_length=1024, parallel=1))
    yield worker.ready.result(PATIENCE_S).socket_path
    worker.stop()


def answer_of(engine: Path, schema: dict[str, Any], tokens: int) -> Answered:
    return ask_planned(engine, chat_request("Say 'abc'.", response_format=json_schema(schema), max_tokens=tokens))


def all_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """An object that needs each of them, because one request for many is quicker than many; keys are `a`, `b`, …"""
    properties = dict(zip(string.ascii_letters, schemas, strict=False))
    return {"type": "object", "properties": properties, "required": list(properties)}


def verdict(schema: dict[str, Any], text: str) -> str:
    note = plan_schema(chat_request("x", response_format=json_schema(schema))).check(text)
    assert note is not None
    return note.code


@pytest.mark.parametrize("start", range(0, len(ENFORCED), BATCH))
def test_the_grammar_enforces(engine: Path, start: int):
    features = list(ENFORCED.items())[start : start + BATCH]
    answer = answer_of(engine, all_of([schema for _, schema in features]), 300)
    assert answer.schema.checked_only == ()
    assert answer.schema.enforced == "full"
    assert answer.finish == "stop", answer.text
    for (name, schema), value in zip(features, answer.value.values(), strict=True):
        assert verdict(schema, json.dumps(value)) == "schema_valid", (name, value)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_grammar_enforces_references(engine: Path, name: str):
    answer = answer_of(engine, REFERENCES[name], 60)
    assert answer.schema.enforced == "full"
    assert answer.finish == "stop", answer.text
    assert verdict(REFERENCES[name], answer.text) == "schema_valid", answer.text


def test_what_the_grammar_lets_through_is_found(engine: Path):
    answer = answer_of(engine, all_of([schema for schema, _ in LET_THROUGH.values()]), 300)
    assert answer.schema.enforced == "partial"
    assert answer.finish == "stop", answer.text
    for (name, (schema, keywords)), (key, value) in zip(LET_THROUGH.items(), answer.value.items(), strict=True):
        assert {f"properties.{key}.{keyword}" for keyword in keywords} <= set(answer.schema.checked_only)
        assert verdict(schema, json.dumps(value)) == "schema_mismatch", (name, value)


@pytest.mark.parametrize("count", [1000, 1001])
def test_the_largest_counts_make_a_grammar_that_the_engine_takes(engine: Path, count: int):
    texts = {"type": "array", "maxItems": count, "items": {"type": "string", "maxLength": count}}
    objects = {"type": "array", "minItems": count, "items": {"type": "object"}}
    answer = answer_of(engine, all_of([texts, objects]), 12)
    assert answer.text.startswith("{")
    assert (answer.schema.checked_only == ()) == (count == 1000)


def test_a_schema_of_many_parts_makes_a_grammar_that_the_engine_takes(engine: Path):
    names = [f"required_{number}" for number in range(900)]
    required = {"properties": {name: {"enum": ["some value", "another"]} for name in names}, "required": names}
    optional = {"type": "object", "properties": {f"optional_{number}": {"type": "string"} for number in range(128)}}
    answer = answer_of(engine, all_of([required, optional]), 12)
    assert answer.schema.enforced == "full"
    assert answer.text.startswith("{")


def test_any_json_object_is_an_object(engine: Path):
    answer = ask_planned(engine, chat_request("Give {}.", response_format={"type": "json_object"}, max_tokens=12))
    assert answer.text.startswith("{")
    assert answer.schema.enforced == "full"
