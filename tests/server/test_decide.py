"""The pool's decisions, fed plain events."""

from __future__ import annotations

from roci.errors import LoadFailedError, ServerBusyError
from roci.server.pool.decide import decide, shutting_down
from roci.server.pool.events import (
    Action,
    Asked,
    Closing,
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

ONE = Limits(max_loaded=1)
TWO = Limits(max_loaded=2)
BROKEN = LoadFailedError("broken", key="a")


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
