"""The pool's decisions, fed plain events."""

from __future__ import annotations

from roci.errors import LoadFailedError, NotEnoughMemoryError, ServerBusyError
from roci.server.pool.decide import decide
from roci.server.pool.events import (
    Action,
    Asked,
    Closing,
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
from roci.server.pool.refusals import shutting_down

ONE = Limits(max_loaded=1)
TWO = Limits(max_loaded=2)
BROKEN = LoadFailedError("broken", key="a")
TOO_BIG = NotEnoughMemoryError("too big", key="a")
UNLOADED = ServerBusyError("unloaded", status=503)


class Pool:
    """A state that events happen to."""

    def __init__(self, limits: Limits = ONE) -> None:
        self.limits = limits
        self.state = PoolState()

    def tell(self, *events: Event) -> list[Action]:
        actions: list[Action] = []
        for event in events:
            self.state, more = decide(self.state, event, self.limits)
            actions += more
        return actions

    def waiting(self) -> list[int]:
        return [waiting.request for waiting in self.state.queue]


def loaded(*keys: str, slots: int = 2, limits: Limits = ONE) -> Pool:
    """A pool with idle models, the first of which has been idle longest."""
    pool = Pool(limits)
    for number, key in enumerate(keys):
        pool.tell(Asked(900 + number, key), Loaded(key, slots), Left(900 + number))
    return pool


def by_name(request: int, name: str) -> Asked:
    """A load that somebody asked for by name."""
    return Asked(request, name, 0, is_on_demand=False)


def with_one_by_name(pool: Pool, name: str = "kept") -> Pool:
    pool.tell(by_name(800, name), Loaded(name, 1, 10), Left(800))
    return pool


def test_a_model_is_started_once_however_many_ask_for_it():
    pool = Pool()
    assert pool.tell(Asked(1, "a")) == [Start("a")]
    assert pool.tell(Asked(2, "a"), Asked(3, "a")) == []
    assert pool.tell(Loaded("a", 2)) == [Grant(1, "a"), Grant(2, "a")]
    assert pool.waiting() == [3]


def test_a_request_goes_straight_into_a_model_that_has_room():
    assert loaded("a").tell(Asked(1, "a"), Asked(2, "a")) == [Grant(1, "a"), Grant(2, "a")]


def test_who_waits_goes_in_in_order_as_others_leave():
    pool = loaded("a", slots=1)
    pool.tell(Asked(1, "a"), Asked(2, "a"), Asked(3, "a"))
    assert pool.tell(Left(1)) == [Grant(2, "a")]
    assert pool.tell(Left(2)) == [Grant(3, "a")]


def test_a_request_for_several_answers_takes_as_many_slots():
    pool = loaded("a", slots=4)
    assert pool.tell(Asked(1, "a", 3), Asked(2, "a", 2)) == [Grant(1, "a")]
    assert pool.tell(Left(1)) == [Grant(2, "a")]


def test_who_wants_one_slot_does_not_overtake_who_waits_for_two():
    pool = loaded("a", slots=2)
    pool.tell(Asked(1, "a"), Asked(2, "a", 2))
    assert pool.tell(Asked(3, "a")) == []
    assert pool.tell(Left(1)) == [Grant(2, "a")]


def test_a_request_for_more_slots_than_there_are_fills_the_model_alone():
    pool = loaded("a", slots=2)
    assert pool.tell(Asked(1, "a", 9), Asked(2, "a")) == [Grant(1, "a")]
    assert pool.tell(Left(1)) == [Grant(2, "a")]


def test_an_idle_model_makes_room_and_the_next_starts_only_when_it_has_exited():
    pool = loaded("a")
    assert pool.tell(Asked(1, "b")) == [Stop("a")]
    assert pool.tell(Exited("a")) == [Start("b")]
    assert pool.tell(Loaded("b", 2)) == [Grant(1, "b")]


def test_a_model_that_answers_is_drained_and_never_stopped_while_it_does():
    pool = loaded("a")
    pool.tell(Asked(1, "a"), Asked(2, "a"))
    assert pool.tell(Asked(3, "b")) == []
    assert pool.tell(Left(1)) == []
    assert pool.tell(Left(2)) == [Stop("a")]


def test_a_draining_model_takes_no_new_requests():
    pool = loaded("a")
    pool.tell(Asked(1, "a"), Asked(2, "b"))
    assert pool.tell(Asked(3, "a")) == []
    assert pool.tell(Left(1), Exited("a"), Loaded("b", 2)) == [Stop("a"), Start("b"), Grant(2, "b")]
    assert pool.tell(Left(2), Exited("b"), Loaded("a", 2)) == [Stop("b"), Start("a"), Grant(3, "a")]


def test_a_drained_model_serves_again_when_the_one_who_waited_leaves():
    pool = loaded("a")
    pool.tell(Asked(1, "a"), Asked(2, "b"), Asked(3, "a"))
    assert pool.tell(Left(2)) == [Grant(3, "a")]


def test_requests_in_turn_for_two_models_are_served_in_groups():
    pool = Pool()
    pool.tell(*(Asked(number, "ab"[number % 2]) for number in range(6)))
    assert pool.tell(Loaded("a", 4)) == [Grant(0, "a"), Grant(2, "a"), Grant(4, "a")]
    assert pool.tell(Left(0), Left(2), Left(4)) == [Stop("a")]
    assert pool.tell(Exited("a"), Loaded("b", 4)) == [Start("b"), Grant(1, "b"), Grant(3, "b"), Grant(5, "b")]


def test_the_model_that_has_been_idle_longest_goes():
    assert loaded("a", "b", limits=TWO).tell(Asked(1, "c")) == [Stop("a")]
    pool = loaded("a", "b", limits=TWO)
    pool.tell(Asked(1, "a"), Left(1))
    assert pool.tell(Asked(2, "c")) == [Stop("b")]


def test_an_idle_model_goes_before_a_busy_one():
    pool = loaded("a", "b", limits=TWO)
    pool.tell(Asked(1, "a"))
    assert pool.tell(Asked(2, "c")) == [Stop("b")]


def test_of_two_busy_models_the_least_recently_asked_is_drained_and_the_other_serves_on():
    pool = loaded("a", "b", limits=TWO)
    pool.tell(Asked(1, "a"), Asked(2, "b"), Asked(3, "c"))
    assert pool.tell(Asked(4, "a")) == []
    assert pool.tell(Asked(5, "b")) == [Grant(5, "b")]
    assert pool.tell(Left(1)) == [Stop("a")]


def test_two_requests_for_two_other_models_drain_two():
    pool = loaded("a", "b", limits=TWO)
    pool.tell(Asked(1, "a"), Asked(2, "b"), Asked(3, "c"), Asked(4, "d"))
    assert pool.tell(Left(2)) == [Stop("b")]
    assert pool.tell(Exited("b")) == [Start("c")]
    assert pool.tell(Left(1), Exited("a")) == [Stop("a"), Start("d")]


def test_a_loading_model_is_never_the_victim():
    pool = Pool()
    pool.tell(Asked(1, "a"))
    assert pool.tell(Asked(2, "b")) == []
    assert pool.tell(Loaded("a", 1)) == [Grant(1, "a")]


def test_a_load_that_nobody_wants_any_more_is_cancelled():
    pool = Pool()
    pool.tell(Asked(1, "a"), Asked(2, "a"))
    assert pool.tell(Left(1)) == []
    assert pool.tell(Left(2)) == [Stop("a")]
    assert pool.tell(Exited("a")) == []
    assert pool.state.models == {}


def test_who_asks_for_a_model_on_its_way_out_gets_a_new_start():
    pool = Pool()
    pool.tell(Asked(1, "a"), Left(1))
    assert pool.tell(Asked(2, "a")) == []
    assert pool.tell(LoadFailed("a", BROKEN)) == [Start("a")]


def test_a_model_that_was_ready_too_late_is_not_used():
    pool = Pool()
    pool.tell(Asked(1, "a"), Left(1), Asked(2, "a"))
    assert pool.tell(Loaded("a", 2)) == []
    assert pool.tell(Exited("a"), Loaded("a", 2)) == [Start("a"), Grant(2, "a")]


def test_a_failed_load_fails_all_who_wait_for_it_and_the_next_tries_again():
    pool = Pool()
    pool.tell(Asked(1, "a"), Asked(2, "b"), Asked(3, "a"))
    assert pool.tell(LoadFailed("a", BROKEN)) == [Refuse(1, BROKEN), Refuse(3, BROKEN), Start("b")]
    pool.tell(Loaded("b", 1), Left(2))
    assert pool.tell(Asked(4, "a"), Exited("b")) == [Stop("b"), Start("a")]


def test_who_waits_for_a_model_that_died_gets_a_new_one():
    pool = loaded("a", slots=1)
    pool.tell(Asked(1, "a"), Asked(2, "a"))
    assert pool.tell(Exited("a")) == [Start("a")]
    assert pool.tell(Left(1)) == []
    assert pool.tell(Loaded("a", 1)) == [Grant(2, "a")]


def test_a_full_queue_refuses_the_newest_and_changes_nothing():
    pool = Pool(Limits(max_loaded=1, queue_limit=2))
    pool.tell(Asked(1, "a"), Asked(2, "a"))
    before = pool.state
    (refused,) = pool.tell(Asked(3, "b"))
    assert isinstance(refused, Refuse)
    assert refused.request == 3
    assert isinstance(refused.error, ServerBusyError)
    assert refused.error.code == "queue_full"
    assert pool.state == before


def test_closing_refuses_who_waits_and_lets_who_is_inside_finish():
    pool = loaded("a", "b", slots=1, limits=TWO)
    pool.tell(Asked(1, "a"), Asked(2, "a"))
    error = shutting_down()
    assert pool.tell(Closing(error)) == [Refuse(2, error), Stop("b")]
    (refused,) = pool.tell(Asked(3, "a"))
    assert isinstance(refused, Refuse)
    assert pool.tell(Left(1)) == [Stop("a")]


def test_closing_cancels_a_load():
    pool = Pool()
    pool.tell(Asked(1, "a"))
    error = shutting_down()
    assert pool.tell(Closing(error)) == [Refuse(1, error), Stop("a")]


def test_a_load_by_name_takes_no_place_and_its_model_is_nobodys_victim():
    pool = with_one_by_name(loaded("a"))
    assert set(pool.state.models) == {"a", "kept"}
    assert pool.tell(Asked(1, "b")) == [Stop("a")]
    assert pool.tell(Exited("a"), Loaded("b", 1)) == [Start("b"), Grant(1, "b")]
    assert pool.state.models["kept"].phase == "ready"


def test_a_load_by_name_goes_on_beside_a_full_pool_at_once():
    pool = loaded("a", slots=1)
    pool.tell(Asked(1, "a"), Asked(2, "b"))
    assert pool.tell(by_name(3, "kept")) == [Start("kept")]
    assert pool.tell(Loaded("kept", 2)) == [Grant(3, "kept")]


def test_a_load_by_name_that_is_given_up_stops_unless_others_joined_it():
    pool = Pool()
    assert pool.tell(by_name(1, "a"), Left(1)) == [Start("a"), Stop("a")]
    pool = Pool()
    pool.tell(by_name(1, "a"), Asked(2, "a", is_on_demand=False))
    assert pool.tell(Left(1)) == []
    assert pool.tell(Loaded("a", 1)) == [Grant(2, "a")]


def test_who_asks_for_a_copy_by_name_that_is_gone_or_going_is_told():
    (refused,) = Pool().tell(Asked(1, "a", is_on_demand=False))
    assert isinstance(refused, Refuse)
    pool = with_one_by_name(Pool())
    pool.tell(Unload("kept", UNLOADED))
    (refused,) = pool.tell(Asked(1, "kept", is_on_demand=False))
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, ServerBusyError)
    assert refused.error.code == "model_unloaded"


def test_who_waits_on_demand_for_a_name_that_is_on_its_way_out_has_it_started_anew():
    pool = with_one_by_name(Pool(), "a")
    assert pool.tell(Unload("a", UNLOADED), Asked(1, "a")) == [Stop("a")]
    assert pool.tell(Exited("a")) == [Start("a")]
    assert pool.state.models["a"].is_on_demand


def test_unloading_waits_for_who_is_inside_and_refuses_who_waits_for_the_copy():
    pool = with_one_by_name(Pool())
    pool.tell(Asked(1, "kept", is_on_demand=False), Asked(2, "kept", is_on_demand=False))
    assert pool.tell(Unload("kept", UNLOADED)) == [Refuse(2, UNLOADED)]
    assert pool.tell(Unload("kept", UNLOADED)) == []
    assert pool.tell(Left(1)) == [Stop("kept")]


def test_unloading_on_demand_keeps_who_waits_and_loads_it_again():
    pool = loaded("a", slots=1)
    pool.tell(Asked(1, "a"), Asked(2, "a"))
    assert pool.tell(Unload("a", UNLOADED)) == []
    assert pool.tell(Left(1), Exited("a")) == [Stop("a"), Start("a")]


def test_unloading_what_loads_stops_it_and_refuses_all_who_wait_for_it():
    pool = Pool()
    pool.tell(Asked(1, "a"))
    assert pool.tell(Unload("a", UNLOADED)) == [Refuse(1, UNLOADED), Stop("a")]


def test_unloading_what_is_gone_changes_nothing():
    assert Pool().tell(Unload("a", UNLOADED)) == []


def test_only_the_idleness_that_expired_stops_a_model():
    pool = loaded("a")
    since = pool.state.models["a"].idle_since
    pool.tell(Asked(1, "a"))
    assert pool.tell(Expired("a", since)) == []
    pool.tell(Left(1))
    assert pool.tell(Expired("a", since)) == []
    assert pool.tell(Expired("a", pool.state.models["a"].idle_since)) == [Stop("a")]
    assert pool.tell(Expired("a", since), Expired("b", 0)) == []


def test_a_model_by_name_expires_as_well():
    pool = with_one_by_name(Pool())
    assert pool.tell(Expired("kept", pool.state.models["kept"].idle_since)) == [Stop("kept")]


def short_of_memory() -> Pool:
    """Two idle models of 10 each, of which `a` has been idle longer; `big` is started, and lacks 15."""
    pool = Pool(Limits(max_loaded=3))
    for number, name in enumerate("ab"):
        pool.tell(Asked(900 + number, name), Loaded(name, 1, 10), Left(900 + number))
    assert pool.tell(Asked(1, "big")) == [Start("big")]
    return pool


def test_idle_models_leave_one_by_one_for_one_that_lacks_memory_and_it_is_judged_again_each_time():
    pool = short_of_memory()
    assert pool.tell(Short("big", TOO_BIG, 15)) == [Stop("a")]
    assert pool.tell(Exited("a")) == [Start("big")]
    assert pool.tell(Short("big", TOO_BIG, 5)) == [Stop("b")]
    assert pool.tell(Exited("b"), Loaded("big", 1, 20)) == [Start("big"), Grant(1, "big")]


def test_nobody_leaves_for_one_that_would_not_fit_even_then():
    pool = short_of_memory()
    assert pool.tell(Short("big", TOO_BIG, 21)) == [Refuse(1, TOO_BIG)]
    assert set(pool.state.models) == {"a", "b"}


def test_models_by_name_do_not_leave_for_one_that_lacks_memory():
    pool = with_one_by_name(Pool())
    pool.tell(Asked(1, "big"))
    assert pool.tell(Short("big", TOO_BIG, 5)) == [Refuse(1, TOO_BIG)]


def test_a_busy_model_is_drained_for_one_that_lacks_memory():
    pool = short_of_memory()
    pool.tell(Asked(2, "a"), Asked(3, "b"))
    assert pool.tell(Short("big", TOO_BIG, 5)) == []
    assert pool.tell(Asked(4, "a")) == []
    # Who asked later for the model that left does not take the memory back.
    assert pool.tell(Left(2), Exited("a")) == [Stop("a"), Start("big")]
    assert pool.tell(Loaded("big", 1, 10)) == [Grant(1, "big"), Start("a")]


def test_of_two_that_lack_memory_the_one_that_has_waited_longest_is_judged_first():
    pool = short_of_memory()
    pool.tell(by_name(2, "too"), Asked(3, "a"), Asked(4, "b"))
    assert pool.tell(Short("too", TOO_BIG, 5), Short("big", TOO_BIG, 5)) == []
    assert pool.tell(Left(3), Exited("a")) == [Stop("a"), Start("big")]
    assert pool.tell(Loaded("big", 1, 10)) == [Grant(1, "big"), Start("too")]


def test_a_load_by_name_makes_idle_models_leave_too():
    pool = loaded("a")
    pool.tell(Exited("a"), Asked(5, "a"), Loaded("a", 1, 10), Left(5), by_name(1, "big"))
    assert pool.tell(Short("big", TOO_BIG, 5)) == [Stop("a")]
    assert pool.tell(Exited("a"), Loaded("big", 1, 10)) == [Start("big"), Grant(1, "big")]


def test_who_waits_for_memory_may_leave_and_then_nothing_is_started():
    pool = short_of_memory()
    pool.tell(Asked(2, "a"), Asked(3, "b"), Short("big", TOO_BIG, 5))
    assert pool.tell(Left(1)) == []
    assert set(pool.state.models) == {"a", "b"}
    assert pool.tell(Left(2), Left(3)) == []


def test_what_nobody_wants_any_more_is_not_kept_for_lack_of_memory():
    pool = Pool()
    pool.tell(Asked(1, "a"), Left(1))
    assert pool.tell(Short("a", TOO_BIG, 5)) == []
    assert pool.state.models == {}


def test_closing_while_one_waits_for_memory_refuses_it_and_starts_nothing():
    pool = short_of_memory()
    pool.tell(Short("big", TOO_BIG, 15))
    error = shutting_down()
    assert pool.tell(Closing(error)) == [Refuse(1, error), Stop("b")]
    assert pool.tell(Exited("a"), Exited("b")) == []
    assert pool.state.models == {}
