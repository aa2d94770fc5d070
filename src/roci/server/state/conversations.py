"""Answers that can be continued; `/v1/responses` and `/api/v1/chat` share them, so that either goes on from the other.

A row is one turn: what was new in the request, and the answer. A thread is a turn with all before it; branches share
their beginnings. Messages are in OpenAI's chat form, in which the engine is asked.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from roci.errors import BadRequestError
from roci.server.off_loop import off_loop
from roci.server.state.database import Database
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatMessage, ImageUrl

THREAD_LIMIT_BYTES: Final = 64 * 2**20
THREAD_LIMIT_TURNS: Final = 10_000
TOTAL_LIMIT_BYTES: Final = 4 * 2**30
_SWEEP_EACH_S: Final = 600
_SWEEP_ROWS: Final = 200
_SWEEP_STEPS: Final = 10
_DAY_S: Final = 86_400

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY,
    previous_id TEXT,
    model TEXT NOT NULL,
    created_s INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL,
    thread_bytes INTEGER NOT NULL,
    thread_turns INTEGER NOT NULL,
    messages BLOB NOT NULL,
    reply BLOB,
    input_items BLOB
);
CREATE INDEX IF NOT EXISTS turns_by_age ON turns (created_s, size_bytes);
CREATE INDEX IF NOT EXISTS turns_by_previous ON turns (previous_id);
CREATE INDEX IF NOT EXISTS deleted_turns ON turns (id) WHERE is_deleted;
"""

_OF_ONE: Final = " FROM turns WHERE id = ? AND NOT is_deleted AND created_s >= ?"
_THREAD: Final = """
WITH RECURSIVE thread (previous_id, messages, depth) AS (
    SELECT previous_id, messages, 0 FROM turns WHERE id = ?
    UNION ALL
    SELECT turns.previous_id, turns.messages, thread.depth + 1 FROM turns JOIN thread ON turns.id = thread.previous_id
    LIMIT ?
)
SELECT messages FROM thread ORDER BY depth DESC
"""

# What others still go on from stays: a thread lives as long as its youngest turn.
_REMOVE_OLD: Final = """
DELETE FROM turns WHERE rowid IN (
    SELECT rowid FROM turns AS turn WHERE (created_s < ? OR is_deleted)
    AND NOT EXISTS (SELECT 1 FROM turns WHERE previous_id = turn.id) LIMIT ?
) RETURNING id
"""
_REMOVE_OLDEST: Final = """
DELETE FROM turns WHERE rowid IN (
    SELECT rowid FROM turns AS turn
    WHERE NOT EXISTS (SELECT 1 FROM turns WHERE previous_id = turn.id) ORDER BY created_s LIMIT 1
) RETURNING size_bytes
"""

_decoder: Final = msgspec.json.Decoder(list[ChatMessage])


def new_response_id() -> str:
    """An id as LM Studio makes them: `resp_` and 48 hexadecimal digits."""
    return f"resp_{secrets.token_hex(24)}"


class Turn(Struct, kw_only=True, frozen=True):
    """One request and its answer, to be kept."""

    id: str
    """As `new_response_id` makes it."""
    previous_id: str | None = None
    model: str
    messages: Sequence[ChatMessage]
    """What this turn added: the new messages of the request, then the answer's. What is not to be carried over to the
    next turn, such as the `instructions` of `/v1/responses`, is left out."""
    reply: Raw | None = None
    """The reply as it was sent, JSON; None where it is not to be had again."""
    input_items: Sequence[dict[str, Any]] | None = None
    """The request's items, where its dialect lists them again."""


class Thread(Struct, frozen=True):
    """All messages up to and with one turn, oldest first."""

    messages: list[ChatMessage]
    size_bytes: int
    turns: int


class Conversations:
    """The kept turns.

    Args:
        store_days: how long a turn can be continued or had again.
        total_limit_bytes: of all turns; beyond it the oldest are forgotten.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        store_days: float = 30,
        *,
        total_limit_bytes: int = TOTAL_LIMIT_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._store_days = store_days
        self._total_limit_bytes = total_limit_bytes
        self._clock = clock
        self._swept_s: float | None = None
        database.declare(_SCHEMA)

    async def thread(self, turn_id: str) -> Thread:
        """All that was said up to and with the turn `turn_id`.

        Raises:
            BadRequestError: `previous_response_not_found`, for an id that is unknown, deleted or too old.
        """
        await self._sweep_if_due()
        found = self._database.run("SELECT thread_bytes, thread_turns" + _OF_ONE, (turn_id, self._oldest_s()))
        if not found:
            raise self._not_found(turn_id)
        size_bytes, turns = found[0]
        return Thread(await off_loop(size_bytes, self._messages, turn_id), size_bytes, turns)

    def check_room(self, thread: Thread | None, new_messages: Sequence[ChatMessage]) -> None:
        """Refuses a turn that would be too large to keep; to be asked before its answer is made.

        Raises:
            BadRequestError: `thread_too_long`.
        """
        used = thread.size_bytes if thread is not None else 0
        if used + _size_of(new_messages) > THREAD_LIMIT_BYTES:
            limit = f"{THREAD_LIMIT_BYTES // 2**20} MiB"
        elif thread is not None and thread.turns >= THREAD_LIMIT_TURNS:
            limit = f"{THREAD_LIMIT_TURNS} turns"
        else:
            return
        param = "previous_response_id" if used else "input"
        raise invalid(
            f"This conversation is larger than the {limit} that are kept.",
            param,
            code="thread_too_long",
            hint="Ask with store false, or begin another conversation.",
        )

    async def save(self, turn: Turn) -> None:
        """Keeps `turn`. Where what it goes on from was deleted meanwhile, it begins a thread.

        Raises:
            sqlite3.Error: as `Database.run`.
        """
        await off_loop(_size_of(turn.messages), self._write, turn)
        await self._sweep_if_due()

    def reply(self, turn_id: str) -> bytes | None:
        """The turn's reply as it was sent; None where the turn is unknown, deleted, too old or was not kept."""
        return self._one("SELECT reply" + _OF_ONE, turn_id)

    def input_items(self, turn_id: str) -> bytes | None:
        """The request's items of the turn `turn_id`; None as for `reply`."""
        return self._one("SELECT input_items" + _OF_ONE, turn_id)

    def delete(self, turn_id: str) -> bool:
        """Forgets a turn; whether there was one. What was said in it stays part of the turns that go on from it."""
        changed = self._database.run(
            "UPDATE turns SET is_deleted = 1, reply = NULL, input_items = NULL "
            "WHERE id = ? AND NOT is_deleted AND created_s >= ? RETURNING id",
            (turn_id, self._oldest_s()),
        )
        self._database.run(
            "DELETE FROM turns WHERE id = ? AND is_deleted AND NOT EXISTS (SELECT 1 FROM turns WHERE previous_id = ?)",
            (turn_id, turn_id),
        )
        return bool(changed)

    async def sweep(self) -> None:
        """Removes what is too old or deleted and, beyond the limit, the oldest; a bounded number of rows at a time.

        In a thread, in small steps, so that nobody's statement waits long.
        """
        self._swept_s = self._clock()
        await asyncio.to_thread(self._remove_some)

    async def _sweep_if_due(self) -> None:
        if self._swept_s is None or not 0 <= self._clock() - self._swept_s < _SWEEP_EACH_S:
            await self.sweep()

    def _remove_some(self) -> None:
        for _ in range(_SWEEP_STEPS):
            if not self._database.run(_REMOVE_OLD, (self._oldest_s(), _SWEEP_ROWS)):
                break
        ((total_bytes,),) = self._database.run("SELECT COALESCE(SUM(size_bytes), 0) FROM turns")
        for _ in range(_SWEEP_ROWS):
            if total_bytes <= self._total_limit_bytes:
                break
            ((freed_bytes,),) = self._database.run(_REMOVE_OLDEST)
            total_bytes -= freed_bytes

    def _write(self, turn: Turn) -> None:
        messages = msgspec.json.encode(turn.messages)
        reply = None if turn.reply is None else bytes(turn.reply)
        items = None if turn.input_items is None else msgspec.json.encode(turn.input_items)
        size_bytes = len(messages) + len(reply or b"") + len(items or b"")
        # One statement, so that the previous turn is not deleted between being looked at and being referred to.
        self._database.run(
            "INSERT INTO turns (id, previous_id, model, created_s, size_bytes, messages, reply, input_items, "
            "thread_bytes, thread_turns) SELECT ?, MAX(id), ?, ?, ?, ?, ?, ?, "
            "COALESCE(MAX(thread_bytes), 0) + ?, COALESCE(MAX(thread_turns), 0) + 1 FROM turns WHERE id = ?",
            (
                turn.id,
                turn.model,
                int(self._clock()),
                size_bytes,
                messages,
                reply,
                items,
                len(messages),
                turn.previous_id,
            ),
        )

    def _messages(self, turn_id: str) -> list[ChatMessage]:
        rows = self._database.run(_THREAD, (turn_id, THREAD_LIMIT_TURNS + 1))
        return [message for (stored,) in rows for message in _decoder.decode(stored)]

    def _one(self, statement: str, turn_id: str) -> bytes | None:
        found = self._database.run(statement, (turn_id, self._oldest_s()))
        return found[0][0] if found else None

    def _oldest_s(self) -> int:
        return int(self._clock() - self._store_days * _DAY_S)

    def _not_found(self, turn_id: str) -> BadRequestError:
        return invalid(
            f"There is no response {turn_id[:80]!r} to go on from.",
            "previous_response_id",
            code="previous_response_not_found",
            hint=f"Answers are kept for {self._store_days:g} days, and not at all where store is false.",
        )


def _size_of(messages: Sequence[ChatMessage]) -> int:
    """About how many bytes they are, without a look at each of them."""
    size = 0
    for message in messages:
        parts = [message.content] if isinstance(message.content, str) else message.content or []
        for part in parts:
            if isinstance(part, str):
                size += len(part)
            else:
                image = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url
                size += len(part.text or "") + len(image or "")
        size += len(message.reasoning_content or "")
        size += sum(len(call.function.arguments) for call in message.tool_calls or ())
    return size
