"""A `pattern` in the few forms that llama.cpp's grammar takes, or the finding that it cannot be one.

llama.cpp copies a pattern's pieces into its grammar: `.` and `[^a]` would let a bare quote into the JSON string, and
`\\d` or a missing anchor make it ignore the whole. Here they are written out. Source: xllamacpp 2026.10, by trying.
"""

from __future__ import annotations

from typing import Final

_REPEAT_LIMIT: Final = 500
_LENGTH_LIMIT: Final = 1000
_CLASSES: Final = {"d": "0-9", "w": "A-Za-z0-9_", "s": " "}
_ANY: Final = r'[^"\\\x00-\x1F]'
"""Any letter that stands for itself inside a JSON string."""
_QUIET: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-,:;@#%&=!<>~'/")
"""Letters that mean themselves in a pattern, in a grammar and in a JSON string."""
_ESCAPED: Final = frozenset(".+*?()[]{}|^$/-")
_REPEATS: Final = frozenset("*+?{")


class _NotEnforceableError(Exception):
    pass


def grammar_pattern(pattern: str) -> str | None:
    """The same pattern for the grammar; None where the grammar cannot hold it, so that it can only be checked."""
    if len(pattern) > _LENGTH_LIMIT or ("|" in pattern and not _is_grouped(pattern)):
        return None
    anchored_left, anchored_right = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = pattern[anchored_left : len(pattern) - anchored_right]
    try:
        written = _Writer(inner).written()
    except _NotEnforceableError:
        return None
    before = "" if anchored_left else f"{_ANY}*"
    after = "" if anchored_right else f"{_ANY}*"
    return f"^{before}{written}{after}$"


def written_letter(letter: str) -> str | None:
    """How a pattern for the grammar writes a letter that means itself; None where it cannot."""
    if letter in _QUIET:
        return letter
    return f"\\{letter}" if letter in _ESCAPED else None


def _is_grouped(pattern: str) -> bool:
    """Whether every `|` stands inside a group, so that the anchors hold for all of it."""
    depth = 0
    for at, letter in enumerate(pattern):
        if at and pattern[at - 1] == "\\":
            continue
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and depth <= 0:
            return False
    return True


class _Writer:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def written(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise _NotEnforceableError
        return text

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        letter = self._peek()
        if not letter:
            raise _NotEnforceableError
        self._at += 1
        return letter

    def _alternatives(self) -> str:
        text = self._sequence()
        while self._peek() == "|":
            text += self._next() + self._sequence()
        return text

    def _sequence(self) -> str:
        text = ""
        while self._peek() not in ("", "|", ")"):
            text += self._atom() + self._repeat()
        if not text:
            raise _NotEnforceableError
        return text

    def _atom(self) -> str:
        letter = self._next()
        if letter == "(":
            return self._group()
        if letter == "[":
            return self._set()
        if letter == ".":
            return _ANY
        if letter == "\\":
            return self._escape()
        if letter not in _QUIET:
            raise _NotEnforceableError
        return letter

    def _group(self) -> str:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise _NotEnforceableError
            self._at += 2
        text = self._alternatives()
        if self._next() != ")":
            raise _NotEnforceableError
        return f"({text})"

    def _escape(self) -> str:
        letter = self._next()
        if letter in _CLASSES:
            return f"[{_CLASSES[letter]}]"
        written = written_letter(letter) if letter in _ESCAPED else None
        if written is None:
            raise _NotEnforceableError
        return written

    def _set(self) -> str:
        """A set of letters; one that excludes letters excludes those too that end or escape a JSON string."""
        excludes = self._peek() == "^"
        self._at += excludes
        members = ""
        while self._peek() != "]":
            letter = self._next()
            if letter == "\\":
                letter = self._next()
                if letter in _CLASSES:
                    members += _CLASSES[letter]
                    continue
                if letter not in _ESCAPED and letter not in _QUIET:
                    raise _NotEnforceableError
                members += f"\\x{ord(letter):02X}"
            elif letter in _QUIET or letter in ".+*?(){}|$":
                members += letter if letter in _QUIET else f"\\x{ord(letter):02X}"
            else:
                raise _NotEnforceableError
        self._at += 1
        if not members:
            raise _NotEnforceableError
        return f'[^"\\\\\\x00-\\x1F{members}]' if excludes else f"[{members}]"

    def _repeat(self) -> str:
        if self._peek() not in _REPEATS or not self._peek():
            return ""
        mark = self._next()
        if mark == "{":
            end = self._pattern.find("}", self._at)
            least, comma, most = self._pattern[self._at : end].partition(",")
            if end < 0 or not least.isdecimal() or (most and not most.isdecimal()):
                raise _NotEnforceableError
            if max(int(least), int(most or 0)) > _REPEAT_LIMIT:
                raise _NotEnforceableError
            self._at = end + 1
            mark = f"{{{least}{comma}{most}}}"
        if self._peek() in _REPEATS and self._peek():
            raise _NotEnforceableError
        return mark
