"""Thinking that a server leaves inside the answer's text: told apart by the tags it stands in. Pure.

Only the very start of an answer is looked at, so that an answer about tags stays as it is, and a stream without any is
left alone from its first letter on. Source: the chat templates of DeepSeek R1, Qwen 3, Magistral and gpt-oss (Harmony).
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

_HARMONY_ENDS: Final = ("<|end|>", "<|return|>")


class _Mark(NamedTuple):
    """What a mark at the start of the answer, or behind a thought, begins."""

    begins: Literal["thought", "text", "nothing"]
    ends: tuple[str, ...] = ()
    """What ends that; a text without ends goes on to the answer's end."""


_MARKS: Final = {
    "<think>": _Mark("thought", ("</think>",)),
    "<thinking>": _Mark("thought", ("</thinking>",)),
    "<reasoning>": _Mark("thought", ("</reasoning>",)),
    "[THINK]": _Mark("thought", ("[/THINK]",)),
    # A closing tag first: the chat template opened the thought, and the model had none.
    "</think>": _Mark("nothing"),
    "</thinking>": _Mark("nothing"),
    "</reasoning>": _Mark("nothing"),
    "[/THINK]": _Mark("nothing"),
    # gpt-oss now and then goes on to its answer without closing the thought.
    "<|channel|>analysis<|message|>": _Mark(
        "thought", ("<|end|>", "<|start|>assistant", "<|channel|>final<|message|>")
    ),
    "<|channel|>final<|message|>": _Mark("text", _HARMONY_ENDS),
    "<|channel|>commentary<|message|>": _Mark("text", _HARMONY_ENDS),
    "<|start|>assistant": _Mark("nothing"),
    "<|end|>": _Mark("nothing"),
}
_FINAL: Final = "<|channel|>final<|message|>"
# Compiled when first needed.
_CLOSER: Final = r"</(?:think|thinking|reasoning)>|\[/THINK\]"
_OPENER_OF: Final = {end: mark for mark, kind in _MARKS.items() if kind.begins == "thought" for end in kind.ends}


class ReasoningSplitter:
    """Splits an answer's text as it comes; however it is cut, the pieces add up to the same.

    Blanks around a thought belong to the tags and are dropped.
    """

    def __init__(self) -> None:
        self.is_plain = False
        """The rest is the answer itself: `feed` need not be asked any more."""
        self._held = ""
        self._inside: _Mark | None = None
        self._has_marks = False
        self._thought_has_begun = False

    def feed(self, text: str) -> tuple[str, str]:
        """(text, reasoning) that is certain now."""
        self._held += text
        texts: list[str] = []
        thoughts: list[str] = []
        while self._step(texts, thoughts):
            pass
        return "".join(texts), "".join(thoughts)

    def close(self) -> tuple[str, str]:
        """(text, reasoning) of what was held back, at the answer's end."""
        held, self._held = self._held, ""
        self.is_plain = True
        if self._inside is not None and self._inside.begins == "thought":
            return "", held.rstrip()
        return (held.lstrip() if self._has_marks and self._inside is None else held), ""

    def _step(self, texts: list[str], thoughts: list[str]) -> bool:
        """Take what can be told from what is held; True where there may be more to tell."""
        if self._inside is None:
            return self._at_start(texts)
        return self._in_block(texts if self._inside.begins == "text" else thoughts)

    def _at_start(self, texts: list[str]) -> bool:
        if self.is_plain:
            texts.append(self._held)
            self._held = ""
            return False
        start = self._held.lstrip()
        if not start:
            return False
        for text, mark in _MARKS.items():
            if start.startswith(text):
                self._has_marks = True
                self._held = start[len(text) :]
                self._inside = mark if mark.ends else None
                self._thought_has_begun = False
                return True
        if any(text.startswith(start) for text in _MARKS):
            return False
        self.is_plain = True
        self._held = start if self._has_marks else self._held
        return True

    def _in_block(self, out: list[str]) -> bool:
        block = self._inside
        assert block is not None
        is_thought = block.begins == "thought"
        if is_thought and not self._thought_has_begun:
            self._held = self._held.lstrip()
            self._thought_has_begun = bool(self._held)
        found = _first_of(self._held, block.ends)
        if found is None:
            kept = _kept_back(self._held, block.ends, blanks=is_thought)
            out.append(self._held[: len(self._held) - kept])
            self._held = self._held[len(self._held) - kept :]
            return False
        place, end = found
        piece = self._held[:place]
        out.append(piece.rstrip() if is_thought else piece)
        self._held = self._held[place + len(end) :]
        self._inside = _MARKS[_FINAL] if end == _FINAL else None
        return True


def split_reasoning(text: str) -> tuple[str, str]:
    """(text, reasoning) of a whole answer."""
    splitter = ReasoningSplitter()
    fed, closed = splitter.feed(text), splitter.close()
    text, reasoning = fed[0] + closed[0], fed[1] + closed[1]
    return (text, reasoning) if reasoning else split_open_thought(text)


def split_open_thought(text: str) -> tuple[str, str]:
    """(text, reasoning) of a whole answer whose thought the chat template opened, so that only its end is marked.

    Such an end stands on a line of its own, or closes a line with an empty one behind it. A tag that is merely
    spoken of, within a line, in code, or after its opening tag, ends nothing.
    """
    if "</" not in text and "[/" not in text:
        return text, ""
    for found in re.finditer(_CLOSER, text):
        before, after = text[: found.start()], text[found.end() :]
        if _OPENER_OF[found[0]] in before or before.count("```") % 2:
            return text, ""
        is_line_start = not before.rsplit("\n", 1)[-1].strip()
        is_line_end = not after.split("\n", 1)[0].strip()
        if is_line_end and (is_line_start or after.lstrip(" \t").startswith(("\n\n", "\r\n\r\n"))):
            return after.lstrip(), before.strip()
    return text, ""


def _first_of(text: str, ends: tuple[str, ...]) -> tuple[int, str] | None:
    found = [(place, end) for end in ends if (place := text.find(end)) >= 0]
    return min(found) if found else None


def _kept_back(text: str, ends: tuple[str, ...], *, blanks: bool) -> int:
    """How many last letters may be the beginning of an end, or, with `blanks`, the blanks before one."""
    longest = max(map(len, ends)) - 1
    kept = next(
        (size for size in range(min(longest, len(text)), 0, -1) if any(end.startswith(text[-size:]) for end in ends)),
        0,
    )
    if blanks:
        rest = text[: len(text) - kept]
        kept += len(rest) - len(rest.rstrip())
    return kept
