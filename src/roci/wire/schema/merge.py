"""Two schemas as one that holds for what both hold for, as far as one schema can say it."""

from __future__ import annotations

from typing import Any, cast

from roci.wire.schema.tidy import Schema

_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")


class CannotMergeError(Exception):
    """Nothing fits both, or one schema cannot say it."""


def merged(one: Schema, other: Schema) -> tuple[Schema, tuple[str, ...]]:
    """The merged schema, and the keywords of `other` that had no place in it.

    Raises:
        CannotMergeError: nothing fits both, or not so that a schema without `allOf` could say it.
    """
    both = dict(one)
    left: list[str] = []
    for name, value in other.items():
        if name not in both or both[name] == value:
            both[name] = value
        elif name in _LARGER or name in _SMALLER:
            both[name] = max(both[name], value) if name in _LARGER else min(both[name], value)
        elif name == "type":
            both[name] = _types(both[name], value)
        elif name == "properties":
            both[name] = _properties(both[name], value)
        elif name == "required":
            both[name] = [*both[name], *(each for each in value if each not in both[name])]
        elif name == "enum":
            both[name] = _shared(both[name], value)
        elif name in ("items", "additionalProperties"):
            both[name] = _together(both[name], value)
        elif name in ("$defs", "definitions"):
            both[name] = value | both[name]
        elif name == "allOf":
            both[name] = [*both[name], *value]
        elif name in ("const", "$ref"):
            raise CannotMergeError
        else:
            left.append(name)
    _close(both, one, other)
    return both, tuple(left)


def _types(one: str | list[str], other: str | list[str]) -> list[str]:
    first, second = _listed(one), _listed(other)
    shared = [kind for kind in first if kind in second or (kind == "integer" and "number" in second)]
    shared += [kind for kind in second if kind == "integer" and "number" in first and kind not in shared]
    if not shared:
        raise CannotMergeError
    return shared


def _listed(kinds: str | list[str]) -> list[str]:
    return kinds if isinstance(kinds, list) else [kinds]


def _properties(one: Schema, other: Schema) -> Schema:
    return one | {name: _together(one[name], value) if name in one else value for name, value in other.items()}


def _together(one: Any, other: Any) -> Any:
    """Both schemas at one place."""
    if one is True or one == other:
        return other
    if other is True:
        return one
    if one is False or other is False:
        return False
    return {"allOf": [one, other]}


def _shared(one: list[Any], other: list[Any]) -> list[Any]:
    shared = [value for value in one if value in other]
    if not shared:
        raise CannotMergeError
    return shared


def _close(both: Schema, one: Schema, other: Schema) -> None:
    """A part without additional properties forbids what only the other part names."""
    for part in (one, other):
        if part.get("additionalProperties") is False:
            named = cast(Schema, part.get("properties", {}))
            both["properties"] = {name: each for name, each in both.get("properties", {}).items() if name in named}
    if any(name not in both.get("properties", {}) for name in both.get("required", [])) and (
        both.get("additionalProperties") is False
    ):
        raise CannotMergeError
