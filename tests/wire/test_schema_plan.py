"""What of a schema is enforced, what is checked, and what is refused; without an engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from roci.errors import BadRequestError
from roci.wire.schema.checked import SchemaChecker
from roci.wire.schema.normalise import normalise
from roci.wire.schema.pattern import grammar_pattern
from roci.wire.schema.plan import SchemaPlan, plan_schema, thinking_budget
from roci.wire.schema.tidy import tidied
from tests.support.planned import chat_request, json_schema

ROOT = "response_format.json_schema.schema"


def plan(schema: dict[str, Any]) -> SchemaPlan:
    return plan_schema(chat_request("Hi", response_format=json_schema(schema)))


def grammar(schema: dict[str, Any]) -> dict[str, Any]:
    wanted = plan(schema).chat.response_format
    assert wanted is not None
    assert wanted.json_schema is not None
    return wanted.json_schema.schema


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "strin"}, "type"),
        ({"type": []}, "type"),
        ({"properties": [1]}, "properties"),
        ({"properties": {"x": {"type": "string", "pattern": "("}}}, "properties.x.pattern"),
        ({"properties": {"x": 3}}, "properties.x"),
        ({"anyOf": [{"type": "null"}, {"minimum": "3"}]}, "anyOf[1].minimum"),
        ({"anyOf": []}, "anyOf"),
        ({"enum": []}, "enum"),
        ({"required": ["a", 1]}, "required[1]"),
        ({"items": {"minLength": -1}}, "items.minLength"),
        ({"multipleOf": 0}, "multipleOf"),
        ({"$ref": "https://example.com/schema.json"}, "$ref"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "items.$ref"),
        ({"$ref": "other.json#/$defs/X"}, "$ref"),
        ({"$defs": {"A": {"$ref": "#/$defs/B"}}}, "$defs.A.$ref"),
        ({"not": {"$ref": "#/nothing"}}, "not.$ref"),
        ({"uniqueItems": "yes"}, "uniqueItems"),
    ],
)
def test_a_broken_schema_is_refused_with_the_path_inside_it(schema: dict[str, Any], path: str):
    with pytest.raises(BadRequestError) as refused:
        plan(schema)
    assert refused.value.param == f"{ROOT}.{path}"
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "string", "enum": [1, 2]},
        {"required": ["q"], "additionalProperties": False},
        {"$ref": "#"},
        {
            "$ref": "#/$defs/A",
            "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]}, "B": {"$ref": "#/$defs/A"}},
        },
    ],
)
def test_a_schema_that_nothing_fits_or_that_never_ends_is_refused(schema: dict[str, Any]):
    with pytest.raises(BadRequestError) as refused:
        plan(schema)
    assert str(refused.value.param).startswith(ROOT)


def test_a_schema_that_is_too_large_or_deep_is_refused():
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"items": deep}
    for schema in ({"description": "x" * 600_000}, deep):
        with pytest.raises(BadRequestError) as refused:
            plan(schema)
        assert refused.value.code == "schema_too_large"


def test_a_schema_too_large_for_a_grammar_is_checked_only():
    names = [f"p{number}" for number in range(4000)]
    schema = {"type": "object", "properties": {name: {"type": "null"} for name in names}, "required": names[:1]}
    planned = plan(schema)
    assert planned.enforced == "none"
    assert grammar(schema) == {"type": "object"}
    note = planned.check('{"p0": 1}')
    assert note is not None
    assert note.code == "schema_mismatch"


def test_references_do_not_multiply():
    schema: dict[str, Any] = {"$ref": "#/$defs/L0", "$defs": {"L40": {"type": "object"}}}
    for level in range(40):
        part = {"$ref": f"#/$defs/L{level + 1}"}
        schema["$defs"][f"L{level}"] = {"type": "object", "properties": {"a": part, "b": part}, "required": ["a", "b"]}
    assert plan(schema).enforced == "full"
    for level in range(40):
        schema["$defs"][f"L{level}"]["allOf"] = [{"$ref": f"#/$defs/L{level + 1}", "minProperties": 0}] * 2
    assert plan(schema).enforced in ("none", "partial")


def test_words_for_readers_are_left_out():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/x",
        "title": "T",
        "$comment": "c",
        "type": "object",
        "properties": {"title": {"type": "string", "title": "t", "default": "", "examples": [{"$ref": "nowhere"}]}},
    }
    assert grammar(schema) == {
        "type": "object",
        "additionalProperties": False,
        "properties": {"title": {"type": "string"}},
    }


def test_values_that_look_like_schemas_are_left_alone():
    schema = {"const": {"$ref": "https://example.com", "type": "nonsense"}}
    assert grammar(schema) == schema
    note = plan(schema).check(json.dumps(schema["const"]))
    assert note is not None
    assert note.code == "schema_valid"


def test_a_list_of_types_keeps_what_each_of_them_needs():
    schema = {"type": ["string", "array", "null"], "minLength": 2, "items": {"type": "null"}, "maxItems": 1}
    assert grammar(schema) == {
        "anyOf": [
            {"type": "string", "minLength": 2},
            {"type": "array", "items": {"type": "null"}, "maxItems": 1},
            {"type": "null"},
        ]
    }


def test_what_parts_forbid_each_other_is_left_out():
    closed = {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False}
    schema = {"allOf": [closed, {"properties": {"a": {}, "b": {"type": "null"}}}]}
    assert list(grammar(schema)["properties"]) == ["a"]


def test_what_is_checked_only_is_named_by_its_path():
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "number", "minimum": 0},
            "l": {"type": "array", "items": {"type": "string", "format": "ipv4"}},
        },
    }
    planned = plan(schema)
    assert planned.enforced == "partial"
    assert planned.checked_only == ("properties.n.minimum", "properties.l.items.format")
    note = planned.check('{"l": ["1.2.3.4", "x"]}')
    assert note is not None
    assert note.code == "schema_mismatch"
    assert "$.l[1]" in note.message
    assert "properties.n.minimum" in note.message


def test_the_verdict_says_what_held():
    planned = plan({"type": "integer"})
    fits, cut = planned.check("3"), planned.check('{"a": 1')
    assert fits is not None
    assert cut is not None
    assert (fits.code, cut.code) == ("schema_valid", "schema_mismatch")
    assert "enforced" in fits.message
    assert "not JSON" in cut.message


def test_plain_text_needs_nothing():
    for response_format in (None, {"type": "text"}):
        planned = plan_schema(chat_request("Hi", response_format=response_format))
        assert planned.chat.response_format is None
        assert not planned.checks
        assert planned.check("anything") is None


def test_json_mode_is_any_object():
    planned = plan_schema(chat_request("Hi", response_format={"type": "json_object"}))
    assert planned.enforced == "full"
    for text, code in (('{"a": [1]}', "schema_valid"), ("[1]", "schema_mismatch")):
        note = planned.check(text)
        assert note is not None
        assert note.code == code


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("^[a-f]{3}$", "^[a-f]{3}$"),
        ("^\\d{2,}-\\w+$", "^[0-9]{2,}-[A-Za-z0-9_]+$"),
        ("^(?:a|b)$", "^(a|b)$"),
        ("a|b", None),
        ("^(?=a)a$", None),
        ("^a{2000}$", None),
        ("^a+?$", None),
        ("^\\bx$", None),
        ('^"$', None),
        ("^[\\]]$", "^[\\x5D]$"),
        ("^\\p{L}$", None),
        ("^(a$", None),
        ("^$", None),
    ],
)
def test_a_pattern_is_written_for_the_grammar_or_not_at_all(pattern: str, written: str | None):
    assert grammar_pattern(pattern) == written


@pytest.mark.parametrize(
    ("limit", "wanted", "has_grammar", "budget"),
    [
        (None, None, False, None),
        (100, None, False, None),
        (None, None, True, 4096),
        (-1, None, True, 4096),
        (100, None, True, 50),
        (100, 500, True, 99),
        (100, 500, False, 500),
        (1, None, True, 1),
        (2, 2, True, 1),
        (None, 7, True, 7),
    ],
)
def test_thinking_under_a_schema_ends_before_the_tokens_do(
    limit: int | None, wanted: int | None, has_grammar: bool, budget: int | None
):
    assert thinking_budget(limit, wanted, has_grammar=has_grammar) == budget


LEAVES = st.sampled_from(
    [
        True,
        {"type": "null"},
        {"type": "boolean"},
        {"type": "integer", "minimum": 1, "maximum": 3},
        {"type": ["integer", "null"]},
        {"type": "string", "maxLength": 2},
        {"type": "string", "nullable": True},
        {"enum": ["a", 1, None]},
        {"const": "k"},
        {"minimum": 2},
        {"required": ["a"]},
        {"$ref": "#/$defs/D"},
    ]
)


def objects(inner: Any) -> Any:
    more = st.none() | st.booleans() | inner
    properties = st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    required = st.lists(st.sampled_from("abc"), max_size=2, unique=True)
    return st.builds(
        lambda named, needed, rest: (
            {"type": "object", "properties": named, "required": needed}
            | ({} if rest is None else {"additionalProperties": rest})
        ),
        properties,
        required,
        more,
    )


def containers(inner: Any) -> Any:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        objects(inner),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 2)),
        st.builds(lambda word, some: {word: some}, st.sampled_from(["anyOf", "allOf", "oneOf"]), parts),
        st.builds(
            lambda some, least: {"type": "array", "prefixItems": some, "minItems": least}, parts, st.integers(0, 3)
        ),
    )


SCHEMAS = st.recursive(LEAVES, containers, max_leaves=8)
VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, 2, 3, 5, "a", "k", "", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=20))
def test_what_the_grammar_allows_fits_the_schema_unless_it_says_otherwise(schema: Any, values: list[Any]):
    whole = {"$defs": {"D": {"type": "object", "properties": {"a": {"$ref": "#/$defs/D"}, "b": {"type": "null"}}}}}
    whole |= {"properties": {"v": schema}, "required": ["v"], "type": "object"}
    try:
        part = normalise(tidied(whole, ROOT), ROOT)
    except BadRequestError:
        checker = SchemaChecker(tidied(whole, ROOT), ROOT)
        assert all(checker.fault(json.dumps({"v": value})) for value in values)
        return
    if part.checked_only:
        return
    allowed, full = SchemaChecker(part.schema, "x"), SchemaChecker(tidied(whole, ROOT), ROOT)
    for value in values:
        text = json.dumps({"v": value})
        if allowed.fault(text) is None:
            assert full.fault(text) is None, (part.schema, text)
