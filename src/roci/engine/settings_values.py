"""One value of a setting: what it may be, how it is written as text, and what is said of one that cannot be used."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal

import msgspec

from roci.errors import ConfigError
from roci.selector import nearest_names

NOTHING_WORDS: Final = ("null", "none", "never", "auto")
"""Texts that mean null where a setting may be null."""
SWITCH_WORDS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_SHOWN_CHARACTERS: Final = 200


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"ROCI_{name.upper()}"


def flag(name: str) -> str:
    """The command line's flag of a setting."""
    return f"--{name.replace('_', '-')}"


def checked_value(name: str, value: object, hint: Any, origin: str, *, is_text: bool = False) -> Any:
    """`value` as the setting's type.

    Args:
        hint: the setting's type, with its bounds.
        origin: where the value came from, for the error.
        is_text: whether it was written as text that has no types: in the environment or as an argument.

    Raises:
        ConfigError: it is of another type, or out of bounds.
    """
    if is_text and isinstance(value, str):
        value = from_text(value.strip(), hint)
    try:
        return msgspec.convert(value, hint, strict=not is_text)
    except msgspec.ValidationError as error:
        choices = [
            str(choice) for part in _parts(hint) if typing.get_origin(part) is Literal for choice in part.__args__
        ]
        reason = f"it takes {', '.join(choices)}" if choices else str(error)
        shown = repr(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}…"
        raise ConfigError(
            f"{name} is {shown} (from {origin}): {reason}.", setting=name, value=value, origin=origin
        ) from error


def from_text(text: str, hint: Any) -> object:
    """What `text` most likely means for a setting of type `hint`; the type itself is checked afterwards.

    Lists are split at commas, lists of folders (their elements are `Folder`) as the system splits paths.
    """
    parts = list(_parts(hint))
    word = text.lower()
    if type(None) in parts and word in NOTHING_WORDS:
        return None
    if bool in parts and word in SWITCH_WORDS:
        return SWITCH_WORDS[word]
    for part in parts:
        if typing.get_origin(part) is tuple:
            separator = os.pathsep if part.__args__[0] == Folder else ","
            return [piece.strip() for piece in text.split(separator) if piece.strip()]
    return text


def unknown_setting(name: str, origin: str, known: Iterable[str], value: object = None) -> ConfigError:
    """The error for a name that is no setting, with the nearest that is."""
    names = tuple(known)
    nearest = nearest_names(name, names, limit=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(names)}."
    return ConfigError(
        f"There is no setting {name!r} (in {origin}).", setting=name, value=value, origin=origin, hint=hint
    )


Folder = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, description="A folder's path.")]


def _parts(hint: Any) -> Iterator[Any]:
    """The members of a union, without their annotations."""
    if typing.get_origin(hint) is Annotated:
        yield from _parts(hint.__origin__)
    elif typing.get_origin(hint) in (typing.Union, types.UnionType):
        for member in hint.__args__:
            yield from _parts(member)
    else:
        yield hint
