"""JSON as it comes, in any pieces: where a value ends, and the members of an object one after the other.

Strict, so that text which has passed so far is the beginning of valid JSON.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec
from msgspec import Struct

State = Literal["open", "whole", "broken"]

DEPTH_LIMIT: Final = 256
_SPACE: Final = " \t\n\r"
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]+')
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_NUMBER_BEGUN: Final = re.compile(r"-?((0|[1-9]\d*)(\.\d*)?)?|-?(0|[1-9]\d*)(\.\d+)?[eE][+-]?\d*")
_WORDS: Final = ("true", "false", "null")


class JsonScan:
    """Finds the end of one JSON value."""

    def __init__(self) -> None:
        self.state: State = "open"
        self.is_begun = False
        """The value's first letter has come."""
        self._closers: list[str] = []
        self._expected: Literal["value", "first", "key", "first_key", "colon", "next"] = "value"
        self._is_in_string = False
        self._escape = ""
        """What of an escape has come: `\\`, `\\u`, `\\u0`, …"""
        self._scalar = ""
        """What of a number or a word has come."""

    def take(self, text: str, at: int) -> int:
        """Reads `text` from `at` until the value ends or cannot go on; gives where it stopped.

        A bare number is `open` until something follows it that it does not hold; `close` ends it too.
        """
        while at < len(text) and self.state == "open":
            if self._is_in_string:
                at = self._take_string(text, at)
            elif self._scalar:
                at = self._take_scalar(text, at)
            else:
                at += self._take_mark(text[at])
        return at

    def close(self) -> None:
        """No more text comes."""
        if self._scalar and self.state == "open":
            self._end_scalar()
        if self.state == "open":
            self.state = "broken"

    def _take_string(self, text: str, at: int) -> int:
        if self._escape:
            self._take_escape(text[at])
            return at + (self.state != "broken")
        plain = _PLAIN.match(text, at)
        if plain is not None:
            return plain.end()
        if text[at] == '"':
            self._is_in_string = False
            if self._expected == "colon":
                return at + 1
            self._end_value()
        elif text[at] == "\\":
            self._escape = "\\"
        else:
            self.state = "broken"
            return at
        return at + 1

    def _take_escape(self, letter: str) -> None:
        if self._escape == "\\":
            if letter not in '"\\/bfnrtu':
                self.state = "broken"
            self._escape = "\\u" if letter == "u" else ""
        elif letter in "0123456789abcdefABCDEF":
            self._escape = "" if len(self._escape) == 5 else self._escape + letter
        else:
            self.state = "broken"

    def _take_scalar(self, text: str, at: int) -> int:
        longer = self._scalar + text[at]
        if any(word.startswith(longer) for word in _WORDS) or _NUMBER_BEGUN.fullmatch(longer):
            self._scalar = longer
            if longer in _WORDS:
                self._end_scalar()
            return at + 1
        self._end_scalar()
        return at

    def _end_scalar(self) -> None:
        if self._scalar in _WORDS or _NUMBER.fullmatch(self._scalar):
            self._scalar = ""
            self._end_value()
        else:
            self.state = "broken"

    def _take_mark(self, mark: str) -> bool:
        """Whether it makes sense there."""
        if mark in _SPACE:
            return True
        if self._expected in ("value", "first"):
            self._begin_value(mark)
        elif self._expected in ("key", "first_key"):
            self._begin_key(mark)
        elif self._expected == "colon":
            self._expected = "value"
            if mark != ":":
                self.state = "broken"
        elif mark == ",":
            self._expected = "key" if self._closers[-1] == "}" else "value"
        else:
            self._end_container(mark)
        return self.state != "broken"

    def _begin_value(self, mark: str) -> None:
        self.is_begun = True
        if mark == "{":
            self._begin_container("}", "first_key")
        elif mark == "[":
            self._begin_container("]", "first")
        elif mark == '"':
            self._is_in_string = True
        elif mark == "]" and self._expected == "first":
            self._end_container(mark)
        elif mark in "-0123456789tfn":
            self._scalar = mark
        else:
            self.state = "broken"

    def _begin_container(self, closer: str, expected: Literal["first", "first_key"]) -> None:
        self._closers.append(closer)
        self._expected = expected
        if len(self._closers) > DEPTH_LIMIT:
            self.state = "broken"

    def _begin_key(self, mark: str) -> None:
        if mark == '"':
            self._is_in_string = True
            self._expected = "colon"
        elif mark == "}" and self._expected == "first_key":
            self._end_container(mark)
        else:
            self.state = "broken"

    def _end_container(self, mark: str) -> None:
        if self._closers and self._closers[-1] == mark:
            self._closers.pop()
            self._end_value()
        else:
            self.state = "broken"

    def _end_value(self) -> None:
        self._expected = "next"
        if not self._closers:
            self.state = "whole"


class Key(Struct, frozen=True, gc=False):
    """A member of the object begins."""

    name: str


class Piece(Struct, frozen=True, gc=False):
    """The next piece of the member's value, as JSON text."""

    text: str


class ValueEnd(Struct, frozen=True, gc=False):
    """The member's value is whole."""


Member = Key | Piece | ValueEnd


class MemberReader:
    """Reads one JSON object, and tells its members as they come."""

    def __init__(self) -> None:
        self.state: State = "open"
        self.is_begun = False
        """The opening brace has come."""
        self._expected: Literal["open", "first_key", "key", "colon", "value", "next"] = "open"
        self._scan = JsonScan()
        self._key = ""

    def take(self, text: str, at: int) -> tuple[int, list[Member]]:
        """Reads `text` from `at` to the object's end, or as far as it makes sense; gives where it stopped."""
        members: list[Member] = []
        while at < len(text) and self.state == "open":
            if self._expected == "value":
                at = self._take_value(text, at, members)
            elif self._key:
                at = self._take_key(text, at, members)
            else:
                at += text[at] in _SPACE or self._take_mark(text[at])
        return at, members

    def _take_mark(self, mark: str) -> bool:
        """Whether it makes sense there."""
        expected = self._expected
        if expected == "open" and mark == "{":
            self.is_begun, self._expected = True, "first_key"
        elif expected in ("first_key", "key") and mark == '"':
            self._key, self._scan = mark, JsonScan()
            self._scan.take(mark, 0)
        elif expected == "colon" and mark == ":":
            self._expected, self._scan = "value", JsonScan()
        elif expected == "next" and mark == ",":
            self._expected = "key"
        elif expected in ("first_key", "next") and mark == "}":
            self.state = "whole"
        else:
            self.state = "broken"
        return self.state != "broken"

    def _take_key(self, text: str, at: int, members: list[Member]) -> int:
        end = self._scan.take(text, at)
        self._key += text[at:end]
        if self._scan.state == "broken":
            self.state = "broken"
        elif self._scan.state == "whole":
            name = string_of(self._key)
            self._key, self._expected = "", "colon"
            if name is None:
                self.state = "broken"
            else:
                members.append(Key(name))
        return end

    def _take_value(self, text: str, at: int, members: list[Member]) -> int:
        if not self._scan.is_begun and text[at] in _SPACE:
            return at + 1
        end = self._scan.take(text, at)
        if end > at:
            members.append(Piece(text[at:end]))
        if self._scan.state == "broken":
            self.state = "broken"
        elif self._scan.state == "whole":
            members.append(ValueEnd())
            self._expected = "next"
        return end


def string_of(text: str) -> str | None:
    """The string that this JSON text is; None where it is another thing."""
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.DecodeError, UnicodeError):
        return None
