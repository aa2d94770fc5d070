"""What every provider does: it builds exchanges, and runs them as `x` and `ax`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from roci.errors import RociError, TimedOutError, UnsupportedError, UsageError
from roci.exchange.exchange import Exchange
from roci.providers.answer import Answer, AnswerDecoder, log_answer
from roci.providers.context import answered, hidden_failure
from roci.providers.operations import ModelOperations
from roci.providers.receipts import Asked, context_warnings, failed_receipt, receipt_of
from roci.providers.retries import Attempts, Question
from roci.providers.streams import AsyncTextStream, TextStream
from roci.providers.substitution import substitution_warnings
from roci.types.models import LmStudioModel, ModelCapabilities, ModelInfo
from roci.types.receipt import Adjustment
from roci.types.requests import CheckedRequest, ProviderRequest, checked
from roci.types.results import GenerationStats, ProviderResponse
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts

if TYPE_CHECKING:
    from roci.types.embeddings import EmbedRequest, EmbedResponse

T = TypeVar("T")


class ModelProvider(ModelOperations):
    """One model of one server. A provider that you make owns its connections: close it, or use it in a `with`.

    A subclass says how its server is asked (the methods with an underscore, none of which touches a network) and
    where it is (`_connect`, `_aconnect`).
    """

    name: str = ""
    """The provider's name in selector strings."""

    def __init__(
        self, model: str | LmStudioModel, *, timeouts: Timeouts | None = None, retries: RetryPolicy | None = None
    ) -> None:
        self.model_id = str(model)
        if not self.model_id.strip():
            raise UsageError("The model's name is empty.", field="model")
        self._capabilities = model.capabilities if isinstance(model, LmStudioModel) else ModelCapabilities()
        self._timeouts = timeouts or Timeouts()
        self._retries = retries or RetryPolicy()
        self._context_limit: int | None = None

    @property
    def capabilities(self) -> ModelCapabilities:
        """What is assumed of the model without asking; `describe()` asks."""
        return self._capabilities

    def generate_text(self, request: ProviderRequest) -> ProviderResponse:
        """The model's answer to `request`, whole.

        Raises:
            UsageError: the request is wrong; nothing was sent.
            TransportError, ReplyError, UnexpectedReplyError, OutputError: what became of it.
        """
        question = Question(checked(request), self._retries, self._timeouts, streams=False)
        started = monotonic()
        try:
            response = self._connect().run(question.exchange(lambda: self._answering(question.request)))
        except RociError as failure:
            explained = self._failed(self._explain(failure), question)
            if explained is failure:
                raise
            raise explained from failure
        return self._completed(response, question, monotonic() - started)

    async def agenerate_text(self, request: ProviderRequest) -> ProviderResponse:
        """The model's answer to `request`, whole.

        Raises:
            UsageError: the request is wrong; nothing was sent.
            TransportError, ReplyError, UnexpectedReplyError, OutputError: what became of it.
        """
        question = Question(checked(request), self._retries, self._timeouts, streams=False)
        started = monotonic()
        try:
            transport = await self._aconnect()
            response = await transport.run(question.exchange(lambda: self._answering(question.request)))
        except RociError as failure:
            explained = self._failed(await self._aexplain(failure), question)
            if explained is failure:
                raise
            raise explained from failure
        return self._completed(response, question, monotonic() - started)

    def stream_text(self, request: ProviderRequest) -> TextStream:
        """The model's answer to `request` as it comes; the request leaves when the stream is first read.

        Raises:
            UsageError: the request is wrong.
        """
        return TextStream(
            self._new_answer(request), self._stream_opening, self._connect, self._explain, self._hidden_failure
        )

    def astream_text(self, request: ProviderRequest) -> AsyncTextStream:
        """The model's answer to `request` as it comes; the request leaves when the stream is first read.

        Raises:
            UsageError: the request is wrong.
        """
        return AsyncTextStream(
            self._new_answer(request), self._stream_opening, self._aconnect, self._aexplain, self._hidden_failure
        )

    def embed(self, request: EmbedRequest) -> EmbedResponse:
        """The vectors of `request`'s texts, in their order.

        Raises:
            UsageError: the request is wrong, or this model makes no vectors; nothing was sent.
            EmbeddingSizeError: vectors of two sizes came, in this call or since an earlier one.
            TransportError, ReplyError, UnexpectedReplyError: what became of it.
        """
        request.check()
        self._check_embeds()
        if not request.texts:
            return self._no_vectors()
        try:
            return self._embedded(self._connect().run(self._embedding(request)))
        except RociError as failure:
            explained = self._explain(failure)
            if explained is failure:
                raise
            raise explained from failure

    async def aembed(self, request: EmbedRequest) -> EmbedResponse:
        """The vectors of `request`'s texts, in their order.

        Raises:
            UsageError: the request is wrong, or this model makes no vectors; nothing was sent.
            EmbeddingSizeError: vectors of two sizes came, in this call or since an earlier one.
            TransportError, ReplyError, UnexpectedReplyError: what became of it.
        """
        request.check()
        self._check_embeds()
        if not request.texts:
            return self._no_vectors()
        try:
            return self._embedded(await (await self._aconnect()).run(self._embedding(request)))
        except RociError as failure:
            explained = await self._aexplain(failure)
            if explained is failure:
                raise
            raise explained from failure

    def list_models(self) -> list[ModelInfo]:
        """Every model that the server has, in its order."""
        return self._connect().run(self._repeated(self._listing))

    async def alist_models(self) -> list[ModelInfo]:
        """Every model that the server has, in its order."""
        return await (await self._aconnect()).run(self._repeated(self._listing))

    def describe(self) -> ModelInfo:
        """What the server says of this provider's model.

        Raises:
            ModelNotFoundError: the server has no such model; `.similar`, `.available`.
        """
        return self._described(self._connect().run(self._repeated(self._description)))

    async def adescribe(self) -> ModelInfo:
        """What the server says of this provider's model.

        Raises:
            ModelNotFoundError: the server has no such model; `.similar`, `.available`.
        """
        return self._described(await (await self._aconnect()).run(self._repeated(self._description)))

    @abstractmethod
    def close(self) -> None:
        """Close the connections of sync calls. Safe to repeat."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections of sync calls and of this event loop. Safe to repeat."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_id!r})"

    @abstractmethod
    def _generation(self, request: CheckedRequest) -> Exchange[ProviderResponse]: ...

    @abstractmethod
    def _stream_opening(self, request: CheckedRequest) -> Exchange[AnswerDecoder]: ...

    def _embedding(self, request: EmbedRequest) -> Exchange[EmbedResponse]:
        raise UnsupportedError(f"{type(self).__name__} makes no vectors of texts.", capability="embeddings")

    def _check_embeds(self) -> None:
        """Raise UnsupportedError where it is known beforehand that the model makes no vectors."""

    @abstractmethod
    def _listing(self) -> Exchange[list[ModelInfo]]: ...

    @abstractmethod
    def _description(self) -> Exchange[ModelInfo]: ...

    def _explain(self, failure: RociError) -> RociError:
        """What a failure of the transport means here."""
        return failure

    async def _aexplain(self, failure: RociError) -> RociError:
        """What a failure of the transport means here."""
        return self._explain(failure)

    def _adjustments(self, request: CheckedRequest) -> tuple[Adjustment, ...]:
        """Settings of `request` that this server's dialect cannot say as they are asked."""
        return ()

    def _enforces_schemas(self) -> bool:
        """Whether this kind of server holds a model to a schema while it writes."""
        return False

    def _repeated(self, make: Callable[[], Exchange[T]]) -> Exchange[T]:
        """What `make` makes, for a call that generates nothing: made again where that may help."""
        return Attempts(self._retries, self._timeouts, generates=False).exchange(make)

    def _new_answer(self, request: ProviderRequest) -> Answer:
        question = Question(checked(request), self._retries, self._timeouts, streams=True)
        return Answer(question, self.model_id, lambda: self._asked(question))

    def _asked(self, question: Question) -> Asked:
        form = question.asked.response_format
        return Asked(
            provider=self.name,
            model=self.model_id,
            adjustments=self._adjustments(question.asked),
            is_schema_enforced=form is not None and form.kind != "text" and self._enforces_schemas(),
            context_limit_tokens=self._context_limit,
        )

    def _answering(self, request: CheckedRequest) -> Exchange[ProviderResponse]:
        return answered(self._generation(request), lambda response: self._hidden_failure(request, response))

    def _hidden_failure(self, request: CheckedRequest, response: ProviderResponse) -> Exchange[RociError | None]:
        return hidden_failure(response, request.messages, self._context_limit, lambda: self._description())

    def _described(self, info: ModelInfo) -> ModelInfo:
        """`info`, remembered as far as later receipts tell of it."""
        self._context_limit = info.loaded_context_length or self._context_limit
        return info

    def _failed(self, failure: RociError, question: Question) -> RociError:
        """`failure` of a plain reply with the receipt of what was tried."""
        is_late = isinstance(failure, TimedOutError) and failure.phase == "first_token"
        if is_late and question.request.settings.max_tokens is None:
            failure.hint += (
                "\nA plain reply comes when all of it is made, and nothing bounds this one's length: "
                "set max_tokens, or stream it."
            )
        if failure.receipt is None and not isinstance(failure, UsageError):
            failure.receipt = failed_receipt(question, self._asked(question))
        return failure

    def _no_vectors(self) -> EmbedResponse:
        from roci.types.embeddings import EmbedResponse  # whoever gets here has imported it

        return EmbedResponse()

    def _embedded(self, response: EmbedResponse) -> EmbedResponse:
        substituted = substitution_warnings(self.model_id, response.model)
        return msgspec.structs.replace(response, warnings=response.warnings + substituted)

    def _completed(self, response: ProviderResponse, question: Question, total_time_s: float) -> ProviderResponse:
        """`response` of a plain reply with times, warnings and receipt."""
        log_answer(self.name, response)
        more = substitution_warnings(self.model_id, response.model) + context_warnings(response.usage, question)
        response = msgspec.structs.replace(
            response, stats=GenerationStats(total_time_s=total_time_s), warnings=response.warnings + more
        )
        receipt = receipt_of(response, question, self._asked(question), total_s=total_time_s)
        return msgspec.structs.replace(response, receipt=receipt)
