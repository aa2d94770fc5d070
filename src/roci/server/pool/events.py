"""The words of the pool's decisions: its state, what can happen, what is to be done."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from roci.errors import RociError


class Limits(Struct, frozen=True, kw_only=True):
    """How much the pool may hold."""

    max_loaded: int = 1
    """Models in memory at once, loading and stopping ones included; from 1."""
    queue_limit: int = 512
    """Requests that may wait; from 1."""


class InMemory(Struct, frozen=True, kw_only=True):
    """A model that has a process, from the moment it is started until that has exited."""

    phase: Literal["loading", "ready", "stopping"]
    slots: int = 0
    """Answers that may be made at once; 0 until it is ready."""
    running: dict[int, int] = {}
    """Requests inside, with the slots that each takes."""
    granted_at: int = 0
    """The tick of its last grant. A waiting request does not count, so that the victim of a drain stays the victim."""
    idle_since: int = 0
    """The tick at which it last had nothing to do."""

    def has_room_for(self, slots: int) -> bool:
        # A request for more than there is fills the model alone; whether that is an error is not the pool's business.
        return sum(self.running.values()) + min(slots, self.slots) <= self.slots


class Waiting(Struct, frozen=True):
    request: int
    key: str
    slots: int = 1


class PoolState(Struct, frozen=True, kw_only=True):
    """All that decisions are made from. A tick is one event, so no clock is needed."""

    models: dict[str, InMemory] = {}
    queue: tuple[Waiting, ...] = ()
    """Who waits, the longest-waiting first."""
    tick: int = 0
    is_closing: bool = False


class Asked(Struct, frozen=True):
    """A request wants to go into the model `key`."""

    request: int
    key: str
    slots: int = 1
    """One for each answer that it wants."""


class Left(Struct, frozen=True):
    """A request is over: answered, failed or given up, inside a model or still waiting."""

    request: int


class Loaded(Struct, frozen=True):
    """The model can make `slots` answers at once."""

    key: str
    slots: int


class LoadFailed(Struct, frozen=True):
    """The model could not be loaded, and its process is gone."""

    key: str
    error: RociError


class Exited(Struct, frozen=True):
    """The model's process is gone: it was told to stop, or it died."""

    key: str


class Closing(Struct, frozen=True):
    """The gateway takes no more requests; those inside a model may finish."""

    error: RociError
    """What everybody is told who is not inside."""


Event: TypeAlias = Asked | Left | Loaded | LoadFailed | Exited | Closing


class Start(Struct, frozen=True):
    key: str


class Stop(Struct, frozen=True):
    """End the model's process; `Exited` is to follow."""

    key: str


class Grant(Struct, frozen=True):
    """The request may go into its model."""

    request: int
    key: str


class Refuse(Struct, frozen=True):
    request: int
    error: RociError


Action: TypeAlias = Start | Stop | Grant | Refuse
