"""A model file on this machine as a provider: what its header and its worker say of it, how the worker is asked."""

from __future__ import annotations

import weakref
from concurrent.futures import wait
from typing import Any

import msgspec

from roci.config import RociConfig
from roci.engine.library import LocalModel, find_model, models_on_disk
from roci.engine.model_facts import read_sound_facts
from roci.engine.worker_process import WorkerOptions, WorkerProcess
from roci.errors import (
    ConnectionLostError,
    RociError,
    ServerUnreachableError,
    StreamInterruptedError,
    UnsupportedError,
)
from roci.exchange.exchange import HttpRequest
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.providers.local_engine import ENGINE_ADDRESS, LocalEngine, shared_engine
from roci.providers.openai_compatible import OpenAICompatibleProvider
from roci.providers.receipts import Asked
from roci.providers.retries import Question
from roci.types.models import LmStudioModel, ModelCapabilities, ModelInfo
from roci.types.receipt import Adjustment
from roci.types.requests import CheckedRequest, ProviderRequest
from roci.types.results import ProviderResponse
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts
from roci.wire.openai.image_parts import ENGINE
from roci.wire.reasoning import ReasoningPlan, plan_reasoning

_EXIT_WAIT_S = 2.0


class LocalProvider(OpenAICompatibleProvider):
    """A model file on this machine, answered by a worker process of this program.

    The worker starts with the first call and ends with `close()`, or with this program, however that ends. Needs the
    `roci-ai[server]` extra; without it the first call raises `UnsupportedError`.

    Args:
        model: a model's key (`roci models` lists them), or the path of a GGUF file.
        options: context, slots, threads, GPU layers. By default what the environment and the files of settings say
            (`roci config show`), but one slot, so that calls made at once are answered one after the other.
        timeouts: for every call that does not bring its own. The load counts as part of the first token.
        retries: how often to ask again. None: the environment's `ROCI_MAX_RETRIES`, else twice.

    Raises:
        ModelNotFoundError: no such model on this machine.
        ConfigError: a file of settings cannot be used.
    """

    name = "local"
    _dialect = "llama.cpp"
    _images = ENGINE
    # The worker does each request to its end, even if nobody waits any more.
    _embedded_at_once = 32

    def __init__(
        self,
        model: str | LmStudioModel,
        *,
        options: WorkerOptions | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        config: RociConfig | None = None,
        is_shared: bool = False,
    ) -> None:
        config = config or RociConfig.from_env()
        super().__init__(model, base_url=ENGINE_ADDRESS, timeouts=timeouts, retries=retries, config=config)
        self._home = config.home
        if is_shared:
            self._engine = shared_engine(config.home, self.model_id, options)
        else:
            self._engine = LocalEngine(config.home, find_model(config.home, self.model_id, paths=True), options)
        self._found = self._engine.model
        # The worker answers under the key; asking by another of its names is not a substitution.
        self.model_id = self._found.key
        self._is_shared = is_shared
        if not is_shared:
            # A provider that is dropped without `close()` leaves no worker behind.
            weakref.finalize(self, self._engine.stop)

    def generate_text(self, request: ProviderRequest) -> ProviderResponse:
        # llama.cpp's server frees a place at once only when a streamed answer's client leaves.
        with self.stream_text(request) as stream:
            return stream.result().steps[0].response

    async def agenerate_text(self, request: ProviderRequest) -> ProviderResponse:
        async with self.astream_text(request) as stream:
            return (await stream.result()).steps[0].response

    def close(self) -> None:
        """Stop the worker. A later call starts another."""
        if not self._is_shared:
            self._engine.stop()

    async def aclose(self) -> None:
        """Stop the worker. A later call starts another."""
        if self._is_shared:
            return
        from asyncio import to_thread

        connections = self._engine.connections
        if connections is not None:
            await connections.aclose()
        await to_thread(self._engine.stop)

    def list_models(self) -> list[ModelInfo]:
        """Every model on this machine, by key; no worker is started for it."""
        return [self._info(model) for model in models_on_disk(self._home)]

    async def alist_models(self) -> list[ModelInfo]:
        """Every model on this machine, by key; no worker is started for it."""
        from asyncio import to_thread

        return await to_thread(self.list_models)

    def describe(self) -> ModelInfo:
        """What the model's file says of it, and what its worker was given if there is one.

        Raises:
            BadModelFileError: the file cannot be loaded.
        """
        return self._info(msgspec.structs.replace(self._found, facts=read_sound_facts(self._found.path)))

    async def adescribe(self) -> ModelInfo:
        """What the model's file says of it, and what its worker was given if there is one.

        Raises:
            BadModelFileError: the file cannot be loaded.
        """
        from asyncio import to_thread

        return await to_thread(self.describe)

    def _check_embeds(self) -> None:
        if self._found.kind != "embedding" and not self._engine.options.force_embedding:
            raise UnsupportedError(
                f"{self.model_id} is made to write text, not to make vectors: they would mean nothing.",
                capability="embeddings",
                hint="Take an embedding model, such as nomic-embed-text or all-MiniLM.",
            )

    def _connect(self) -> SyncTransport:
        return self._engine.connect(self._timeouts.first_token_s).sync()

    async def _aconnect(self) -> AsyncTransport:
        return await (await self._engine.aconnect(self._timeouts.first_token_s)).of_this_loop()

    def _body(self, request: CheckedRequest, *, stream: bool) -> dict[str, Any]:
        sampling = self._engine.sampling
        missing = {name: value for name, value in sampling.items() if getattr(request.settings, name) is None}
        if missing:
            request = msgspec.structs.replace(request, settings=msgspec.structs.replace(request.settings, **missing))
        plan = self._reasoning(request)
        silent = msgspec.structs.replace(request.settings, reasoning=None)
        body = super()._body(msgspec.structs.replace(request, settings=silent), stream=stream) | plan.fields
        if plan.template:
            body["chat_template_kwargs"] = plan.template
        # Progress makes the worker's stream begin with the prompt, which is how it notices in prefill that we left.
        return body | {"return_progress": True}

    def _reasoning(self, request: CheckedRequest) -> ReasoningPlan:
        can = self._found.abilities
        wanted, options = request.settings.reasoning, can.reasoning_options
        return plan_reasoning(wanted, options, default=can.reasoning_default, switch=can.reasoning_switch)

    def _adjustments(self, request: CheckedRequest) -> tuple[Adjustment, ...]:
        ignored = self._reasoning(request).ignored
        if not ignored:
            return ()
        return (Adjustment(setting="reasoning", asked=request.settings.reasoning or "", reason=ignored),)

    def _enforces_schemas(self) -> bool:
        return True

    def _asked(self, question: Question) -> Asked:
        ready = self._engine.ready_now()
        self._context_limit = ready.context_length if ready else None
        return super()._asked(question)

    def _post(self, request: CheckedRequest, *, stream: bool) -> HttpRequest:
        if self._found.kind != "llm":
            raise UnsupportedError(
                f"{self.model_id} is made to make vectors or scores, not to write text.",
                capability="chat",
                hint="For vectors there is embed().",
            )
        ready = self._engine.ready_now()
        if request.tools and ready is not None and not ready.supports_tools:
            raise UnsupportedError(
                f"The chat template of {self.model_id} has no place for tools; the model would never see them.",
                capability="tools",
                hint="Take a model whose template knows tools, or leave tools out.",
            )
        return super()._post(request, stream=stream)

    def _explain(self, failure: RociError) -> RociError:
        worker = self._engine.worker
        if worker is None or not _is_a_break(failure):
            return failure
        wait([worker.exited], timeout=_EXIT_WAIT_S)
        return _death(worker, failure)

    async def _aexplain(self, failure: RociError) -> RociError:
        worker = self._engine.worker
        if worker is None or not _is_a_break(failure):
            return failure
        import asyncio

        await asyncio.wait([asyncio.wrap_future(worker.exited)], timeout=_EXIT_WAIT_S)
        return _death(worker, failure)

    def _info(self, model: LocalModel) -> ModelInfo:
        ready = self._engine.ready_now() if model.path == self._found.path else None
        limit = model.facts.max_context_length
        return ModelInfo(
            key=model.key,
            kind=model.kind,
            display_name=model.facts.name,
            publisher=model.publisher,
            architecture=model.facts.architecture,
            quantization=model.facts.quantization,
            size_bytes=model.size_bytes,
            max_context_length=limit,
            max_context_source=str(model.path) if limit else "",
            loaded_context_length=ready.context_length if ready else None,
            loaded_context_source="worker" if ready else "",
            is_loaded=ready is not None,
            capabilities=ModelCapabilities(
                tools=ready.supports_tools if ready else model.abilities.tools,
                json_schema=model.kind == "llm",
                vision=ready.supports_vision if ready else model.has_vision,
                reasoning=bool(model.abilities.reasoning_options),
                system_messages=model.abilities.system,
                context_length=ready.context_length if ready else limit or ModelCapabilities().context_length,
            ),
            source=str(model.path),
        )


def _is_a_break(failure: RociError) -> bool:
    """True where the worker's end of the wire went away, and this has not been explained yet."""
    if isinstance(failure, StreamInterruptedError):
        return failure.partial is None
    return isinstance(failure, (ConnectionLostError, ServerUnreachableError))


def _death(worker: WorkerProcess, failure: RociError) -> RociError:
    death = worker.death()
    death.__cause__ = failure
    return death
