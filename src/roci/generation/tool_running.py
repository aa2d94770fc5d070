"""Running a round's calls: in turn for sync callers, together for async ones. The one place that calls tools.

A sync function runs in a thread of its own, so that its time-out holds: nothing can stop it there, but nobody waits for
it any longer, nor does the program's end. The thread sees the caller's context variables.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from roci.generation.tool_results import ToolOutcome, ToolRun, answered, failed, timed_out

_log = logging.getLogger("roci")


class _LateError(Exception):
    """The tool's time is over. Not a `TimeoutError`: tools raise those of their own."""


def run_in_turn(runs: Sequence[ToolRun]) -> Iterator[ToolOutcome]:
    """Each call's outcome, one after the other. Async functions run in an event loop of their own, in a thread."""
    for run in runs:
        try:
            yield _judged(run, _value(run))
        except _LateError:
            yield timed_out(run)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
            yield _raised(run, error)


async def run_together(runs: Sequence[ToolRun]) -> AsyncGenerator[tuple[int, ToolOutcome], None]:
    """(Place, outcome) of each call, as they end. Those still running when the caller leaves are cancelled."""
    tasks = [asyncio.create_task(_outcome(run), name=f"roci tool {run.call.name}") for run in runs]
    place = {task: index for index, task in enumerate(tasks)}
    pending = set(tasks)
    try:
        while pending:
            ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(ended, key=place.__getitem__):
                yield place[task], task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _judged(run: ToolRun, value: Any) -> ToolOutcome:
    outcome = answered(run, value)
    if outcome.message.is_error:
        _log.info("tool %r: %s", run.call.name, outcome.message.text)
    return outcome


def _raised(run: ToolRun, error: Exception) -> ToolOutcome:
    _log.info("tool %r raised %s", run.call.name, type(error).__name__, exc_info=error)
    return failed(run.call, error)


def _call(run: ToolRun) -> Any:
    return run.tool.function(*run.arguments.args, **run.arguments.kwargs)


# ---- sync


def _value(run: ToolRun) -> Any:
    limit = run.tool.timeout_s
    if limit is not None or _is_async(run.tool.function):
        return _in_thread(run, lambda: _finished(_call(run), limit), limit)
    value = _call(run)
    return _in_thread(run, lambda: _finished(value, None), None) if inspect.isawaitable(value) else value


def _finished(value: Any, limit_s: float | None) -> Any:
    """`value`, or what it comes to in an event loop made for it."""
    return asyncio.run(_within(value, limit_s)) if inspect.isawaitable(value) else value


def _in_thread(run: ToolRun, work: Callable[[], Any], limit_s: float | None) -> Any:
    ended = threading.Event()
    found: list[tuple[Any, BaseException | None]] = []

    def settle(value: Any, error: BaseException | None) -> None:
        found.append((value, error))
        ended.set()

    _start(run, work, settle)
    if not ended.wait(limit_s):
        raise _LateError
    value, error = found[0]
    if error is not None:
        raise error
    return value


def _start(run: ToolRun, work: Callable[[], Any], settle: Callable[[Any, BaseException | None], object]) -> None:
    def body() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - the waiting side raises it
            settle(None, error)
        else:
            settle(value, None)

    # A daemon: a tool that never returns does not keep the program from its end.
    name = f"roci tool {run.call.name}"
    threading.Thread(target=copy_context().run, args=(body,), name=name, daemon=True).start()


# ---- async


async def _outcome(run: ToolRun) -> ToolOutcome:
    limit = run.tool.timeout_s
    try:
        work: Awaitable[Any] = _call(run) if _is_async(run.tool.function) else _threaded(run)
        return _judged(run, await _within(work, limit))
    except _LateError:
        return timed_out(run)
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
        return _raised(run, error)


async def _within(work: Awaitable[Any], limit_s: float | None) -> Any:
    scope = asyncio.timeout(limit_s)
    try:
        async with scope:
            return await work
    except TimeoutError:
        if scope.expired():
            raise _LateError from None
        raise


async def _threaded(run: ToolRun) -> Any:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: whoever asked has left
            loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result((value, error)))

    _start(run, lambda: _call(run), settle)
    value, error = await ended
    if error is not None:
        raise error
    return await value if inspect.isawaitable(value) else value


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
