"""Which old turns go when a conversation does not fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from roci.types.messages import ModelMessage
from roci.types.overflow import without_oldest_turns
from roci.types.tools import ToolCall

SYSTEM = ModelMessage.system("Be kind.")


def user(text: str) -> ModelMessage:
    return ModelMessage.user(text)


def assistant(text: str) -> ModelMessage:
    return ModelMessage.assistant(text)


ROUND = (
    ModelMessage.user("What is the weather?"),
    ModelMessage.assistant(tool_calls=[ToolCall(id="1", name="weather")]),
    ModelMessage.tool_result("1", "rain"),
    ModelMessage.assistant("It rains."),
)


def test_the_system_message_and_the_last_turn_stay() -> None:
    talk = (SYSTEM, user("one"), assistant("1"), user("two"), assistant("2"), user("three"))

    assert without_oldest_turns(talk, limit_tokens=10, given_tokens=1000) == (SYSTEM, user("three"))


def test_a_round_of_tools_goes_whole() -> None:
    talk = (SYSTEM, *ROUND, user("And tomorrow?"))

    assert without_oldest_turns(talk) == (SYSTEM, user("And tomorrow?"))


def test_the_last_turn_keeps_its_rounds_of_tools() -> None:
    assert without_oldest_turns((user("old"), *ROUND)) == ROUND
    assert without_oldest_turns((SYSTEM, *ROUND)) is None


def test_what_an_assistant_said_first_is_a_turn_too() -> None:
    assert without_oldest_turns((assistant("Welcome."), user("hi"))) == (user("hi"),)


def test_the_servers_numbers_say_how_much_goes() -> None:
    talk = tuple(message for turn in range(10) for message in (user("x" * 500), assistant("y" * 500)))
    talk += (user("last"),)

    few = without_oldest_turns(talk, limit_tokens=1000, given_tokens=1050, max_tokens=10)
    many = without_oldest_turns(talk, limit_tokens=1000, given_tokens=4000, max_tokens=10)

    assert few is not None
    assert many is not None
    assert len(talk) - len(few) == 2
    assert len(many) == 5


def test_room_is_kept_for_the_answer() -> None:
    talk = tuple(message for turn in range(10) for message in (user("x" * 500), assistant("y" * 500)))
    talk += (user("last"),)

    short = without_oldest_turns(talk, limit_tokens=1000, given_tokens=1050, max_tokens=10)
    long = without_oldest_turns(talk, limit_tokens=1000, given_tokens=1050, max_tokens=450)

    assert short is not None
    assert long is not None
    assert len(long) < len(short)


def test_without_numbers_half_of_what_may_go_goes() -> None:
    talk = tuple(message for turn in range(8) for message in (user("x"), assistant("y"))) + (user("last"),)
    shorter = without_oldest_turns(talk)

    assert shorter is not None
    assert len(shorter) == 9


def test_an_image_weighs_as_an_image_not_as_its_bytes() -> None:
    from roci.types.messages import ImagePart

    picture = ModelMessage(role="user", parts=(ImagePart("data:image/png;base64," + "A" * 1_000_000),))
    talk = (user("x" * 4000), assistant("y"), picture, assistant("A cat."), user("last"))

    assert without_oldest_turns(talk, limit_tokens=1000, given_tokens=1100, max_tokens=10) == talk[2:]


@given(
    turns=st.lists(st.sampled_from(["plain", "tools", "system"]), max_size=12),
    numbers=st.none() | st.tuples(st.integers(1, 5000), st.integers(1, 20_000)),
    max_tokens=st.none() | st.integers(1, 100_000),
)
def test_whatever_goes_goes_in_whole_turns_from_the_front(
    turns: list[str], numbers: Any, max_tokens: int | None
) -> None:
    kinds = {"plain": (user("a"), assistant("b")), "tools": ROUND, "system": (SYSTEM,)}
    talk = tuple(message for turn in turns for message in kinds[turn]) + (user("last"),)
    limit, given_tokens = numbers or (None, None)

    left = without_oldest_turns(talk, limit_tokens=limit, given_tokens=given_tokens, max_tokens=max_tokens)

    if left is None:
        assert all(turn == "system" for turn in turns)
        return
    assert len(left) < len(talk)
    assert left[-1] == user("last")
    assert [message for message in left if message.role == "system"] == [
        message for message in talk if message.role == "system"
    ]
    spoken = [message for message in left if message.role != "system"]
    assert spoken == [message for message in talk if message.role != "system"][-len(spoken) :]
    assert spoken[0].role == "user"
    for before, after in pairwise(spoken):
        assert (after.role == "tool") == bool(before.tool_calls)


@pytest.mark.parametrize("text", ["", "drop_newest"])
def test_another_word_is_refused_before_anything_is_sent(text: Any) -> None:
    from roci.errors import UsageError
    from roci.types.requests import ProviderRequest, checked

    with pytest.raises(UsageError, match="drop_oldest"):
        checked(ProviderRequest(messages=(user("hi"),), on_overflow=text))
