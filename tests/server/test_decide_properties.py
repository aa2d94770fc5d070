"""The pool's decisions in any order of events: what must always hold, and that nobody waits for ever."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roci.errors import LoadFailedError, NotEnoughMemoryError, ServerBusyError
from roci.server.pool.decide import decide
from roci.server.pool.events import (
    Asked,
    Event,
    Exited,
    Expired,
    Grant,
    Left,
    Limits,
    Loaded,
    LoadFailed,
    PoolState,
    Refuse,
    Short,
    Start,
    Stop,
    Unload,
)

KEYS = st.sampled_from("abcd")
SIZES = {"a": 1, "b": 2, "c": 3, "d": 4}


class World(RuleBasedStateMachine):
    """Processes, memory and clients as they really are, beside what the pool thinks of them."""

    @initialize(max_loaded=st.integers(1, 3), queue_limit=st.integers(1, 6), memory=st.integers(3, 12))
    def begin(self, max_loaded: int, queue_limit: int, memory: int) -> None:
        self.limits = Limits(max_loaded=max_loaded, queue_limit=queue_limit)
        self.memory = memory
        self.state = PoolState()
        self.processes: dict[str, str] = {}
        """Instance -> loading, ready or stopping; what is only judged has none."""
        self.judged: list[str] = []
        """Started, and the memory not looked at yet."""
        self.explicit: set[str] = set()
        self.slots: dict[str, int] = {}
        self.waiting: dict[int, tuple[str, int]] = {}
        self.inside: dict[int, tuple[str, int]] = {}
        self.number = 0

    def tell(self, event: Event) -> None:
        self.state, actions = decide(self.state, event, self.limits)
        for action in actions:
            self.perform(action)

    def perform(self, action: object) -> None:
        match action:
            case Start(name):
                assert name not in self.processes, "started while in memory"
                assert name not in self.judged, "started twice"
                self.judged.append(name)
                self.explicit.discard(name)
                if not self.state.models[name].is_on_demand:
                    self.explicit.add(name)
            case Stop(name):
                if name in self.judged:
                    self.judged.remove(name)
                    self.processes[name] = "stopping"
                    return
                assert self.processes[name] in ("loading", "ready"), "stopped twice"
                assert not [1 for inside, _ in self.inside.values() if inside == name], "stopped while answering"
                self.processes[name] = "stopping"
            case Grant(request, name):
                assert self.processes[name] == "ready"
                wanted, slots = self.waiting.pop(request)
                assert wanted == name
                self.inside[request] = name, slots
            case Refuse(request, _):
                del self.waiting[request]

    def free(self) -> int:
        return self.memory - sum(SIZES[name[0]] for name in self.processes)

    @rule(key=KEYS, slots=st.integers(1, 3))
    def ask(self, key: str, slots: int) -> None:
        self.number += 1
        self.waiting[self.number] = key, slots
        self.tell(Asked(self.number, key, slots))

    @rule(key=KEYS)
    def load_by_name(self, key: str) -> None:
        self.number += 1
        taken = {*self.state.models, *(waiting.id for waiting in self.state.queue)}
        name = next(name for name in (key, *(f"{key}:{n}" for n in range(2, 99))) if name not in taken)
        self.waiting[self.number] = name, 0
        self.tell(Asked(self.number, name, 0, is_on_demand=False))

    @precondition(lambda self: self.explicit)
    @rule(data=st.data(), slots=st.integers(1, 3))
    def ask_for_one_loaded_by_name(self, data: st.DataObject, slots: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.explicit)))
        self.number += 1
        self.waiting[self.number] = name, slots
        self.tell(Asked(self.number, name, slots, is_on_demand=False))

    @precondition(lambda self: self.waiting or self.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted({*self.waiting, *self.inside})))
        self.waiting.pop(request, None)
        self.inside.pop(request, None)
        self.tell(Left(request))

    @precondition(lambda self: self.judged)
    @rule(data=st.data())
    def judge_one(self, data: st.DataObject) -> None:
        self.judge(data.draw(st.sampled_from(sorted(self.judged))))

    @precondition(lambda self: "loading" in self.processes.values())
    @rule(data=st.data(), slots=st.integers(1, 3))
    def finish_loading(self, data: st.DataObject, slots: int) -> None:
        self.load(data.draw(st.sampled_from(self.in_phase("loading"))), slots)

    @precondition(lambda self: "loading" in self.processes.values())
    @rule(data=st.data())
    def fail_to_load(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.in_phase("loading")))
        del self.processes[name]
        self.tell(LoadFailed(name, LoadFailedError("no", key=name)))
        assert not [1 for wanted, _ in self.waiting.values() if wanted == name]

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def end_process(self, data: st.DataObject) -> None:
        ended = data.draw(st.sampled_from(self.in_phase("stopping") + self.in_phase("ready") or [None]))
        if ended is not None:
            self.exit(ended)

    @precondition(lambda self: self.state.models)
    @rule(data=st.data())
    def unload(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.state.models)))
        self.tell(Unload(name, ServerBusyError("unloaded", status=503)))

    @precondition(lambda self: self.state.models)
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.state.models)))
        idle_since = data.draw(st.sampled_from([self.state.models[name].idle_since, 0, self.state.tick]))
        self.tell(Expired(name, idle_since))

    def in_phase(self, phase: str) -> list[str]:
        return sorted(name for name, now in self.processes.items() if now == phase)

    def judge(self, name: str) -> None:
        self.judged.remove(name)
        missing = SIZES[name[0]] - self.free()
        if missing > 0:
            self.tell(Short(name, NotEnoughMemoryError("no", key=name), missing))
        else:
            self.processes[name] = "loading"

    def load(self, name: str, slots: int) -> None:
        self.processes[name] = "ready"
        self.slots[name] = slots
        self.tell(Loaded(name, slots, SIZES[name[0]]))

    def exit(self, name: str) -> None:
        del self.processes[name]
        dead = [request for request, (inside, _) in self.inside.items() if inside == name]
        self.tell(Exited(name))
        for request in dead:
            del self.inside[request]
            self.tell(Left(request))

    @invariant()
    def the_pool_knows_what_is(self) -> None:
        if hasattr(self, "state"):
            known = {name: model.phase for name, model in self.state.models.items() if model.phase != "short"}
            assert known == self.processes | dict.fromkeys(self.judged, "loading")
            assert {waiting.request for waiting in self.state.queue} == set(self.waiting)

    @invariant()
    def who_waits_for_memory_is_wanted_and_somebody_will_give_some(self) -> None:
        if hasattr(self, "state"):
            for name, model in self.state.models.items():
                if model.phase == "short":
                    assert [1 for wanted, _ in self.waiting.values() if wanted == name]

    @invariant()
    def memory_and_slots_are_never_exceeded(self) -> None:
        if hasattr(self, "state"):
            assert sum(model.is_on_demand for model in self.state.models.values()) <= self.limits.max_loaded
            assert len(self.waiting) <= self.limits.queue_limit
            assert self.free() >= 0 or "stopping" in self.processes.values()
            for name in self.in_phase("ready"):
                inside = [min(slots, self.slots[name]) for at, slots in self.inside.values() if at == name]
                assert sum(inside) <= self.slots[name]

    def teardown(self) -> None:
        """If models load and answers end, then all who wait are answered."""
        if not hasattr(self, "state"):
            return
        for _ in range(20 * (self.number + 5)):
            if not self.waiting:
                return
            if stopping := self.in_phase("stopping"):
                self.exit(stopping[0])
            elif self.judged:
                self.judge(self.judged[0])
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
TestWorld.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
