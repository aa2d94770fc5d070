"""Text completions: as `generating.py` for chats, with the worker's `/v1/completions` and without a chat template."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from roci.engine.worker_options import WorkerReady
from roci.errors import ConnectionLostError, ContextTooLongError, RociError, ServerFailedError
from roci.server.filling_in import filled_in, prompt_text
from roci.server.gateway import Gateway
from roci.server.generating import OnLoad, worker_death
from roci.server.off_loop import off_loop
from roci.server.pool.pool import ModelPool, Worker
from roci.server.target import Target
from roci.server.worker_errors import worker_error
from roci.server.worker_stream import ask_worker
from roci.wire.generation import Ended, Event, Finish, LoadEnded, LoadEvent, TextDelta
from roci.wire.llama_cpp.completion_stream import ChoiceEnd, CompletionStreamDecoder, ended
from roci.wire.openai.completions_requests import CompletionAsk, CompletionRequest, Prompt, worker_completion_body
from roci.wire.openai.request_faults import invalid
from roci.wire.schema.plan import SchemaPlan


async def complete(
    gateway: Gateway, target: Target, asked: CompletionAsk, *, on_load: OnLoad | None = None
) -> AsyncGenerator[list[Event]]:
    """The events of the answers to every prompt; close the generator to break it off, which frees its slots at once.

    A choice's number is its prompt's, times the answers for each prompt, and its own among those. A request with more
    answers than the model has slots takes all of them, and its prompts go in by groups.

    Raises: as `generate`.
    """
    load_time_s: float | None = None

    def note_load(event: LoadEvent) -> None:
        nonlocal load_time_s
        if isinstance(event, LoadEnded):
            load_time_s = event.load_time_s
        if on_load is not None:
            on_load(event)

    request = asked.request
    answers = request.answers
    wanted = len(request.prompts) * answers
    ends: dict[int, ChoiceEnd] = {}
    async with gateway.pool.place(target.instance, wanted, on_load=note_load) as worker:
        _check_abilities(request, target, worker.ready)
        prompts = await _prompts(gateway.pool, worker, request)
        reader = _Reader(asked.schema, await _echoes(gateway.pool, worker, request), answers)
        group = max(min(wanted, worker.ready.parallel) // answers, 1)
        for first in range(0, len(prompts), group):
            decoder = CompletionStreamDecoder(first * answers)
            some = prompts[first : first + group]
            body = await off_loop(
                asked.size_bytes, worker_completion_body, asked, some, worker.name, defaults=target.sampling
            )
            async with aclosing(_events(gateway.pool, worker, body, decoder)) as batches:
                async for events in batches:
                    yield reader.read(events, decoder.ends)
            ends |= decoder.ends
    end = ended(ends, answers)
    yield [Ended(end.usage, replace(end.timing, load_time_s=load_time_s))]


def _check_abilities(request: CompletionRequest, target: Target, ready: WorkerReady) -> None:
    key = target.model.key
    if ready.is_embedding:
        raise invalid(f"{key} is loaded to make vectors; it writes no text.", "model", code="not_a_chat_model")
    if request.answers > ready.parallel:
        raise invalid(f"n is {request.n}; {key} makes {ready.parallel} answers at once at most.", "n")
    ids = (item for prompt in request.prompts if isinstance(prompt, list) for item in prompt if isinstance(item, int))
    largest = max(ids, default=0)
    if ready.vocabulary_size and largest >= ready.vocabulary_size:
        raise invalid(f"prompt holds the token {largest}; {key} has 0 to {ready.vocabulary_size - 1}.", "prompt")


async def _prompts(pool: ModelPool, worker: Worker, request: CompletionRequest) -> list[Prompt]:
    """The prompts as the model is to read them."""
    if not request.suffix:
        return request.prompts
    texts = [prompt for prompt in request.prompts if isinstance(prompt, str)]
    return list(await filled_in(pool, worker, texts, request.suffix))


async def _echoes(pool: ModelPool, worker: Worker, request: CompletionRequest) -> list[str]:
    """What to put before the answers to each prompt; nothing where nobody asked."""
    return [await prompt_text(pool, worker, prompt) for prompt in request.prompts] if request.echo else []


class _Reader:
    """Puts the echo before each choice's first piece, and looks at finished answers."""

    def __init__(self, schema: SchemaPlan, echoes: Sequence[str], answers: int) -> None:
        self._schema = schema
        self._echoes = echoes
        self._answers = answers
        self._echoed: set[int] = set()
        self._texts: dict[int, list[str]] = {}

    def read(self, events: list[Event], ends: Mapping[int, ChoiceEnd]) -> list[Event]:
        read: list[Event] = []
        for event in events:
            if isinstance(event, Finish):
                self._finish(event, ends[event.choice], read)
            elif isinstance(event, TextDelta):
                self._echo(event.choice, read)
                if self._schema.checks:
                    self._texts.setdefault(event.choice, []).append(event.text)
            read.append(event)
        return read

    def _finish(self, event: Finish, end: ChoiceEnd, read: list[Event]) -> None:
        if not end.prompt_tokens:
            # The engine calls it a success, and answers nothing.
            raise invalid("prompt is empty; this model needs something to go on with.", "prompt")
        self._echo(event.choice, read)
        if self._schema.checks:
            note = self._schema.check("".join(self._texts.get(event.choice, [])))
            if note is not None:
                read.append(replace(note, choice=event.choice))

    def _echo(self, choice: int, read: list[Event]) -> None:
        if self._echoes and choice not in self._echoed:
            self._echoed.add(choice)
            read.append(TextDelta(self._echoes[choice // self._answers], choice))


async def _events(
    pool: ModelPool, worker: Worker, body: bytes, decoder: CompletionStreamDecoder
) -> AsyncGenerator[list[Event]]:
    try:
        async with ask_worker(worker.ready.socket_path, "/v1/completions", body) as reply:
            if reply.status != 200 or reply.content_type != "text/event-stream":
                raise _of_the_prompt(worker_error(await reply.read_error(), reply.status))
            async for piece in reply:
                events = decoder.feed(piece)
                if events:
                    yield events
                if decoder.is_done or decoder.error is not None or decoder.lacks_reason:
                    break
            if decoder.error is not None:
                raise _of_the_prompt(worker_error(decoder.error))
            if decoder.lacks_reason:
                raise ServerFailedError("The engine ended its answer without a finish reason.")
            if not decoder.is_done:
                raise await worker_death(pool, worker)
            await reply.wait_until_let_go()
    except ConnectionLostError as error:
        raise await worker_death(pool, worker) from error


def _of_the_prompt(error: RociError) -> RociError:
    if isinstance(error, ContextTooLongError):
        error.param = "prompt"
    return error
