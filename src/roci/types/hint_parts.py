"""What a type hint is made of: its words, its classes' fields, and whether pydantic has to read it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

import msgspec


def without_words(hint: Any) -> tuple[Any, str]:
    """(`hint` as msgspec knows it, the description that `Annotated[…, "description"]` gives)."""
    if get_origin(hint) is not Annotated:
        return hint, ""
    words = [word for word in hint.__metadata__ if isinstance(word, str)]
    rest = [part for part in hint.__metadata__ if not isinstance(part, str)]
    plain = Annotated[(hint.__origin__, *rest)] if rest else hint.__origin__  # pyright: ignore[reportInvalidTypeForm]
    return plain, words[0] if words else ""


def parts_of(hint: Any) -> list[Any]:
    """`hint` and all that it is made of: arguments, annotations, and the fields of classes."""
    return list(_parts(hint, set()))


def _parts(hint: Any, seen: set[int]) -> Iterator[Any]:
    if id(hint) in seen:
        return
    seen.add(id(hint))
    yield hint
    if _has_fields(hint) and not is_pydantic(hint):
        for field in _fields(hint).values():
            yield from _parts(field, seen)
    for argument in get_args(hint):
        yield from _parts(argument, seen)


def _has_fields(hint: Any) -> bool:
    return is_typeddict(hint) or (
        isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, msgspec.Struct))
    )


def _fields(hint: type) -> dict[str, Any]:
    try:
        return get_type_hints(hint, include_extras=True)
    except (NameError, TypeError):
        # msgspec or pydantic meets the same, and says which name it is.
        return {}


def is_pydantic(part: Any) -> bool:
    """One of pydantic's own types or annotations, which msgspec does not know or takes no notice of."""
    if isinstance(part, type) and hasattr(part, "__get_pydantic_core_schema__"):
        return True
    if hasattr(part, "__pydantic_validator__"):
        return True
    return type(part).__module__.partition(".")[0] in ("pydantic", "annotated_types") and "pydantic" in sys.modules


def add_words(schema: dict[str, Any], parts: list[Any]) -> None:
    """Take `Annotated[…, "description"]` of classes' fields into their schemas, which msgspec does not."""
    definitions: dict[str, Any] = schema.get("$defs", {})
    for part in parts:
        if not _has_fields(part):
            continue
        properties: dict[str, Any] = definitions.get(part.__name__, {}).get("properties", {})
        for name, field in _fields(part).items():
            description = without_words(field)[1]
            if description and name in properties:
                properties[name].setdefault("description", description)
