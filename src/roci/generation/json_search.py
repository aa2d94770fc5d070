"""The JSON that a text holds beside other things. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import msgspec

from roci.types.output_schema import NoMatchError, OutputType

T = TypeVar("T")

_STARTS_LIMIT: Final = 64
_MARKS: Final = (
    r"<\|channel\|>[^<]{0,80}<\|message\|>",  # Harmony
    r"<\|[A-Za-z_]{1,40}\|>",  # ChatML, Llama 3, Harmony, Phi
    r"<\uff5c[^\uff5c]{1,40}\uff5c>",  # DeepSeek
    r"</?(?:think|thinking|reasoning|seed:think)>",
    r"\[/?(?:THINK|END_OF_TEXT)\]",
    r"<(?:end_of_turn|start_of_turn|eos|bos|/s)>",
)
_STRING_OR_MARK: Final = re.compile(rf'"(?:[^"\\]|\\.)*"|({"|".join(_MARKS)})', re.DOTALL)
_FENCE: Final = re.compile(r"(?:```|~~~)[ \t]*\w*[ \t]*\n?\s*\Z")
_START: Final = re.compile(r"[{\[]")
_scan: Final = json.JSONDecoder().raw_decode


class Found(msgspec.Struct, Generic[T], frozen=True):
    """A value, and how it was found."""

    value: T
    how: tuple[str, ...] = ()
    """Words of `Receipt.recovered`; empty where the text is that JSON and nothing else."""


def find(text: str, reasoning: str, output: OutputType[T], *, is_cut: bool) -> Found[T]:
    """The value of the type that an answer holds. Whatever is not plainly the answer is told in `.how`.

    Args:
        is_cut: the answer stopped in the middle, so that JSON between other words may be a draft: it is left alone.

    Raises:
        NoMatchError: there is none; with the fault of the JSON that comes nearest.
    """
    if reasoning and not is_cut and not _unmarked(text).strip():
        found = _find_in(reasoning, output, is_cut=False)
        return Found(found.value, ("reasoning", *found.how))
    return _find_in(text, output, is_cut=is_cut)


def _find_in(text: str, output: OutputType[T], *, is_cut: bool) -> Found[T]:
    try:
        return _read(text.strip(), output)
    except NoMatchError as fault:
        if fault.is_json:
            raise
        nearest = fault
    plain = _unmarked(text)
    how = () if plain == text else ("markers",)
    if how:
        try:
            found = _read(plain.strip(), output)
            return Found(found.value, how + found.how)
        except NoMatchError as fault:
            nearest = fault
    last: Found[T] | None = None
    for word, piece in () if is_cut else _pieces(plain):
        try:
            found = _read(piece, output)
        except NoMatchError as fault:
            nearest = fault
        else:
            # What comes last is the answer; what comes before it is often a draft or an example.
            last = Found(found.value, (*how, word, *found.how))
    if last is None:
        raise nearest
    return last


def _read(text: str, output: OutputType[T]) -> Found[T]:
    try:
        return Found(output.read(text))
    except NoMatchError as fault:
        if not output.is_wrapped or not fault.is_json:
            raise
        bare = _or_none(output.read_bare, text)
        if bare is None:
            raise
        return Found(bare[0], ("bare",))


def _or_none(read: Callable[[str], T], text: str) -> tuple[T] | None:
    try:
        return (read(text),)
    except NoMatchError:
        return None


def _unmarked(text: str) -> str:
    """`text` without the engine's marks that stand outside JSON's strings."""
    return _STRING_OR_MARK.sub(lambda found: "" if found[1] else found[0], text)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """(`fence` or `prose`, JSON) of each object and array that stands in a text; none that is part of another one."""
    place = 0
    for _ in range(_STARTS_LIMIT):
        start = _START.search(text, place)
        if start is None:
            return
        try:
            _, place = _scan(text, start.start())
        except json.JSONDecodeError as error:
            if error.msg.startswith("Unterminated string"):
                return
            # Not into it: a part of an object that is broken must not pass for the whole.
            place = max(error.pos, start.end())
        except RecursionError:
            return
        else:
            word = "fence" if _FENCE.search(text, max(0, start.start() - 80), start.start()) else "prose"
            yield word, text[start.start() : place]
