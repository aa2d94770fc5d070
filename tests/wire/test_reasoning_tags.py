"""Thinking inside the answer's text: told apart wherever the text is cut, and never where a tag is only spoken of."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from roci.wire.reasoning_tags import ReasoningSplitter, split_open_thought, split_reasoning

HARMONY = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>"
SPLIT = {
    # what the server sent -> (text, reasoning)
    "<think>\nHm, 2+2.\n</think>\n\nFour.": ("Four.", "Hm, 2+2."),
    "\n <think>a</think>b": ("b", "a"),
    "<thinking>a</thinking>b": ("b", "a"),
    "<reasoning>a</reasoning> b": ("b", "a"),
    "[THINK]a[/THINK]b": ("b", "a"),
    "<think>\n\n</think>\n\nb": ("b", ""),
    "<think>first</think>\n<think>second</think>\nb": ("b", "firstsecond"),
    "<think>a < b, </thinking> and </th ink></think>x </think> y": ("x </think> y", "a < b, </thinking> and </th ink>"),
    HARMONY: ("Four.", "Let me see."),
    "<|start|>assistant" + HARMONY: ("Four.", "Let me see."),
    "<|channel|>analysis<|message|>a<|channel|>final<|message|>b <|endless": ("b <|endless", "a"),
    "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b": ("b", "a"),
    "<|channel|>commentary<|message|>I look.<|end|>": ("I look.", ""),
    # a call in Harmony's form is left for whoever reads calls
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{}": (
        "<|channel|>commentary to=functions.f<|message|>{}",
        "a",
    ),
    # the chat template opened it, and the model had no thought
    "</think>\n\nFour.": ("Four.", ""),
    # cut by the token limit while it thought
    "<think>Hm, so": ("", "Hm, so"),
    "<think>Hm, so</thi": ("", "Hm, so</thi"),
    "<think>": ("", ""),
}
PLAIN = [
    "",
    "Four.",
    "  Four, with blanks around.  ",
    "\n\n",
    "<",
    "<thin",
    "<thinker>is another tag</thinker>",
    "[1, 2]",
    '{"a": "<think>b</think>"}',
    "`<think>` opens a thought, `</think>` ends it.",
    "Put it in tags: <think>like this</think>, then answer.",
    "```xml\n<think>\na\n</think>\n```\n",
    "A thought ends with </think> in this format.",
    "```\nfirst\n</think>\n",
    "See <think>\nhere\n</think>\n\nand on.",
]


@pytest.mark.parametrize(("text", "wanted"), SPLIT.items())
def test_tags_at_the_start_are_split_off(text: str, wanted: tuple[str, str]) -> None:
    assert split_reasoning(text) == wanted


@pytest.mark.parametrize("text", PLAIN)
def test_text_that_only_speaks_of_tags_stays_as_it_is(text: str) -> None:
    assert split_reasoning(text) == (text, "")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hm, 2+2.\n</think>\n\nFour.", ("Four.", "Hm, 2+2.")),
        ("Hm, 2+2.</think>\n\nFour.", ("Four.", "Hm, 2+2.")),
        ("Hm, 2+2.\n</think>", ("", "Hm, 2+2.")),
        ("One.\n\n[/THINK]\nTwo.", ("Two.", "One.")),
        ("```\ncode\n```\nso\n</think>\nDone.", ("Done.", "```\ncode\n```\nso")),
    ],
)
def test_a_thought_that_the_template_opened_is_split_off_the_whole_answer(text: str, wanted: tuple[str, str]) -> None:
    assert split_open_thought(text) == wanted
    assert split_reasoning(text) == wanted


def fed(pieces: list[str]) -> tuple[str, str]:
    splitter = ReasoningSplitter()
    told = [*map(splitter.feed, pieces), splitter.close()]
    return "".join(text for text, _ in told), "".join(thought for _, thought in told)


words = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<thinking>", "</thinking>", "<|channel|>analysis<|message|>", "<|end|>", "<|return|>",
         "<|start|>assistant", "<|channel|>final<|message|>", " ", "\n", "<", "a", "so", "`"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(st.one_of(st.sampled_from([*SPLIT, *PLAIN]), words), st.lists(st.integers(0, 150)))
def test_however_a_text_is_cut_the_same_comes_out(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]

    assert fed([text[start:end] for start, end in pairwise(places)]) == fed([text])
    assert fed(list(text)) == fed([text])


@given(words)
def test_nothing_but_tags_and_blanks_is_lost(text: str) -> None:
    shown = "".join(fed([text]))

    assert shown.count("so") == text.count("so")
    assert shown.count("`") == text.count("`")


def test_a_plain_answer_is_let_go_at_its_first_letter() -> None:
    splitter = ReasoningSplitter()

    assert splitter.feed("\n") == ("", "")
    assert not splitter.is_plain
    assert splitter.feed("H") == ("\nH", "")
    assert splitter.is_plain


def test_a_thought_is_told_as_it_comes() -> None:
    splitter = ReasoningSplitter()

    assert [splitter.feed(piece) for piece in ("<thi", "nk>Hm", ", so", " </", "think>", "\nFour")] == [
        ("", ""), ("", "Hm"), ("", ", so"), ("", ""), ("", ""), ("Four", ""),
    ]  # fmt: skip
