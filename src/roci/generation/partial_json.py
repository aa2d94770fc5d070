"""An object while its JSON still grows. No I/O."""

from __future__ import annotations

from typing import Any, Final, cast

from roci.types.output_schema import VALUE

_EACH_PART: Final = 256
"""Read again when the text has grown by this part of it, so that long answers cost no more than their length."""
_NUMBER: Final = "0123456789+-.eE"


class GrowingObject:
    """What the text so far holds. Words before the first brace are passed over."""

    def __init__(self, *, is_wrapped: bool) -> None:
        self._is_wrapped = is_wrapped
        self._text = ""
        self._new: list[str] = []
        self._new_letters = 0
        self._last: tuple[Any, ...] = ()
        self._in_string = False
        self._after_backslash = False

    def feed(self, text: str) -> list[Any]:
        """The value with `text` behind what came before; nothing where it has not changed."""
        if not self._text and not self._new:
            start = text.find("{")
            if start < 0:
                return []
            text = text[start:]
        self._new.append(text)
        self._new_letters += len(text)
        self._watch_quotes(text)
        return self._read() if self._new_letters * _EACH_PART >= len(self._text) else []

    def close(self) -> list[Any]:
        """The value at the end, where it has not been told yet."""
        return self._read() if self._new else []

    def _read(self) -> list[Any]:
        from jiter import from_json

        self._text += "".join(self._new)
        self._new.clear()
        self._new_letters = 0
        text = self._text if self._in_string else _without_open_number(self._text)
        try:
            value: Any = from_json(text.encode(), partial_mode="trailing-strings")
        except ValueError:
            return []  # no JSON (yet): whether it is any is found out at the end
        if self._is_wrapped:
            if not isinstance(value, dict) or VALUE not in value:
                return []
            value = cast(dict[str, Any], value)[VALUE]
        if self._last == (value,):
            return []
        self._last = (value,)
        return [value]

    def _watch_quotes(self, text: str) -> None:
        if self._after_backslash:
            text = text[1:]
            self._after_backslash = False
        pieces = text.split("\\\\") if "\\" in text else [text]
        for number, piece in enumerate(pieces):
            quotes = piece.count('"') - piece.count('\\"')
            self._in_string ^= quotes % 2 == 1
            if number == len(pieces) - 1:
                self._after_backslash = piece.endswith("\\")


def _without_open_number(text: str) -> str:
    """A number at the very end may go on: `12` may become `123`."""
    rest = text.rstrip(_NUMBER)
    return rest if text[len(rest) : len(rest) + 1] in set("-0123456789") else text
