"""The grammar's part of schemas for objects and arrays; and what it leaves out, by keyword."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from roci.wire.schema.merge import CannotMergeError
from roci.wire.schema.scalars import set_counts
from roci.wire.schema.tidy import Schema

Write: TypeAlias = Callable[..., Schema]
"""Writes a schema within this one: the schema, then the steps to it. Raises CannotMergeError where nothing fits it."""

_TUPLE_LIMIT: Final = 64
_OPTIONAL_LIMIT: Final = 128
"""Properties of one object that may be missing; the grammar, and the time to read it, grow with their square."""
_OF_OBJECTS: Final = (
    "patternProperties", "minProperties", "maxProperties", "propertyNames", "dependentRequired",
    "dependentSchemas", "unevaluatedProperties",
)  # fmt: skip
_OF_ARRAYS: Final = ("uniqueItems", "contains", "unevaluatedItems")


def object_part(schema: Schema, write: Write) -> tuple[Schema, list[str]]:
    """For `type: object`.

    Raises:
        CannotMergeError: no object fits.
    """
    left = [name for name in _OF_OBJECTS if name in schema]
    required: list[str] = list(dict.fromkeys(schema.get("required", [])))
    properties: dict[str, Schema] = {}
    for name, value in schema.get("properties", {}).items():
        try:
            properties[name] = write(value, "properties", name)
        except CannotMergeError:
            if name in required:
                raise
    more = _more(schema, write)
    optional = [name for name in properties if name not in required]
    if len(optional) > _OPTIONAL_LIMIT:
        left.append("properties")
        properties = {name: value for name, value in properties.items() if name in required}
        more = True
    for name in required:
        if name not in properties and schema.get("additionalProperties") is False:
            raise CannotMergeError
        properties.setdefault(name, {} if isinstance(more, bool) else more)
    if not properties and more is True:
        return {"type": "object"}, left
    written: Schema = {"type": "object", "additionalProperties": more}
    if properties:
        written["properties"] = properties
    if required:
        written["required"] = required
    return written, left


def _more(schema: Schema, write: Write) -> Schema | bool:
    """What further properties are to be; none where others are named, unless the schema asks for them."""
    more: Any = schema.get("additionalProperties")
    step = "additionalProperties"
    if more is None:
        if schema.get("properties"):
            return False
        patterns: list[Any] = list(schema.get("patternProperties", {}).values())
        more, step = (patterns[0], "patternProperties") if patterns else (True, step)
    if more is False:
        return False
    return True if more is True or more == {} else write(more, step)


def array_part(schema: Schema, write: Write) -> tuple[Schema, list[str]]:
    """For `type: array`.

    Raises:
        CannotMergeError: no array fits.
    """
    left = [name for name in _OF_ARRAYS if schema.get(name) not in (None, False)]
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is not None and least > most:
        raise CannotMergeError
    if "prefixItems" in schema and most != 0:
        written, more = _tuple(schema, least, most, write)
        return written, left + more
    written: Schema = {"type": "array"}
    if "items" in schema and schema["items"] is not True:
        try:
            written["items"] = write(schema["items"], "items")
        except CannotMergeError:
            if least:
                raise
            most = 0
    return written, left + set_counts(written, ("minItems", least), ("maxItems", most))


def _tuple(schema: Schema, least: int, most: int | None, write: Write) -> tuple[Schema, list[str]]:
    parts: list[Any] = list(schema["prefixItems"])[:most]
    more = schema.get("items", True)
    left: list[str] = []
    if least > len(parts) and more is False:
        raise CannotMergeError
    if least > _TUPLE_LIMIT:
        left.append("minItems")
        least = len(parts)
    written: list[Schema] = []
    for number, part in enumerate([*parts, *[more] * (least - len(parts))]):
        try:
            written.append(write(part, "prefixItems", number) if number < len(parts) else write(more, "items"))
        except CannotMergeError:
            if number < least:
                raise
            break  # the items before it are enough
    if not written:
        return {"type": "array", "maxItems": 0}, left
    return {"type": "array", "prefixItems": written, "minItems": len(written), "maxItems": len(written)}, left
