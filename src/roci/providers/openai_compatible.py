"""Any server that speaks OpenAI's `/v1`: llama-server, vLLM, Ollama, `roci serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from roci.config import RociConfig, checked_url
from roci.errors import ModelNotFoundError, NoModelLoadedError, RociError, UsageError
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.providers.answer import AnswerDecoder
from roci.providers.connections import Connections
from roci.providers.provider import ModelProvider
from roci.providers.retries import Attempts
from roci.selector import nearest_names
from roci.types.models import LmStudioModel, ModelInfo
from roci.types.receipt import Adjustment
from roci.types.requests import CheckedRequest
from roci.types.results import ProviderResponse
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts
from roci.wire.openai import convert
from roci.wire.openai.errors import TEXTS, TextPattern, WireError, read_error, reply_error
from roci.wire.openai.image_parts import ANY_SERVER, ImagesTaken
from roci.wire.openai.reasoning import Dialect, dialect_of
from roci.wire.openai.stream import ChatStreamDecoder
from roci.wire.openai.told import ServerWords

if TYPE_CHECKING:
    from roci.types.embeddings import EmbedRequest, EmbedResponse

# No error is as long as this; vectors are.
_ERROR_LIMIT_BYTES: Final = 16_384
# What kind of server this is must not hold up the question for long.
_DIALECT_TIMEOUTS: Final = Timeouts(connect_s=5.0, first_token_s=5.0, gap_s=5.0, total_s=5.0)


class OpenAICompatibleProvider(ModelProvider):
    """A model behind any `/v1`.

    Args:
        model: the model's id as the server knows it.
        base_url: with its `/v1` or other path; an address without a path gets `/v1`. None: `OPENAI_BASE_URL`.
        api_key: sent as a bearer token; none is fine where the server asks for none. `OPENAI_API_KEY` is sent only
            where the base URL is the environment's too.
        timeouts: for every call that does not bring its own. None: the environment's, else the defaults.
        retries: how often to ask again. None: the environment's `ROCI_MAX_RETRIES`, else twice.

    Raises:
        ConfigError: the base URL has no scheme or host.
    """

    name = "openai-compatible"
    _texts: tuple[TextPattern, ...] = TEXTS
    _dialect: Dialect | None = None
    """How this kind of server wants to be asked; None where the server itself must be asked first."""
    _images: ImagesTaken = ANY_SERVER
    _embedded_at_once: int = 256
    """Texts in one request for vectors."""

    def __init__(
        self,
        model: str | LmStudioModel,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        config: RociConfig | None = None,
        connections: Connections | None = None,
    ) -> None:
        config = config or RociConfig.from_env()
        super().__init__(
            model,
            timeouts=timeouts or Timeouts(**config.timeouts),
            retries=retries or (None if config.max_retries is None else RetryPolicy(max_retries=config.max_retries)),
        )
        if base_url is None:
            base_url, api_key = config.openai_base_url, api_key or config.openai_api_key
        self.base_url = api_root(base_url)
        root, self._prefix = root_and_prefix(self.base_url)
        self._connections = connections or Connections(root)
        self._owns_connections = connections is None
        self._headers: Mapping[str, str] = {"authorization": f"Bearer {api_key}"} if api_key else {}

    def close(self) -> None:
        if self._owns_connections:
            self._connections.close()

    async def aclose(self) -> None:
        if self._owns_connections:
            await self._connections.aclose()

    def _connect(self) -> SyncTransport:
        return self._connections.sync()

    async def _aconnect(self) -> AsyncTransport:
        return await self._connections.of_this_loop()

    def _generation(self, request: CheckedRequest) -> Exchange[ProviderResponse]:
        yield from self._learn_dialect(request)
        post = self._post(request, stream=False)
        reply = yield post
        if not self._is_good(reply):
            yield from self._refusal(reply, post)
        answer = convert.decode_reply(reply.body, reply.content_type)
        if answer.has_error:
            yield from self._refusal(reply, post)
        words = ServerWords()
        words.take(reply.body)
        return msgspec.structs.replace(convert.response(answer, request.session_id), receipt=words.receipt())

    def _stream_opening(self, request: CheckedRequest) -> Exchange[AnswerDecoder]:
        yield from self._learn_dialect(request)
        post = self._post(request, stream=True)
        reply = yield post
        if not self._is_good(reply) or (reply.body and read_error(reply.body) is not None):
            yield from self._refusal(reply, post)
        decoder = ChatStreamDecoder(path=post.path, model=self.model_id, texts=self._texts)
        if reply.body or reply.content_type != "text/event-stream":
            decoder.take_whole(reply.body, reply.content_type)
        return decoder

    def _listing(self) -> Exchange[list[ModelInfo]]:
        return (yield from self._v1_listing())

    def _v1_listing(self) -> Exchange[list[ModelInfo]]:
        get = self._get(f"{self._prefix}/models")
        reply = yield get
        if not self._is_good(reply) or read_error(reply.body) is not None:
            raise self._error(reply, get)
        return convert.models(reply.body, reply.content_type, source=get.path)

    def _description(self) -> Exchange[ModelInfo]:
        from roci.providers.context_probes import with_context  # other servers' dialects, for those who describe

        models = yield from self._listing()
        wanted = self.model_id.lower()
        for model in models:
            if model.key.lower() == wanted:
                return (yield from with_context(model, self.model_id, self._get)) if self._prefix else model
        raise ModelNotFoundError(
            f"The server has no model {self.model_id!r}.",
            key=self.model_id,
            status=404,
            code="model_not_found",
            **_names(self.model_id, models),
        )

    def _adjustments(self, request: CheckedRequest) -> tuple[Adjustment, ...]:
        if request.settings.reasoning != "on" or (self._dialect or self._connections.dialect) != "other":
            return ()
        return (Adjustment(setting="reasoning", asked="on", sent="medium", reason="The API knows efforts only."),)

    def _embedding(self, request: EmbedRequest) -> Exchange[EmbedResponse]:
        from roci.providers.embedding import embedding  # only for those who ask for vectors

        timeouts = request.timeouts or self._timeouts
        return embedding(
            request,
            self.model_id,
            self._connections.vector_sizes,
            lambda body: self._vectors(body, timeouts),
            lambda: Attempts(self._retries, timeouts, generates=False),
            at_once=self._embedded_at_once,
        )

    def _vectors(self, body: dict[str, Any], timeouts: Timeouts) -> Exchange[HttpReply]:
        """The good reply to one request for vectors."""
        post = HttpRequest(
            path=f"{self._prefix}/embeddings",
            method="POST",
            body=_encoded(body, "texts"),
            headers=self._headers,
            timeouts=timeouts,
        )
        reply = yield post
        if not self._is_good(reply) or (len(reply.body) < _ERROR_LIMIT_BYTES and read_error(reply.body) is not None):
            yield from self._refusal(reply, post)
        return reply

    def _learn_dialect(self, request: CheckedRequest) -> Exchange[None]:
        """Ask what kind of server this is, once, and only if the answer makes a difference to `request`."""
        if request.settings.reasoning is None or self._dialect or self._connections.dialect:
            return
        get = msgspec.structs.replace(self._get(f"{self._prefix}/models"), timeouts=_DIALECT_TIMEOUTS)
        try:
            reply = yield get
        except RociError:
            # The request itself will show what is wrong with the server.
            return
        if self._is_good(reply):
            self._connections.dialect = dialect_of(reply.body)

    def _body(self, request: CheckedRequest, *, stream: bool) -> dict[str, Any]:
        dialect = self._dialect or self._connections.dialect or "other"
        return convert.chat_body(request, self.model_id, stream=stream, images=self._images, dialect=dialect)

    def _post(self, request: CheckedRequest, *, stream: bool) -> HttpRequest:
        body = self._body(request, stream=stream) | request.settings.extra
        data = _encoded(body, "settings.extra" if request.settings.extra else "messages")
        return HttpRequest(
            path=f"{self._prefix}/chat/completions",
            method="POST",
            body=data,
            headers=self._headers,
            timeouts=request.timeouts or self._timeouts,
            stream=stream,
        )

    def _get(self, path: str) -> HttpRequest:
        return HttpRequest(path=path, headers=self._headers, timeouts=self._timeouts)

    @staticmethod
    def _is_good(reply: HttpReply) -> bool:
        return 200 <= reply.status < 300

    def _error(self, reply: HttpReply, request: HttpRequest) -> RociError:
        """The error that `reply` means. One without an error's form is judged by its status alone."""
        error = read_error(reply.body)
        if error is None:
            text = reply.body[:300].decode("utf-8", "replace").strip()
            if text.startswith("<"):
                text = "a web page"
            error = WireError(message=f"status {reply.status}: {text}" if text else f"status {reply.status}")
        return reply_error(
            error,
            status=reply.status,
            path=request.path,
            model=self.model_id,
            body=reply.body,
            headers=reply.headers,
            texts=self._texts,
        )

    def _refusal(self, reply: HttpReply, request: HttpRequest) -> Exchange[None]:
        """Raise what `reply` means; where it is about the model, ask first what the server has."""
        error = self._error(reply, request)
        if isinstance(error, (ModelNotFoundError, NoModelLoadedError)):
            yield from self._with_names(error)
        raise error

    def _with_names(self, error: ModelNotFoundError | NoModelLoadedError) -> Exchange[None]:
        try:
            models = yield from self._v1_listing()
        except RociError:
            # The first error is the one to tell; that the list cannot be had changes nothing about it.
            return
        names = _names(self.model_id, models)
        error.available = names["available"]
        listed = ", ".join(error.available[:10]) or "nothing"
        lines = [f"The server has: {listed}."]
        if isinstance(error, ModelNotFoundError):
            error.similar = names["similar"]
            if error.similar and "Did you mean" not in error.message:  # `roci serve` has said it
                lines.insert(0, f"Did you mean {' or '.join(error.similar)}?")
        error.hint = "\n".join(filter(None, [error.hint, *lines]))


def _encoded(body: dict[str, Any], field: str) -> bytes:
    try:
        return convert.encode(body)
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise UsageError(f"The request cannot be written as JSON: {error}.", field=field) from error


def _names(wanted: str, models: list[ModelInfo]) -> dict[str, tuple[str, ...]]:
    available = tuple(model.key for model in models)
    return {"available": available, "similar": nearest_names(wanted, available)}


def root_and_prefix(api_url: str) -> tuple[str, str]:
    """Where a server's own API would be, and the `/v1` that stands behind it; a path of another kind stays whole."""
    root = api_url.removesuffix("/v1")
    return root, api_url[len(root) :]


def api_root(base_url: str) -> str:
    """`base_url` as it is, or with `/v1` where it is an address without a path.

    Raises:
        ConfigError: it has no scheme or host.
    """
    url = checked_url(base_url)
    return url if urlsplit(url).path.strip("/") else url + "/v1"
