"""The pool itself, on a loop of its own with fake workers: copies, loads and unloads by name, idle time, memory."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from roci.engine.local_model import LocalModel
from roci.engine.memory import free_memory_bytes
from roci.engine.worker_options import WorkerOptions
from roci.errors import BadRequestError, ModelNotFoundError, NotEnoughMemoryError, ServerBusyError, UsageError
from roci.server.pool.events import Limits
from roci.server.pool.instance import Instance
from roci.server.pool.pool import ModelPool
from roci.wire.generation import LoadEnded, LoadEvent, LoadProgress, LoadStarted
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import FAKE_WORKER, PATIENCE_S, ask_chat, fake_log, is_running

BYTES_PER_TOKEN = 100 * 2 * (16 + 16) * 2
"""Of a model made by `big`: layers, heads, key and value, 16 bits."""


class Pool:
    """A pool, and models on disk for it."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.folder = folder
        self.pool = ModelPool(Limits(**limits), FAKE_WORKER)

    def instance(self, key: str, **more: Any) -> Instance:
        path = self.folder / f"{key}.gguf"
        if not path.exists():
            write_tiny_gguf(path)
        model = LocalModel(key=key, publisher="tests", path=path, size_bytes=path.stat().st_size)
        return Instance(**{"id": key, "model": model, "options": WorkerOptions(parallel=1)} | more)

    def named(self, key: str, **more: Any) -> Instance:
        """For a load by name: without an id."""
        return self.instance(key, **{"id": ""} | more)

    def big(self, key: str, share: float) -> Instance:
        """A model thought to take this share of the memory that is free."""
        tokens = int(free_memory_bytes() * share / BYTES_PER_TOKEN)
        write_tiny_gguf(self.folder / f"{key}.gguf", context=tokens, more={"llama.block_count": 100})
        return self.instance(key, options=WorkerOptions(context_length=tokens, parallel=1))

    def phases(self) -> dict[str, str]:
        return {state.id: state.phase for state in self.pool.instances}

    def open_ids(self, key: str) -> list[str]:
        return [instance.id for instance in self.pool.open_instances if instance.model.key == key]

    def loads(self, key: str) -> int:
        return sum(note["event"] == "loaded" for note in fake_log(self.folder / f"{key}.gguf"))

    async def use(self, instance: Instance) -> None:
        async with self.pool.place(instance):
            pass

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not happened():
                await asyncio.sleep(0.01)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    """Runs a coroutine function with a pool, and closes that, after which no worker is left."""

    def run(test: Callable[[Pool], Awaitable[None]], **limits: Any) -> None:
        async def whole() -> None:
            pool = Pool(tmp_path, **limits)
            try:
                await asyncio.wait_for(test(pool), PATIENCE_S)
                pids = [state.pid for state in pool.pool.instances]
            finally:
                await pool.pool.aclose()
            assert not any(pid is not None and is_running(pid) for pid in pids)

        asyncio.run(whole())

    return run


def test_loading_a_loaded_model_by_name_makes_copies_of_other_names(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        states = [await pool.pool.load(pool.named("first")) for _ in range(3)]
        assert [state.id for state in states] == ["first", "first:2", "first:3"]
        assert pool.open_ids("first") == ["first", "first:2", "first:3"]
        assert {state.phase for state in states} == {"ready"}
        assert len({state.pid for state in states}) == 3
        # Each answers under its own name.
        for state in states:
            assert state.ready is not None
            _, body = await asyncio.to_thread(ask_chat, state.ready.socket_path, "hi")
            assert f'"model":"{state.id}"' in body

    run(test)


def test_an_identifier_that_is_given_is_taken_and_one_that_is_taken_is_refused(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        assert (await pool.pool.load(pool.named("first", id="mine"))).id == "mine"
        with pytest.raises(BadRequestError) as caught:
            await pool.pool.load(pool.named("second", id="mine"))
        assert (caught.value.code, caught.value.param) == ("identifier_taken", "identifier")
        for bad in ("x" * 300, " ", "a\nb"):
            with pytest.raises(BadRequestError) as caught:
                await pool.pool.load(pool.named("second", id=bad))
            assert caught.value.code == "invalid_identifier"
        assert pool.open_ids("first") == ["mine"]
        assert pool.pool.get("MINE") is None

    run(test)


def test_what_was_loaded_by_name_takes_no_place_and_is_not_put_out_for_another(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        for key in ("kept", "kept too"):
            await pool.pool.load(pool.named(key))
        await pool.use(pool.instance("first"))
        await pool.use(pool.instance("second"))
        assert set(pool.phases()) == {"kept", "kept too", "second"}
        assert pool.loads("kept") == 1

    run(test, max_loaded=1)


def test_a_load_that_its_client_gives_up_is_stopped(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        load = asyncio.create_task(pool.pool.load(pool.named("slowload")))
        await pool.until(lambda: [state for state in pool.pool.instances if state.pid])
        load.cancel()
        await pool.until(lambda: not pool.pool.instances)
        assert pool.loads("slowload") == 0

    run(test)


def test_a_request_that_joins_a_load_by_name_keeps_it_going(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        load = asyncio.create_task(pool.pool.load(pool.named("slowload")))
        await pool.until(lambda: pool.pool.get("slowload"))
        joined = pool.pool.get("slowload")
        assert joined is not None
        asking = asyncio.create_task(pool.use(joined.instance))
        await pool.until(lambda: pool.pool.queue_length == 2)
        load.cancel()
        await asking
        assert pool.phases() == {"slowload": "ready"}

    run(test)


def test_everybody_who_waits_hears_of_the_load_in_order(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        heard: list[list[LoadEvent]] = [[], [], []]

        async def ask(events: list[LoadEvent]) -> None:
            async with pool.pool.place(pool.instance("slowload"), on_load=events.append):
                pass

        await asyncio.gather(*map(ask, heard[:2]))
        await ask(heard[2])
        for events in heard[:2]:
            assert isinstance(events[0], LoadStarted)
            assert isinstance(events[-1], LoadEnded)
            ratios = [event.ratio for event in events[1:-1] if isinstance(event, LoadProgress)]
            assert len(ratios) == len(events) - 2
            assert ratios == sorted(set(ratios))
            assert ratios[-1] == 1.0
            assert len(ratios) > 1
        assert heard[2] == []  # it was loaded already
        assert pool.loads("slowload") == 1

    run(test)


def test_a_load_by_name_tells_how_far_it_is(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        ratios: list[float] = []
        await pool.pool.load(pool.named("slowload"), ratios.append)
        assert ratios == sorted(set(ratios))
        assert ratios[-1] == 1.0
        assert len(ratios) > 1

    run(test)


def test_an_idle_model_is_unloaded_after_its_ttl_and_loaded_once_for_all_who_ask_then(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        first = pool.instance("first", ttl_s=0.5)
        async with pool.pool.place(first) as worker:
            state = pool.pool.get("first")
            assert state is not None
            assert state.expires_at is None  # it is not idle
            await asyncio.sleep(0.6)  # longer than the ttl: nothing may happen
            assert pool.phases() == {"first": "ready"}
        state = pool.pool.get("first")
        assert state is not None
        assert state.expires_at is not None
        await worker.gone.wait()
        assert not is_running(worker.pid or 0)
        assert pool.pool.instances == []
        before = pool.loads("first")
        await asyncio.gather(*(pool.use(first) for _ in range(5)))
        assert pool.loads("first") == before + 1

    run(test)


def test_a_ttl_counts_only_if_its_request_performs_the_load(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        await pool.use(pool.instance("first"))
        await pool.use(pool.instance("first", ttl_s=0.01))
        state = pool.pool.get("first")
        assert state is not None
        assert state.instance.ttl_s is None
        assert state.expires_at is None
        kept = await pool.pool.load(pool.named("second", ttl_s=300))
        assert kept.instance.ttl_s == 300
        assert pool.pool.get("second").expires_at > time.time()  # type: ignore[union-attr, operator]

    run(test)


def test_unloading_lets_who_is_inside_finish_and_nobody_else_in(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        state = await pool.pool.load(pool.named("first"))
        async with pool.pool.place(state.instance):
            waiting = asyncio.create_task(pool.use(state.instance))
            await pool.until(lambda: pool.pool.queue_length)
            unloading = asyncio.create_task(pool.pool.unload("first"))
            with pytest.raises(ServerBusyError) as caught:
                await waiting
            assert caught.value.code == "model_unloaded"
            assert pool.phases() == {"first": "draining"}
            assert pool.pool.get("first") is None
            assert pool.open_ids("first") == []
            with pytest.raises(ServerBusyError):
                await pool.use(state.instance)
            assert is_running(state.pid or 0)
        await unloading
        assert not is_running(state.pid or 0)
        assert pool.pool.instances == []

    run(test)


def test_who_came_on_demand_and_waits_has_the_unloaded_model_loaded_again(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        first = pool.instance("first")
        async with pool.pool.place(first):
            waiting = asyncio.create_task(pool.use(first))
            await pool.until(lambda: pool.pool.queue_length)
            unloading = asyncio.create_task(pool.pool.unload("first"))
            await pool.until(lambda: pool.phases() == {"first": "draining"})
        await asyncio.gather(unloading, waiting)
        assert pool.loads("first") == 2

    run(test)


def test_answers_that_take_too_long_for_an_unload_are_broken_off(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        async with pool.pool.place(pool.instance("first")) as worker:
            await pool.pool.unload("first", drain_s=0.05)
            assert not is_running(worker.pid or 0)
            assert "was stopped" in (await worker.death()).message

    run(test)


def test_unloading_a_model_while_it_loads_stops_that_and_refuses_who_waits(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        waiting = asyncio.create_task(pool.use(pool.instance("slowload")))
        await pool.until(lambda: pool.pool.instances and pool.pool.instances[0].pid)
        await pool.pool.unload("slowload")
        with pytest.raises(ServerBusyError):
            await waiting
        assert pool.loads("slowload") == 0

    run(test)


def test_unloading_what_is_not_loaded_is_an_error_that_names_what_is(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        await pool.use(pool.instance("first"))
        with pytest.raises(ModelNotFoundError) as caught:
            await pool.pool.unload("second")
        assert (caught.value.status, caught.value.code) == (404, "model_not_found")
        assert caught.value.available == ("first",)

    run(test)


def test_two_models_that_load_at_once_do_not_count_the_same_memory(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        # Either fits alone.
        loads = (pool.pool.load(pool.big(key, 0.55)) for key in ("slowload-a", "slowload-b"))
        results = await asyncio.gather(*loads, return_exceptions=True)
        refused = [result for result in results if isinstance(result, BaseException)]
        assert [type(error) for error in refused] == [NotEnoughMemoryError]

    run(test)


def test_an_idle_model_on_demand_makes_room_in_memory_and_it_is_judged_again(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        await pool.use(pool.big("idle", 0.5))
        # The fake takes no memory, so that its end gives none, and there is nobody left to ask.
        with pytest.raises(NotEnoughMemoryError) as caught:
            await pool.pool.load(pool.big("huge", 1.2))
        assert caught.value.needed_bytes
        assert caught.value.free_bytes
        assert pool.pool.instances == []

    run(test)


def test_nobody_is_put_out_of_memory_in_vain(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        await pool.use(pool.instance("idle"))
        await pool.pool.load(pool.big("kept", 0.5))
        with pytest.raises(NotEnoughMemoryError):
            await pool.use(pool.big("huge", 1.3))
        assert pool.phases() == {"idle": "ready", "kept": "ready"}

    run(test, max_loaded=2)


def test_options_that_cannot_hold_are_refused_before_anything_is_started(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        options = WorkerOptions(num_experts=4)
        with pytest.raises(UsageError) as caught:
            await pool.pool.load(pool.named("first", options=options))
        assert caught.value.field == "num_experts"
        with pytest.raises(UsageError):
            await pool.use(pool.instance("first", options=options))
        assert pool.loads("first") == 0

    run(test)


def test_a_copy_that_dies_is_gone_and_its_name_is_free_again(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        state = await pool.pool.load(pool.named("first"))
        os.kill(state.pid or 0, signal.SIGKILL)
        await pool.until(lambda: not pool.pool.instances)
        assert (await pool.pool.load(pool.named("first"))).id == "first"

    run(test)


def test_closing_while_a_load_by_name_goes_on_ends_it(run: Callable[..., None]):
    async def test(pool: Pool) -> None:
        load = asyncio.create_task(pool.pool.load(pool.named("slowload")))
        await pool.until(lambda: pool.pool.instances)
        await pool.pool.aclose()
        with pytest.raises(ServerBusyError) as caught:
            await load
        assert caught.value.code == "shutting_down"

    run(test)
