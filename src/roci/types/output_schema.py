"""A user's type as the JSON Schema that an answer is held to, and an answer's JSON as a value of that type.

A schema of anything but an object is wrapped into one, `{"value": …}`: many servers take objects alone.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from roci.errors import UsageError

T = TypeVar("T")

FIELD: Final = "output_type"
VALUE: Final = "value"
"""The property that holds a value which is no object."""

_NAME_LIMIT: Final = 64
_KEPT_TYPES: Final = 128
_TOLD_FAULTS: Final = 3
_NO_SCHEMAS: Final = ("const", "enum", "default", "examples")
_PYDANTICS: Final = ("pydantic", "annotated_types")


class NoMatchError(Exception):
    """A text that is no value of the type."""

    def __init__(self, message: str, *, json_path: str = "$", is_json: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.json_path = json_path
        self.is_json = is_json
        """False: it cannot even be decoded."""


class OutputType(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What an answer is to be."""

    name: str
    """For servers: 1 to 64 letters, digits, `_` or `-`."""
    schema: dict[str, Any]
    """Of an object, whatever the type is."""
    is_wrapped: bool
    """The value is the property `value` of the object."""
    read: Callable[[str], T]
    """The value of a JSON text that fits `schema`. Raises NoMatchError."""
    read_bare: Callable[[str], T]
    """The value of a JSON text without the object around it. Raises NoMatchError."""


def output_of_type(wanted: Any) -> OutputType[Any]:
    """For a pydantic model, dataclass, msgspec Struct, TypedDict, enum, Literal, union, list, dict or plain type.

    Raises:
        UsageError: no JSON Schema can be written for it.
    """
    try:
        hash(wanted)
    except TypeError:
        return _output_of_type(wanted)
    return _kept_output(wanted)


def output_of_schema(schema: dict[str, Any], fault: Callable[[Any], tuple[str, str] | None]) -> OutputType[Any]:
    """For a JSON Schema; its values are what JSON decodes to.

    Args:
        fault: the path and the words of what of a decoded value does not fit `schema`; None where all does.
    """

    def checked(value: Any) -> Any:
        found = fault(value)
        if found is not None:
            raise NoMatchError(found[1], json_path=found[0])
        return value

    def read_bare(text: str) -> Any:
        return checked(_decoded(text, _decode_any))

    def read_wrapped(text: str) -> Any:
        return checked(_decoded(text, _decode_wrapped_any, is_wrapped=True).value)

    title = schema.get("title")
    return _output(title if isinstance(title, str) else "", schema, read_bare, read_wrapped)


def _output(
    name: str, schema: dict[str, Any], read_bare: Callable[[str], Any], read_wrapped: Callable[[str], Any]
) -> OutputType[Any]:
    schema = _opened(schema)
    is_object = schema.get("type", "object" if "properties" in schema else None) == "object"
    return OutputType(
        name=re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:_NAME_LIMIT].strip("_") or "answer",
        schema=schema if is_object else _wrapped(schema),
        is_wrapped=not is_object,
        read=read_bare if is_object else read_wrapped,
        read_bare=read_bare,
    )


@lru_cache(_KEPT_TYPES)
def _kept_output(wanted: Any) -> OutputType[Any]:
    return _output_of_type(wanted)


def _output_of_type(wanted: Any) -> OutputType[Any]:
    if wanted is None or isinstance(wanted, str):
        raise _no_schema(wanted, "it is no type")
    name = getattr(wanted, "__name__", "") if isinstance(wanted, type) and not typing.get_args(wanted) else ""
    if not _is_pydantics(wanted, set()):
        try:
            return _msgspec_output(name, wanted)
        except (TypeError, ValueError, NameError, AttributeError) as error:
            # pydantic may know what msgspec does not: a union of dataclasses, for instance.
            try:
                return _pydantic_output(name, wanted)
            except (ImportError, UsageError):
                raise _no_schema(wanted, str(error).rstrip(".")) from error
    return _pydantic_output(name, wanted)


def _no_schema(wanted: Any, reason: object) -> UsageError:
    return UsageError(
        f"{wanted!r} has no JSON Schema: {reason}.",
        field=FIELD,
        hint="Pass a pydantic model, a dataclass, a msgspec Struct, a TypedDict, an enum, a Literal, a list or dict of "
        "these, or a JSON Schema as a dict.",
    )


# ---- msgspec's types


class _WrappedAny(msgspec.Struct):
    value: Any


class _WrappedRaw(msgspec.Struct):
    value: msgspec.Raw


_decode_any: Final = msgspec.json.Decoder(Any).decode
_decode_wrapped_any: Final = msgspec.json.Decoder(_WrappedAny).decode
_decode_wrapped_raw: Final = msgspec.json.Decoder(_WrappedRaw).decode


def _msgspec_output(name: str, wanted: Any) -> OutputType[Any]:
    schema = msgspec.json.schema(wanted)
    decode: Callable[[str], Any] = msgspec.json.Decoder(wanted).decode
    wrapper = msgspec.defstruct("Wrapped", [(VALUE, wanted)])
    decode_wrapped: Callable[[str], Any] = msgspec.json.Decoder(cast(Any, wrapper)).decode

    def read_bare(text: str) -> Any:
        return _decoded(text, decode)

    def read_wrapped(text: str) -> Any:
        return _decoded(text, decode_wrapped, is_wrapped=True).value

    return _output(name, schema, read_bare, read_wrapped)


def _decoded(text: str, decode: Callable[[str], T], *, is_wrapped: bool = False) -> T:
    try:
        return decode(text)
    except msgspec.ValidationError as error:
        _decoded(text, _decode_any)  # a value of the wrong type is told before what comes behind it is looked at
        message, _, place = str(error).partition(" - at `")
        path = place.rstrip("`") or "$"
        raise NoMatchError(message, json_path=_within(path) if is_wrapped else path) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NoMatchError(f"it is not JSON: {error}", is_json=False) from error


def _within(path: str) -> str:
    """A path in the object as a path in the value that it holds."""
    inner = path.removeprefix(f"$.{VALUE}")
    return path if inner == path else f"${inner}"


# ---- pydantic's


def _is_pydantics(wanted: Any, seen: set[int]) -> bool:
    """Whether pydantic's own classes or annotations are somewhere in it: msgspec does not know the first, and takes no
    notice of the second."""
    if id(wanted) in seen:
        return False
    seen.add(id(wanted))
    if hasattr(wanted, "__pydantic_core_schema__"):
        return True
    notes: tuple[Any, ...] = getattr(wanted, "__metadata__", ())
    if any(type(note).__module__.partition(".")[0] in _PYDANTICS for note in notes):
        return True
    inner = [*typing.get_args(wanted)] if typing.get_origin(wanted) is not typing.Literal else []
    if dataclasses.is_dataclass(wanted) or typing.is_typeddict(wanted):
        try:
            inner += typing.get_type_hints(cast(Any, wanted), include_extras=True).values()
        except (NameError, TypeError):
            return False  # whoever writes the schema says what is wrong with it
    return any(_is_pydantics(each, seen) for each in inner if not isinstance(each, (str, int, types.EllipsisType)))


def _pydantic_output(name: str, wanted: Any) -> OutputType[Any]:
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        schema = adapter.json_schema()
    except (PydanticUserError, NameError, TypeError) as error:
        raise _no_schema(wanted, str(error).partition("\n")[0].rstrip(".")) from error

    def read_bare(text: str | bytes) -> Any:
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            raise _pydantic_fault(error.errors(include_url=False, include_context=False)) from error

    def read_wrapped(text: str) -> Any:
        return read_bare(bytes(_decoded(text, _decode_wrapped_raw).value))

    return _output(name, schema, read_bare, read_wrapped)


def _pydantic_fault(faults: list[Any]) -> NoMatchError:
    if faults[0]["type"] == "json_invalid":
        return NoMatchError(f"it is not JSON: {faults[0]['msg']}", is_json=False)
    paths = ["".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in each["loc"]) for each in faults]
    words = [f"{each['msg']} (at ${path})" if path else each["msg"] for each, path in zip(faults, paths, strict=True)]
    more = f"; and {len(words) - _TOLD_FAULTS} more" if len(words) > _TOLD_FAULTS else ""
    told = words[:_TOLD_FAULTS] if len(words) > 1 else [faults[0]["msg"]]
    return NoMatchError("; ".join(told) + more, json_path=f"${paths[0]}")


# ---- schemas


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that is nothing but a reference to one of its definitions, as that definition."""
    reference: Any = schema.get("$ref")
    if not isinstance(reference, str) or set(schema) - {"$ref", "$defs", "definitions", "$schema", "title"}:
        return schema
    home, _, name = reference.removeprefix("#/").rpartition("/")
    definitions: Any = schema.get(home) if home in ("$defs", "definitions") else None
    found: Any = cast(dict[str, Any], definitions).get(name) if isinstance(definitions, dict) else None
    if not isinstance(found, dict):
        return schema
    opened = cast(dict[str, Any], found)
    return opened | {home: definitions} if b'"$ref"' in msgspec.json.encode(opened) else opened


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {VALUE: _moved(schema)},
        "required": [VALUE],
        "additionalProperties": False,
    }


def _moved(node: Any) -> Any:
    """A schema whose references start where it stands now."""
    if isinstance(node, list):
        return [_moved(each) for each in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    moved: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", node).items():
        if name == "$ref" and isinstance(value, str) and value.startswith("#"):
            moved[name] = f"#/properties/{VALUE}{value[1:]}"
        else:
            moved[name] = value if name in _NO_SCHEMAS else _moved(value)
    return moved
