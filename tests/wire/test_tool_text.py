"""Calls out of a model's text, however it is cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import Raw

from roci.wire.generation import (
    Event,
    Finish,
    Note,
    ReasoningDelta,
    StopReason,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Transcript,
)
from roci.wire.tools.readers import TextCalls, TextReader
from roci.wire.tools.text_readers import CALL_BEGIN, CALL_END, DefaultFormatText, EnvelopeText, ForcedText

NAMES = {"a": "a", "b_c": "b.c", "b.c": "b.c"}
B, E = CALL_BEGIN, CALL_END


def events_of(
    kind: Callable[[dict[str, str], int], TextReader], pieces: list[str], reason: StopReason = "stop"
) -> list[Event]:
    reader = TextCalls(lambda choice: kind(NAMES, choice))
    events = [event for piece in pieces for event in reader.feed(TextDelta(piece))]
    return [*events, *reader.feed(Finish(reason))]


def read(
    kind: Callable[[dict[str, str], int], TextReader], text: str, reason: StopReason = "stop"
) -> tuple[str, list[tuple[str, str, bool]], list[str]]:
    """Text, calls (name, arguments, whole or not) and the codes of notes; the same letter by letter."""
    whole, letters = told(events_of(kind, [text], reason)), told(events_of(kind, list(text), reason))
    assert whole == letters
    return whole


def told(events: list[Event]) -> tuple[str, list[tuple[str, str, bool]], list[str]]:
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    choice = transcript.choice()
    calls = [(call.name, call.arguments, call.is_whole) for call in choice.calls]
    return choice.text, calls, [note.code for note in choice.notes]


@pytest.mark.parametrize(
    ("text", "words", "calls"),
    [
        ("Hello there.", "Hello there.", []),
        (f'{B}{{"name": "a", "arguments": {{"x": 1}}}}{E}', "", [("a", '{"x": 1}')]),
        (f'One moment.\n{B}{{"name":"a","arguments":{{}}}}{E} Done.', "One moment.\n Done.", [("a", "{}")]),
        (f'\n {B}{{"name":"a"}}{E}\n\n{B}{{"name":"a","arguments":null}}{E}\n', "", [("a", "{}"), ("a", "{}")]),
        (f'{B}{{"arguments": {{"x": [1]}}, "name": "a"}}{E}', "", [("a", '{"x": [1]}')]),
        (f'{B}{{"name": "a", "parameters": {{"x": 1}}}}{E}', "", [("a", '{"x": 1}')]),
        (f'{B}{{"name": "b.c", "arguments": {{}}}}{E}', "", [("b.c", "{}")]),
        (f'{B}{{"name": "b_c", "arguments": {{}}, "id": [7]}}{E}', "", [("b.c", "{}")]),
        (f'{B}{{"name": "a", "arguments": "{{\\"x\\": \\"é\\"}}"}}{E}', "", [("a", '{"x": "é"}')]),
        (f'{B}{{"name": "a", "arguments": ""}}{E}', "", [("a", "{}")]),
        (f'{B}\n```json\n{{"name": "a", "arguments": {{}}}}\n```\n{E}', "", [("a", "{}")]),
        (f'{B}{{"name": "a", "arguments": {{"x": "{E}{B}"}}}}{E}', "", [("a", f'{{"x": "{E}{B}"}}')]),
        (f'{B}{{"name": "a", "arguments": {{"x": "\\"}}"}}}}{E}', "", [("a", '{"x": "\\"}"}')]),
        (f'{B}{{"name": "a", "arguments": {{}}}}', "", [("a", "{}")]),
        (f'{B}{{"name": "a", "arguments": {{}}', "", [("a", "{}")]),
        (f'{B}{{"name": "a", "arguments": {{}}{E}', "", [("a", "{}")]),
        (f'{B}{{"name": "a", "arguments": {{}}}}[END_TOOL', "", [("a", "{}")]),
        (f'{B}{{"name": "a", "arguments": {{}}}} I wait.', " I wait.", [("a", "{}")]),
        ("[TOOL_REQ", "[TOOL_REQ", []),
        ("[[TOOL_REQUES] x [", "[[TOOL_REQUES] x [", []),
        (" \n", " \n", []),
    ],
)
def test_the_default_format_is_read(text: str, words: str, calls: list[tuple[str, str]]):
    assert read(DefaultFormatText, text) == (words, [(name, arguments, True) for name, arguments in calls], [])


@pytest.mark.parametrize(
    "text",
    [
        f'{B}{{"name": "other", "arguments": {{}}}}{E}',
        f'{B}{{"name": "a", "arguments": [1]}}{E}',
        f'{B}{{"name": "a", "arguments": "no"}}{E}',
        f'{B}{{"name": 3, "arguments": {{}}}}{E}',
        f'{B}{{"arguments": {{}}}}{E}',
        f'{B}{{"name": "a" "arguments": {{}}}}{E}',
        f"{B}{{'name': 'a'}}{E}",
        f"{B}a(x=1){E}",
        f'{B}``json{{"name": "a"}}{E}',
        f'{B}{{"name": "a", "argum',
        f"Look: {B}",
        f'{B}{{"name": "a", "name": "a"}}{E}',
    ],
)
def test_what_is_no_call_comes_back_as_it_was_written_with_a_note(text: str):
    assert read(DefaultFormatText, text) == (text, [], ["tool_parse_error"])


def test_a_call_after_one_that_is_none_is_found():
    text = f'{B}no {B}{{"name": "a"}}{E}'
    assert read(DefaultFormatText, text) == (f"{B}no ", [("a", "{}", True)], ["tool_parse_error"])


def test_arguments_that_turn_out_to_be_no_json_leave_the_call_unended_and_come_back_as_text():
    text = f'{B}{{"name": "a", "arguments": {{"x": 1,}}}}{E}'
    words, calls, notes = read(DefaultFormatText, text)
    assert words == text
    assert [(name, is_whole) for name, _, is_whole in calls] == [("a", False)]
    assert notes == ["tool_parse_error"]


@pytest.mark.parametrize("kind", [DefaultFormatText, ForcedText])
def test_a_call_that_the_limit_cuts_is_not_ended(kind: Callable[[dict[str, str], int], TextReader]):
    mark = B if kind is DefaultFormatText else ""
    cut = f'{mark}{{"name": "a", "arguments": {{"x": [1'
    assert read(kind, cut, "length") == ("", [("a", '{"x": [1', False)], ["tool_call_cut"])


def test_a_call_that_is_cut_before_its_arguments_comes_back_as_text():
    assert read(ForcedText, '{"name": "a", "arg', "length") == ('{"name": "a", "arg', [], ["tool_call_cut"])


def test_arguments_are_told_as_they_come():
    reader = TextCalls(lambda choice: DefaultFormatText(NAMES, choice))
    assert reader.feed(TextDelta(f'Hm {B}{{"name": "a"')) == [TextDelta("Hm ")]
    (start, first) = reader.feed(TextDelta(', "arguments": {"te'))
    assert isinstance(start, ToolCallStart)
    assert start.name == "a"
    assert start.id.startswith("call_")
    assert len(start.id) == 29
    assert start.id.removeprefix("call_").isalnum()
    assert first == ToolCallDelta(0, '{"te')
    assert reader.feed(TextDelta('xt": "long')) == [ToolCallDelta(0, 'xt": "long')]
    assert reader.feed(TextDelta('er"}')) == [ToolCallDelta(0, 'er"}'), ToolCallEnd(0)]
    assert reader.feed(TextDelta("}")) == []


def test_a_very_long_text_of_marks_is_read_in_one_go():
    text = B * 20_000
    words, calls, notes = told(events_of(DefaultFormatText, [text]))
    assert (words, calls) == (text, [])
    assert len(notes) <= 32


def test_arguments_that_nest_too_deeply_are_no_call():
    text = f'{B}{{"name": "a", "arguments": {"{" * 10} "x": {"[" * 5000}'
    assert told(events_of(DefaultFormatText, [text]))[2] == ["tool_parse_error"]


def test_choices_do_not_mix():
    reader = TextCalls(lambda choice: ForcedText(NAMES, choice))
    events = reader.feed(TextDelta('{"name": "a", "arguments": {"x"', 0))
    events += reader.feed(TextDelta('{"name": "b_c", "arguments": {', 1))
    events += reader.feed(TextDelta(": 1}}", 0)) + reader.feed(TextDelta("}}", 1))
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    assert [(call.name, call.arguments) for call in transcript.choice(0).calls] == [("a", '{"x": 1}')]
    assert [(call.name, call.arguments) for call in transcript.choice(1).calls] == [("b.c", "{}")]


def test_what_is_held_back_comes_when_the_stream_breaks():
    reader = TextCalls(lambda choice: DefaultFormatText(NAMES, choice))
    assert reader.feed(TextDelta("so [TOOL")) == [TextDelta("so ")]
    assert reader.close() == [TextDelta("[TOOL")]
    assert reader.close() == []


def test_thoughts_pass_by():
    reader = TextCalls(lambda choice: ForcedText(NAMES, choice))
    assert reader.feed(ReasoningDelta("{hm")) == [ReasoningDelta("{hm")]


def test_token_probabilities_come_with_the_text_that_was_held_back():
    reader = TextCalls(lambda choice: DefaultFormatText(NAMES, choice))
    assert reader.feed(TextDelta("[", logprobs=(Raw(b"1"),))) == []
    (told_late,) = reader.feed(TextDelta("x", logprobs=(Raw(b"2"),)))
    assert told_late == TextDelta("[x", logprobs=(Raw(b"1"), Raw(b"2")))
    assert reader.feed(TextDelta("", logprobs=(Raw(b"3"),))) == []
    assert reader.feed(Finish("stop")) == [TextDelta("", logprobs=(Raw(b"3"),)), Finish("stop")]


@pytest.mark.parametrize(
    ("text", "words", "calls"),
    [
        ('{"tool_call": {"name": "a", "arguments": {"x": 1}}}', "", [("a", '{"x": 1}')]),
        ('{"answer": {"x": [1, "}"]} }', '{"x": [1, "}"]}', []),
        ('{ "answer" : 12}', "12", []),
        ('\n{"answer": "tool_call"}\n', '"tool_call"', []),
    ],
)
def test_an_envelope_holds_a_call_or_an_answer(text: str, words: str, calls: list[tuple[str, str]]):
    assert read(EnvelopeText, text) == (words, [(name, arguments, True) for name, arguments in calls], [])


@pytest.mark.parametrize("text", ["plain words", '{"other": 1}', '{"tool_call": {"name": "zz"}}', '{"tool_call": 3}'])
def test_what_is_no_envelope_comes_back_as_it_was_written(text: str):
    assert read(EnvelopeText, text) == (text, [], ["tool_parse_error"])


def test_an_answer_that_the_limit_cuts_is_what_came_of_it():
    assert read(EnvelopeText, '{"answer": {"x": "ab', "length") == ('{"x": "ab', [], [])


PLACES = st.lists(st.integers(0, 10_000))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)
SEGMENTS = st.one_of(
    st.sampled_from([B, E, "[", "[TOOL", "{", '{"name": "a"', "```", "\n", " ", '"', "x", '{"name": "zz"}', "é", "}"]),
    st.text(max_size=8),
    st.builds(
        lambda arguments, indent, name: f"{B}{json.dumps({'name': name, 'arguments': arguments}, indent=indent)}{E}",
        ARGUMENTS,
        st.sampled_from([None, 2]),
        st.sampled_from(["a", "b_c", "zz"]),
    ),
)


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in itertools.pairwise(ends)]


@settings(max_examples=60)
@given(st.lists(SEGMENTS, max_size=6), PLACES, st.sampled_from(["stop", "length"]))
@pytest.mark.parametrize("kind", [DefaultFormatText, ForcedText, EnvelopeText])
def test_any_cut_of_a_text_gives_the_same(
    kind: Callable[[dict[str, str], int], TextReader], segments: list[str], places: list[int], reason: StopReason
):
    text = "".join(segments)
    assert told(events_of(kind, cut(text, places), reason)) == told(events_of(kind, [text], reason))


@settings(max_examples=60)
@given(st.lists(SEGMENTS, max_size=6), PLACES)
def test_nothing_that_was_generated_is_lost(segments: list[str], places: list[int]):
    text = "".join(segments)
    events = events_of(DefaultFormatText, cut(text, places))
    words, calls, _ = told(events)
    rest = text
    for letter in "".join(words.split()):
        at = rest.find(letter)
        assert at >= 0, (text, words)
        rest = rest[at + 1 :]
    if not any(is_whole for _, _, is_whole in calls):
        assert words == text
    for _, arguments, is_whole in calls:
        if is_whole:
            assert isinstance(json.loads(arguments), dict)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["a", "b_c"]), ARGUMENTS), min_size=1, max_size=4), PLACES)
def test_calls_come_back_with_the_arguments_they_were_written_with(
    written: list[tuple[str, dict[str, object]]], places: list[int]
):
    text = "\n".join(f"{B}{json.dumps({'name': name, 'arguments': each})}{E}" for name, each in written)
    words, calls, notes = told(events_of(DefaultFormatText, cut(text, places)))
    assert (words, notes) == ("", [])
    assert [(name, json.loads(arguments)) for name, arguments, _ in calls] == [
        (NAMES[name], each) for name, each in written
    ]


@settings(max_examples=60)
@given(ARGUMENTS, PLACES, st.integers(0, 10_000))
def test_a_forced_call_that_is_cut_anywhere_loses_nothing(arguments: dict[str, object], places: list[int], end: int):
    whole = json.dumps({"name": "a", "arguments": arguments})
    text = whole[: end % (len(whole) + 1)]
    events = events_of(ForcedText, cut(text, places), "length")
    words, calls, notes = told(events)
    assert [note for note in events if isinstance(note, Note)] == [] or notes == ["tool_call_cut"]
    if calls:
        assert words == ""
        assert text.rstrip("}").endswith(calls[0][1].rstrip("}"))
    else:
        assert words == text
