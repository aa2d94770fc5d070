"""The store of turns: threads, branches, forgetting, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Raw

from roci.errors import BadRequestError
from roci.server.state.conversations import (
    THREAD_LIMIT_BYTES,
    THREAD_LIMIT_TURNS,
    Conversations,
    Thread,
    Turn,
    new_response_id,
)
from roci.server.state.database import FILE_NAME, Database
from roci.wire.openai.requests import ChatMessage

DAY_S = 86_400


class Store:
    """Conversations over a file, with a clock that is set by hand."""

    def __init__(self, path: Path) -> None:
        self.now = 1_000_000_000.0
        self.database = Database(path / FILE_NAME)
        self.conversations = Conversations(self.database, 30, clock=lambda: self.now)

    def say(self, text: str, previous_id: str | None = None, *, reply: bytes = b'{"n":1}') -> str:
        turn_id = new_response_id()
        messages = [ChatMessage("user", text), ChatMessage("assistant", f"{text}!")]
        turn = Turn(id=turn_id, previous_id=previous_id, model="first", messages=messages, reply=Raw(reply))
        asyncio.run(self.conversations.save(turn))
        return turn_id

    def texts(self, turn_id: str) -> list[object]:
        return [message.content for message in asyncio.run(self.conversations.thread(turn_id)).messages]

    def rows(self) -> int:
        return self.database.run("SELECT COUNT(*) FROM turns")[0][0]

    def sweep(self) -> None:
        asyncio.run(self.conversations.sweep())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.database.close()


def test_a_thread_is_all_that_was_said_oldest_first(store: Store):
    first = store.say("a")
    second = store.say("b", first)
    assert store.texts(second) == ["a", "a!", "b", "b!"]
    assert store.texts(first) == ["a", "a!"]


def test_any_turn_can_be_branched_from(store: Store):
    first = store.say("a")
    left, right = store.say("b", first), store.say("c", first)
    assert store.texts(left) == ["a", "a!", "b", "b!"]
    assert store.texts(right) == ["a", "a!", "c", "c!"]


def test_turns_outlive_the_gateway(store: Store, tmp_path: Path):
    first = store.say("a")
    store.database.close()
    assert Store(tmp_path).texts(first) == ["a", "a!"]


def test_the_file_is_for_its_owner_only(store: Store, tmp_path: Path):
    store.say("a")
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.name == FILE_NAME} == {0}


def test_an_unknown_turn_is_refused_by_name(store: Store):
    with pytest.raises(BadRequestError) as refused:
        store.texts("resp_x")
    assert (refused.value.status, refused.value.param) == (400, "previous_response_id")
    assert refused.value.code == "previous_response_not_found"


def test_replies_are_had_again_byte_for_byte_until_they_are_deleted(store: Store):
    turn = store.say("a", reply=b'{"text": "\xc3\xa9"}')
    assert store.conversations.reply(turn) == b'{"text": "\xc3\xa9"}'
    assert store.conversations.delete(turn)
    assert store.conversations.reply(turn) is None
    assert not store.conversations.delete(turn)
    assert store.rows() == 0


def test_a_deleted_turn_stays_part_of_what_goes_on_from_it(store: Store):
    first = store.say("a")
    second = store.say("b", first)
    store.conversations.delete(first)
    assert store.conversations.reply(first) is None
    with pytest.raises(BadRequestError):
        store.texts(first)
    assert store.texts(second) == ["a", "a!", "b", "b!"]
    store.conversations.delete(second)
    store.sweep()
    assert store.rows() == 0


def test_old_turns_are_unknown_and_swept_but_not_what_younger_ones_go_on_from(store: Store):
    old = store.say("old")
    first = store.say("a")
    store.now += 20 * DAY_S
    second = store.say("b", first)
    store.now += 11 * DAY_S
    assert store.conversations.reply(first) is None
    with pytest.raises(BadRequestError):
        store.texts(first)
    store.sweep()
    assert store.texts(second) == ["a", "a!", "b", "b!"]
    assert store.database.run("SELECT id FROM turns WHERE id = ?", (old,)) == []
    store.now += 20 * DAY_S
    store.sweep()
    assert store.rows() == 0


def test_saving_sweeps_now_and_then(store: Store):
    store.say("old")
    store.now += 31 * DAY_S
    store.say("new")
    assert store.rows() == 1


def test_the_oldest_go_when_there_is_too_much(store: Store):
    old = store.say("old")
    store.now += 1
    young = store.say("young")
    tight = Conversations(store.database, total_limit_bytes=150, clock=lambda: store.now)
    asyncio.run(tight.sweep())
    assert tight.reply(old) is None
    assert tight.reply(young) is not None


def test_a_thread_that_is_too_large_is_refused_before_it_is_answered(store: Store):
    new = [ChatMessage("user", "x" * 1000)]
    store.conversations.check_room(None, new)
    store.conversations.check_room(Thread([], THREAD_LIMIT_BYTES - 2000, 5), new)
    with pytest.raises(BadRequestError) as large:
        store.conversations.check_room(Thread([], THREAD_LIMIT_BYTES - 500, 5), new)
    assert (large.value.code, large.value.param) == ("thread_too_long", "previous_response_id")
    with pytest.raises(BadRequestError) as long:
        store.conversations.check_room(Thread([], 5, THREAD_LIMIT_TURNS), new)
    assert long.value.code == "thread_too_long"


def test_what_goes_on_from_a_turn_that_is_gone_begins_a_thread(store: Store):
    turn = store.say("b", "resp_gone")
    assert store.texts(turn) == ["b", "b!"]


def test_sizes_add_up_along_a_thread(store: Store):
    first = store.say("a")
    second = store.say("b", first)
    one, two = (asyncio.run(store.conversations.thread(turn)) for turn in (first, second))
    assert (one.turns, two.turns) == (1, 2)
    assert two.size_bytes == 2 * one.size_bytes
