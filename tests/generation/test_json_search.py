"""Finding an answer's JSON beside other things, and never a part of it in place of the whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from roci.generation.json_search import find
from roci.types.output_schema import NoMatchError, output_of_type


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Loose(msgspec.Struct):
    a: int = 0


def found(text: str, wanted: Any = Point, *, reasoning: str = "", is_cut: bool = False) -> tuple[Any, tuple[str, ...]]:
    result = find(text, reasoning, output_of_type(wanted), is_cut=is_cut)
    return result.value, result.how


@pytest.mark.parametrize(
    ("text", "wanted", "value", "how"),
    [
        ('{"x": 1}', Point, Point(1), ()),
        ('\n {"x": 1}\n\n', Point, Point(1), ()),
        ('```json\n{"x": 1}\n```', Point, Point(1), ("fence",)),
        ('```\n{"x": 1}', Point, Point(1), ("fence",)),
        ('The point is {"x": 1}.', Point, Point(1), ("prose",)),
        ('With {braces}, [brackets] and "quotes: {"x": 1}', Point, Point(1), ("prose",)),
        ('5 points: {"x": 1}', Point, Point(1), ("prose",)),
        ('First {"x": 1}; no: {"x": 2}.', Point, Point(2), ("prose",)),
        ('For {"y": 1} it is {"x": 2}.', Point, Point(2), ("prose",)),
        ('<|im_start|>Sure: {"x": 1}<|im_end|>', Point, Point(1), ("markers", "prose")),
        ('{"x": 1<|im_end|>}', Point, Point(1), ("markers",)),
        ("[1, 2]", list[int], [1, 2], ("bare",)),
        ("7", int, 7, ("bare",)),
        ('"yes"', str, "yes", ("bare",)),
        ("```\n[1, 2]\n```", list[int], [1, 2], ("fence", "bare")),
        ('{"value": "<|im_end|>"}', str, "<|im_end|>", ()),
    ],
)
def test_what_is_found_and_how(text: str, wanted: Any, value: Any, how: tuple[str, ...]) -> None:
    assert found(text, wanted) == (value, how)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("I do not know.", "not JSON"),
        ('{"x": "a"}', "Expected `int`"),
        ('Here: {"x": "a"}', "Expected `int`"),
        ('{"list": [{"a": 1}, {"a": 2}', "not JSON"),
        ('{"list": [{"a": 1}, oops]}', "not JSON"),
        ('{"text": "see {\\"x\\": 1}, and', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{" * 1_000, "not JSON"),
    ],
)
def test_what_is_no_answer(text: str, words: str) -> None:
    with pytest.raises(NoMatchError, match=words):
        found(text, Loose if "list" in text else Point)


def test_the_reasoning_counts_only_where_the_answer_is_empty_and_whole() -> None:
    assert found("", reasoning='{"x": 1}') == (Point(1), ("reasoning",))
    assert found("<|im_end|>", reasoning='So: {"x": 1}') == (Point(1), ("reasoning", "prose"))
    with pytest.raises(NoMatchError):
        found("Sorry.", reasoning='{"x": 1}')
    with pytest.raises(NoMatchError):
        found("", reasoning='Maybe {"x": 1}, or', is_cut=True)


def test_a_cut_answer_is_taken_only_where_it_is_whole_in_itself() -> None:
    assert found('{"x": 1}\n\n', is_cut=True) == (Point(1), ())
    with pytest.raises(NoMatchError):
        found('A draft: {"x": 1}. Better:', is_cut=True)


@given(st.text(max_size=40), st.integers(), st.text(alphabet="abc .,\n", max_size=40))
def test_an_answer_between_words_is_never_lost_to_them(before: str, x: int, after: str) -> None:
    text = before.replace("{", "").replace("[", "").replace('"', "").replace("<", "") + f'{{"x": {x % 1000}}}' + after

    assert found(text)[0] == Point(x % 1000)
