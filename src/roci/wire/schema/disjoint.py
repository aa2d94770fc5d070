"""Whether no value can fit two of the branches of a `oneOf`, as far as can be seen at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from roci.wire.schema.tidy import Schema, resolve


def are_disjoint(branches: Sequence[Any], root: Schema) -> bool:
    """By their types, or by a property that each requires with values of its own."""
    opened: list[Schema] = []
    for branch in branches:
        if not isinstance(branch, dict):
            return False
        found = cast(Schema, branch)
        if "$ref" in found:
            found = resolve(root, found["$ref"]) or {}
        opened.append(found)
    return _have_own_types(opened) or _have_own_values(opened)


def _have_own_types(branches: list[Schema]) -> bool:
    seen: set[str] = set()
    for branch in branches:
        kinds = branch.get("type", [])
        mine = set(cast("list[str]", kinds if isinstance(kinds, list) else [kinds]))
        if "number" in mine:
            mine.add("integer")
        if not mine or mine & seen:
            return False
        seen |= mine
    return True


def _have_own_values(branches: list[Schema]) -> bool:
    names = set(branches[0].get("required", []))
    for branch in branches[1:]:
        names &= set(branch.get("required", []))
    return any(_are_own([branch.get("properties", {}).get(name) for branch in branches]) for name in names)


def _are_own(properties: list[Any]) -> bool:
    seen: set[bytes] = set()
    for each in properties:
        if not isinstance(each, dict):
            return False
        schema = cast(Schema, each)
        values: list[Any] = [schema["const"]] if "const" in schema else schema.get("enum", [])
        mine = {msgspec.json.encode(value) for value in values}
        if not mine or mine & seen:
            return False
        seen |= mine
    return True
