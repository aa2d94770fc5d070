"""The pool's decisions in any order of events: what must always hold, and that nobody waits for ever."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roci.errors import LoadFailedError
from roci.server.pool.decide import decide
from roci.server.pool.events import (
    Asked,
    Event,
    Exited,
    Grant,
    Left,
    Limits,
    Loaded,
    LoadFailed,
    PoolState,
    Refuse,
    Start,
    Stop,
)

KEYS = st.sampled_from("abcd")


class World(RuleBasedStateMachine):
    """Processes and clients as they really are, beside what the pool thinks of them."""

    @initialize(max_loaded=st.integers(1, 3), queue_limit=st.integers(1, 6))
    def begin(self, max_loaded: int, queue_limit: int) -> None:
        self.limits = Limits(max_loaded=max_loaded, queue_limit=queue_limit)
        self.state = PoolState()
        self.processes: dict[str, str] = {}
        self.slots: dict[str, int] = {}
        self.waiting: dict[int, tuple[str, int]] = {}
        self.inside: dict[int, tuple[str, int]] = {}
        self.answered: set[int] = set()
        self.number = 0

    def tell(self, event: Event) -> None:
        self.state, actions = decide(self.state, event, self.limits)
        for action in actions:
            self.perform(action)

    def perform(self, action: object) -> None:
        match action:
            case Start(key):
                assert key not in self.processes, "started while in memory"
                self.processes[key] = "loading"
            case Stop(key):
                assert self.processes[key] in ("loading", "ready"), "stopped twice"
                assert not [1 for inside, _ in self.inside.values() if inside == key], "stopped while answering"
                self.processes[key] = "stopping"
            case Grant(request, key):
                assert self.processes[key] == "ready"
                wanted, slots = self.waiting.pop(request)
                assert wanted == key
                self.inside[request] = key, slots
            case Refuse(request, _):
                del self.waiting[request]
                self.answered.add(request)

    @rule(key=KEYS, slots=st.integers(1, 3))
    def ask(self, key: str, slots: int) -> None:
        self.number += 1
        self.waiting[self.number] = key, slots
        self.tell(Asked(self.number, key, slots))

    @precondition(lambda self: self.waiting or self.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted({*self.waiting, *self.inside})))
        self.waiting.pop(request, None)
        self.inside.pop(request, None)
        self.answered.add(request)
        self.tell(Left(request))

    @precondition(lambda self: "loading" in self.processes.values())
    @rule(data=st.data(), slots=st.integers(1, 3))
    def finish_loading(self, data: st.DataObject, slots: int) -> None:
        self.load(data.draw(st.sampled_from(self.in_phase("loading"))), slots)

    @precondition(lambda self: "loading" in self.processes.values())
    @rule(data=st.data())
    def fail_to_load(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.in_phase("loading")))
        del self.processes[key]
        self.tell(LoadFailed(key, LoadFailedError("no", key=key)))
        assert not [1 for wanted, _ in self.waiting.values() if wanted == key]

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def end_process(self, data: st.DataObject) -> None:
        ended = data.draw(st.sampled_from(self.in_phase("stopping") + self.in_phase("ready") or [None]))
        if ended is not None:
            self.exit(ended)

    def in_phase(self, phase: str) -> list[str]:
        return sorted(key for key, now in self.processes.items() if now == phase)

    def load(self, key: str, slots: int) -> None:
        self.processes[key] = "ready"
        self.slots[key] = slots
        self.tell(Loaded(key, slots))

    def exit(self, key: str) -> None:
        del self.processes[key]
        dead = [request for request, (inside, _) in self.inside.items() if inside == key]
        self.tell(Exited(key))
        for request in dead:
            del self.inside[request]
            self.tell(Left(request))

    @invariant()
    def the_pool_knows_what_is(self) -> None:
        if hasattr(self, "state"):
            assert {key: model.phase for key, model in self.state.models.items()} == self.processes
            assert {waiting.request for waiting in self.state.queue} == set(self.waiting)

    @invariant()
    def memory_and_slots_are_never_exceeded(self) -> None:
        if hasattr(self, "state"):
            assert len(self.processes) <= self.limits.max_loaded
            assert len(self.waiting) <= self.limits.queue_limit
            for key in self.in_phase("ready"):
                inside = [min(slots, self.slots[key]) for at, slots in self.inside.values() if at == key]
                assert sum(inside) <= self.slots[key]

    def teardown(self) -> None:
        """If models load and answers end, then all who wait are answered."""
        if not hasattr(self, "state"):
            return
        for _ in range(10 * (self.number + 5)):
            if not self.waiting:
                return
            if stopping := self.in_phase("stopping"):
                self.exit(stopping[0])
            elif loading := self.in_phase("loading"):
                self.load(loading[0], 1)
            elif self.inside:
                request = min(self.inside)
                del self.inside[request]
                self.tell(Left(request))
            else:
                break
        assert not self.waiting, f"{self.waiting} wait for ever in {self.state}"


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
