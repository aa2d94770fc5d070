"""The one path from a request to a model's events: a place in the pool, the worker's stream, and what it means."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from roci.errors import ConnectionLostError, RociError, ServerFailedError, UnexpectedReplyError
from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.planning import Plan, plan
from roci.server.pool.decide import shutting_down
from roci.server.pool.pool import ModelPool, Worker
from roci.server.target import Target
from roci.server.worker_errors import worker_error
from roci.server.worker_stream import WorkerReply, ask_worker
from roci.wire.ask import Ask
from roci.wire.generation import Ended, Event, LoadEnded, LoadEvent
from roci.wire.llama_cpp.stream import WorkerStreamDecoder

OnLoad: TypeAlias = Callable[[LoadEvent], None]


async def generate(
    gateway: Gateway, target: Target, ask: Ask, *, on_load: OnLoad | None = None, first_call_index: int = 0
) -> AsyncGenerator[list[Event]]:
    """The events of one answer; close the generator to break it off, which frees its slot at once.

    Args:
        on_load: told of the load, if this request has to wait for one.
        first_call_index: the number of the first tool call, where earlier rounds of the same answer made some.

    Raises:
        BadRequestError: this model cannot do what is asked, or the prompt is longer than its context.
        LoadFailedError: the model cannot be loaded.
        ServerBusyError: the queue is full, or the gateway is shutting down.
        WorkerDiedError: the model's process ended in mid-answer.
        ServerFailedError: the engine failed.
    """
    load_time_s: float | None = None

    def note_load(event: LoadEvent) -> None:
        nonlocal load_time_s
        if isinstance(event, LoadEnded):
            load_time_s = event.load_time_s
        if on_load is not None:
            on_load(event)

    async with gateway.pool.place(target.instance, ask.chat.answers, on_load=note_load) as worker:
        planned = await off_loop(ask.size_bytes, plan, ask, target, worker.ready, worker.name, first_call_index)
        try:
            async with ask_worker(worker.ready.socket_path, "/v1/chat/completions", planned.body) as reply:
                if reply.status != 200 or reply.content_type != "text/event-stream":
                    raise worker_error(await reply.read_error(), reply.status)
                async with aclosing(_events(gateway.pool, worker, reply, planned)) as batches:
                    async for events in batches:
                        last = events[-1]
                        if isinstance(last, Ended):
                            context = worker.ready.context_length
                            timing = replace(last.timing, load_time_s=load_time_s, context_length=context)
                            events[-1] = Ended(last.usage, timing)
                        yield events
        except ConnectionLostError as error:
            raise await worker_death(gateway.pool, worker) from error


async def _events(pool: ModelPool, worker: Worker, reply: WorkerReply, planned: Plan) -> AsyncGenerator[list[Event]]:
    decoder = WorkerStreamDecoder()
    reader = planned.reader
    try:
        async for piece in reply:
            events = reader.read(_decoded(decoder, piece))
            if reader.is_stopped:
                events.append(decoder.broken_off())
            if events:
                yield events
            if decoder.is_done or reader.is_stopped or decoder.error is not None or decoder.lacks_reason:
                break
    except ConnectionLostError:
        rest = reader.rest()
        if rest:
            yield rest
        raise
    if reader.is_stopped:
        return
    if not decoder.is_done:
        rest = reader.rest()
        if rest:
            yield rest
        raise await _failure(pool, worker, decoder)
    await reply.wait_until_let_go()


def _decoded(decoder: WorkerStreamDecoder, piece: bytes) -> list[Event]:
    try:
        return decoder.feed(piece)
    except msgspec.DecodeError as error:
        raise UnexpectedReplyError(f"The engine's stream is of another form than known: {error}.") from error


async def _failure(pool: ModelPool, worker: Worker, decoder: WorkerStreamDecoder) -> RociError:
    """Why a stream ended before its end."""
    if decoder.error is not None:
        return worker_error(decoder.error)
    if decoder.lacks_reason:
        return ServerFailedError("The engine ended its answer without a finish reason.")
    return await worker_death(pool, worker)


async def worker_death(pool: ModelPool, worker: Worker) -> RociError:
    """Why the connection to a worker broke."""
    return shutting_down() if pool.is_closing and worker.is_unwanted else await worker.death()
