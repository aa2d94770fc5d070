"""The words of the pool's decisions: its state, what can happen, what is to be done.

`id` is always an instance's: a model may be in memory more than once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from roci.errors import RociError


class Limits(Struct, frozen=True, kw_only=True):
    """How much the pool may hold."""

    max_loaded: int = 1
    """Instances in memory at once that were loaded on demand, loading and stopping ones included; from 1."""
    queue_limit: int = 512
    """Requests that may wait; from 1."""


class InMemory(Struct, frozen=True, kw_only=True):
    """An instance, from the moment it is started until its process has exited."""

    phase: Literal["loading", "ready", "stopping", "short"]
    """`short`: it has no process and waits until others have given memory back."""
    is_on_demand: bool = True
    """Counts against the limit, and may be stopped for another. False: somebody loaded it by name."""
    is_leaving: bool = False
    """It was told to unload: who is inside may finish, nobody else goes in."""
    was_short: bool = False
    """Its load has waited for memory: until it is over, nothing is started for requests further back."""
    is_due: bool = False
    """It is `short`, and memory was given back since it was judged."""
    slots: int = 0
    """Answers that may be made at once; 0 until it is ready."""
    needed_bytes: int = 0
    """Memory that its end gives back; 0 until it is ready."""
    running: dict[int, int] = {}
    """Requests inside, with the slots that each takes."""
    granted_at: int = 0
    """The tick of its last grant. A waiting request does not count, so that the victim of a drain stays the victim."""
    idle_since: int = 0
    """The tick at which it last had nothing to do."""

    @property
    def is_open(self) -> bool:
        """Requests may go in."""
        return self.phase == "ready" and not self.is_leaving

    @property
    def is_idle(self) -> bool:
        return self.phase == "ready" and not self.running

    def has_room_for(self, slots: int) -> bool:
        # A request for more than there is fills the model alone; whether that is an error is not the pool's business.
        return sum(self.running.values()) + min(slots, self.slots) <= self.slots


class Waiting(Struct, frozen=True):
    request: int
    id: str
    slots: int = 1
    is_on_demand: bool = True


class PoolState(Struct, frozen=True, kw_only=True):
    """All that decisions are made from. A tick is one event, so no clock is needed."""

    models: dict[str, InMemory] = {}
    """Instances by id, in the order in which they were started."""
    queue: tuple[Waiting, ...] = ()
    """Who waits, the longest-waiting first."""
    tick: int = 0
    is_closing: bool = False


class Asked(Struct, frozen=True):
    """A request wants to go into the instance `id`."""

    request: int
    id: str
    slots: int = 1
    """One for each answer that it wants; 0: it only wants the instance loaded."""
    is_on_demand: bool = True
    """False with slots: into an instance that somebody loaded by name, and only if it is still there."""


class Left(Struct, frozen=True):
    """A request is over: answered, failed or given up, inside a model or still waiting."""

    request: int


class Loaded(Struct, frozen=True):
    """The instance can make `slots` answers at once."""

    id: str
    slots: int
    needed_bytes: int = 0


class LoadFailed(Struct, frozen=True):
    """The instance could not be loaded, and its process is gone."""

    id: str
    error: RociError


class Short(Struct, frozen=True):
    """The instance was not started: there is too little memory for it at this moment."""

    id: str
    error: RociError
    """What those who wait are told if nothing can be done about it."""
    missing_bytes: int


class Exited(Struct, frozen=True):
    """The instance's process is gone: it was told to stop, or it died."""

    id: str


class Expired(Struct, frozen=True):
    """The instance has had nothing to do for as long as it may."""

    id: str
    idle_since: int
    """The idleness that is meant; a later one is another."""


class Unload(Struct, frozen=True):
    """Somebody wants the instance out of memory."""

    id: str
    error: RociError
    """What those are told who wait and cannot have it loaded again."""


class Closing(Struct, frozen=True):
    """The gateway takes no more requests; those inside a model may finish."""

    error: RociError
    """What everybody is told who is not inside."""


Event: TypeAlias = Asked | Left | Loaded | LoadFailed | Short | Exited | Expired | Unload | Closing


class Start(Struct, frozen=True):
    """Judge the memory and start a process; `Loaded`, `LoadFailed`, `Short` or `Exited` is to follow."""

    id: str


class Stop(Struct, frozen=True):
    """End the instance's process; `Exited` is to follow."""

    id: str


class Grant(Struct, frozen=True):
    """The request may go into its instance."""

    request: int
    id: str


class Refuse(Struct, frozen=True):
    request: int
    error: RociError


Action: TypeAlias = Start | Stop | Grant | Refuse
