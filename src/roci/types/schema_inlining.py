"""Schemas without references: small models and chat templates follow a type in its place better than by `$ref`."""

from __future__ import annotations

from typing import Any, Final

_PIECES_LIMIT: Final = 4_000
"""Types that use each other many times over grow without bound when they are written out."""
_LITERAL: Final = ("default", "const", "enum", "examples")
_PREFIX: Final = "#/$defs/"


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with each `$ref` into its own `$defs` written out, and without titles.

    A type that contains itself stays a `$ref`, as does everything where writing it out would make thousands of pieces;
    `$defs` is then kept.
    """
    writer = _Writer(schema.get("$defs", {}))
    root = {key: value for key, value in schema.items() if key != "$defs"}
    try:
        written: dict[str, Any] = writer.written(root, ())
    except _TooLargeError:
        return schema
    return written | {"$defs": schema["$defs"]} if writer.has_kept_one else written


class _TooLargeError(Exception):
    pass


class _Writer:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self.has_kept_one = False
        self._definitions = definitions
        self._pieces = 0

    def written(self, schema: Any, inside: tuple[str, ...]) -> Any:
        """`schema`, which may be any JSON in a place for a schema; `inside` names the definitions around it."""
        if isinstance(schema, list):
            return [self.written(part, inside) for part in schema]  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(schema, dict):
            return schema
        self._pieces += 1
        if self._pieces > _PIECES_LIMIT:
            raise _TooLargeError
        found: dict[str, Any] = {}
        for key, value in schema.items():  # pyright: ignore[reportUnknownVariableType]
            if key == "properties" and isinstance(value, dict):
                found[key] = {name: self.written(part, inside) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
            elif key in _LITERAL:
                found[key] = value
            elif key != "title" and key != "$ref":
                found[key] = self.written(value, inside)
        reference = schema.get("$ref")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if not isinstance(reference, str):
            return found
        name = reference.removeprefix(_PREFIX)
        if name == reference or name not in self._definitions or name in inside:
            self.has_kept_one = True
            return {"$ref": reference} | found
        return self.written(self._definitions[name], (*inside, name)) | found
