"""What every provider does: it builds exchanges, and runs them as `x` and `ax`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import monotonic
from typing import Self

import msgspec

from roci.errors import RociError, UsageError
from roci.exchange.exchange import Exchange
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.providers.answer import Answer, AnswerDecoder, log_answer
from roci.providers.streams import AsyncTextStream, TextStream
from roci.providers.substitution import substitution_warnings
from roci.types.models import LmStudioModel, ModelCapabilities, ModelInfo
from roci.types.requests import CheckedRequest, ProviderRequest, checked
from roci.types.results import GenerationStats, ProviderResponse
from roci.types.settings import Timeouts


class ModelProvider(ABC):
    """One model of one server. A provider that you make owns its connections: close it, or use it in a `with`.

    A subclass says how its server is asked (the methods with an underscore, none of which touches a network) and
    where it is (`_connect`, `_aconnect`).
    """

    name: str = ""
    """The provider's name in selector strings."""

    def __init__(self, model: str | LmStudioModel, *, timeouts: Timeouts | None = None) -> None:
        self.model_id = str(model)
        if not self.model_id.strip():
            raise UsageError("The model's name is empty.", field="model")
        self._capabilities = model.capabilities if isinstance(model, LmStudioModel) else ModelCapabilities()
        self._timeouts = timeouts or Timeouts()

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
        asked = checked(request)
        started = monotonic()
        try:
            response = self._connect().run(self._generation(asked))
        except RociError as failure:
            explained = self._explain(failure)
            if explained is failure:
                raise
            raise explained from failure
        return self._completed(response, monotonic() - started)

    async def agenerate_text(self, request: ProviderRequest) -> ProviderResponse:
        """The model's answer to `request`, whole.

        Raises:
            UsageError: the request is wrong; nothing was sent.
            TransportError, ReplyError, UnexpectedReplyError, OutputError: what became of it.
        """
        asked = checked(request)
        started = monotonic()
        try:
            response = await (await self._aconnect()).run(self._generation(asked))
        except RociError as failure:
            explained = await self._aexplain(failure)
            if explained is failure:
                raise
            raise explained from failure
        return self._completed(response, monotonic() - started)

    def stream_text(self, request: ProviderRequest) -> TextStream:
        """The model's answer to `request` as it comes; the request leaves when the stream is first read.

        Raises:
            UsageError: the request is wrong.
        """
        asked = checked(request)
        return TextStream(
            Answer(asked, self.name, self.model_id), lambda: self._stream_opening(asked), self._connect, self._explain
        )

    def astream_text(self, request: ProviderRequest) -> AsyncTextStream:
        """The model's answer to `request` as it comes; the request leaves when the stream is first read.

        Raises:
            UsageError: the request is wrong.
        """
        asked = checked(request)
        return AsyncTextStream(
            Answer(asked, self.name, self.model_id), lambda: self._stream_opening(asked), self._aconnect, self._aexplain
        )

    def list_models(self) -> list[ModelInfo]:
        """Every model that the server has, in its order."""
        return self._connect().run(self._listing())

    async def alist_models(self) -> list[ModelInfo]:
        """Every model that the server has, in its order."""
        return await (await self._aconnect()).run(self._listing())

    def describe(self) -> ModelInfo:
        """What the server says of this provider's model.

        Raises:
            ModelNotFoundError: the server has no such model; `.similar`, `.available`.
        """
        return self._connect().run(self._description())

    async def adescribe(self) -> ModelInfo:
        """What the server says of this provider's model.

        Raises:
            ModelNotFoundError: the server has no such model; `.similar`, `.available`.
        """
        return await (await self._aconnect()).run(self._description())

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
    def _connect(self) -> SyncTransport:
        """The transport for sync calls."""

    @abstractmethod
    async def _aconnect(self) -> AsyncTransport:
        """The transport for calls of the running event loop."""

    @abstractmethod
    def _generation(self, request: CheckedRequest) -> Exchange[ProviderResponse]: ...

    @abstractmethod
    def _stream_opening(self, request: CheckedRequest) -> Exchange[AnswerDecoder]: ...

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

    def _completed(self, response: ProviderResponse, total_time_s: float) -> ProviderResponse:
        log_answer(self.name, response)
        return msgspec.structs.replace(
            response,
            stats=GenerationStats(total_time_s=total_time_s),
            warnings=response.warnings + substitution_warnings(self.model_id, response.model),
        )
