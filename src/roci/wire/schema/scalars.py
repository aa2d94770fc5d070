"""The grammar's part of schemas for texts, numbers and single values; and what it leaves out, by keyword."""

from __future__ import annotations

import math
from typing import Any, Final, cast

import msgspec

from roci.wire.schema.merge import CannotMergeError
from roci.wire.schema.pattern import grammar_pattern
from roci.wire.schema.tidy import Schema
from roci.wire.schema.words import words_pattern

COUNT_LIMIT: Final = 1000
"""Letters or items that a grammar counts; llama.cpp refuses 2,000."""
ALTERNATIVES_LIMIT: Final = 32
"""Values or schemas side by side; the engine's time for a token grows with them."""
_SAFE_INTEGER: Final = 2**53
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_GRAMMAR_FORMATS: Final = ("date", "time", "date-time", "uuid")
_CHECKED_FORMATS: Final = (
    "date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri",
    "uri-reference", "iri", "iri-reference", "uri-template", "json-pointer", "relative-json-pointer", "regex",
)  # fmt: skip
_WORDS: Final = ("title", "description", "default", "examples")
_SILENT_KEYWORDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems")
_WITH_SILENT_KEYWORDS: Final = ("number", "array")
"""Types for which the engine takes those without a word; they are for a model to read."""
_SILENT: Final = frozenset({"type", "const", "not", "if", "title", "description", "default", "examples"})

_FAMILIES: Final = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def kind_of(schema: Schema) -> str | None:
    """The kind of value that the keywords speak of; other kinds would fit as well, but nobody means them."""
    return next((kind for kind, names in _FAMILIES.items() if any(name in schema for name in names)), None)


def text_part(schema: Schema) -> tuple[Schema, list[str]]:
    """For `type: string`.

    Raises:
        CannotMergeError: no text fits.
    """
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None and least > most:
        raise CannotMergeError
    left: list[str] = []
    shape = schema.get("format")
    if shape in _CHECKED_FORMATS:
        left.append("format")  # the grammar of a date lets the 31st of February through
    written: Schema = {"type": "string"}
    if "pattern" in schema:
        pattern = grammar_pattern(schema["pattern"])
        if pattern is None:
            left.append("pattern")
        else:
            written["pattern"] = pattern
    elif shape in _GRAMMAR_FORMATS:
        written["format"] = shape
    if len(written) > 1:
        left += [name for name in ("minLength", "maxLength") if schema.get(name) is not None]
    else:
        left += set_counts(written, ("minLength", least), ("maxLength", most))
    return written, left


def number_part(schema: Schema, kind: str) -> tuple[Schema, list[str]]:
    """For `type: integer` and `type: number`, whose bounds the grammar does not know.

    Raises:
        CannotMergeError: no whole number fits.
    """
    left = ["multipleOf"] if "multipleOf" in schema else []
    left += [name for name in _BOUNDS if name in schema and (kind == "number" or abs(schema[name]) > _SAFE_INTEGER)]
    written: Schema = {"type": kind}
    if kind == "number":
        return written, left
    least, most = _whole_bounds(schema)
    if least > most:
        raise CannotMergeError
    if abs(least) <= _SAFE_INTEGER:
        written["minimum"] = int(least)
    if abs(most) <= _SAFE_INTEGER:
        written["maximum"] = int(most)
    return written, left


def values_part(schema: Schema) -> tuple[Schema, list[str]]:
    """For `const` and `enum`; their values of another type than `type` are left out.

    Raises:
        CannotMergeError: no value is left.
    """
    values: list[Any] = [schema["const"]] if "const" in schema else schema["enum"]
    kinds = schema.get("type")
    if kinds is not None:
        listed = cast("list[str]", kinds if isinstance(kinds, list) else [kinds])
        values = [value for value in values if any(_is_of(value, kind) for kind in listed)]
    if not values:
        raise CannotMergeError
    used = _SILENT if "const" in schema else _SILENT | {"enum"}
    left = sorted(set(schema) - used)
    return one_of(_different(values), left)


def one_of(values: list[Any], left: list[str]) -> tuple[Schema, list[str]]:
    """For one of several different values; `left` is what is left out already."""
    if len(values) == 1:
        return {"const": values[0]}, left
    if len(values) <= ALTERNATIVES_LIMIT:
        return {"enum": values}, left
    if not all(isinstance(value, str) for value in values):
        return {}, [*left, "enum"]
    pattern = words_pattern(values)
    if pattern is None:
        return {"type": "string"}, [*left, "enum"]
    return {"type": "string", "pattern": pattern}, left


def any_of(branches: list[Schema], word: str) -> tuple[Schema, list[str]]:
    """For `anyOf` and `oneOf`, whichever `word` is, of branches that are written already."""
    if len(branches) == 1:
        return branches[0], []
    if all(set(branch) in ({"const"}, {"enum"}) for branch in branches):
        values = [value for branch in branches for value in branch.get("enum", [branch.get("const")])]
        return one_of(_different(values), [])
    if len(branches) > ALTERNATIVES_LIMIT:
        return {}, [word]
    return {"anyOf": branches}, []


def _different(values: list[Any]) -> list[Any]:
    return list({msgspec.json.encode(value): value for value in values}.values())


def set_counts(written: Schema, least: tuple[str, int], most: tuple[str, int | None]) -> list[str]:
    """Sets bounds of a count that say something; gives those that are too large for a grammar."""
    left: list[str] = []
    for name, count in (least, most):
        if count is None or (name == least[0] and not count):
            continue
        if count > COUNT_LIMIT:
            left.append(name)
        else:
            written[name] = count
    return left


def _whole_bounds(schema: Schema) -> tuple[float, float]:
    """The least and the largest whole number; infinite where there is no bound."""
    least: float = math.ceil(schema["minimum"]) if "minimum" in schema else -math.inf
    most: float = math.floor(schema["maximum"]) if "maximum" in schema else math.inf
    if "exclusiveMinimum" in schema:
        least = max(least, math.floor(schema["exclusiveMinimum"]) + 1)
    if "exclusiveMaximum" in schema:
        most = min(most, math.ceil(schema["exclusiveMaximum"]) - 1)
    return least, most


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == ("boolean" if isinstance(value, bool) else "null")
    if isinstance(value, int | float):
        return kind == "number" or (kind == "integer" and float(value).is_integer())
    return isinstance(value, {"object": dict, "array": list, "string": str}.get(kind, ()))


def with_words(written: Schema, schema: Schema) -> Schema:
    """What is written, and what the schema says to a reader and the grammar does not mind."""
    names = _WORDS if written.get("type") not in _WITH_SILENT_KEYWORDS else (*_WORDS, *_SILENT_KEYWORDS)
    return written | {name: schema[name] for name in names if name in schema and name not in written}
