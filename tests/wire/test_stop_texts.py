"""Stop texts end an answer wherever they are cut, and are named."""

from __future__ import annotations

import itertools

from hypothesis import given, strategies as st

from roci.wire.generation import Event, Finish, ReasoningDelta, TextDelta
from roci.wire.stop_texts import StopTexts


def read(texts: list[str], pieces: list[str]) -> tuple[str, list[Event]]:
    stops = StopTexts(texts)
    events = [event for piece in pieces for event in stops.feed(TextDelta(piece))]
    events += stops.feed(Finish("stop"))
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events


def test_the_text_ends_before_the_stop_text_which_is_told():
    text, events = read(["END", "never"], ["one E", "N", "D two"])
    assert text == "one "
    assert events[-1] == Finish("stop", 0, "END")


def test_the_earliest_stop_text_counts():
    assert read(["b", "a"], ["xxa b"])[0] == "xx"


def test_what_only_looked_like_a_stop_text_is_given_at_the_end():
    text, events = read(["END"], ["the EN"])
    assert text == "the EN"
    assert events[-1] == Finish("stop")


def test_reasoning_does_not_stop_an_answer():
    stops = StopTexts(["END"])
    assert stops.feed(ReasoningDelta("END")) == [ReasoningDelta("END")]
    assert stops.found is None


@given(st.text("abE ", max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_any_cut_of_the_text_gives_the_same(text: str, cuts: list[int]):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert read(["aE", "Eb"], pieces)[0] == read(["aE", "Eb"], [text])[0]
