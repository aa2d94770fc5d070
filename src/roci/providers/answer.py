"""An answer that grows from deltas: the same for every stream, sync or async, and without a network."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Protocol

from roci.errors import ReplyError, RociError, StreamInterruptedError, TimedOutError, WorkerDiedError
from roci.exchange.exchange import StreamDecoder
from roci.providers.substitution import substitution_warnings
from roci.types.messages import ModelMessage
from roci.types.requests import CheckedRequest
from roci.types.results import (
    FinishReason,
    GenerateTextResult,
    GenerationStats,
    GenerationWarning,
    ProviderResponse,
    Usage,
)
from roci.types.stream import TextStreamDelta, ToolCallDelta
from roci.types.tools import ToolCall

_log = logging.getLogger("roci")


class AnswerDecoder(StreamDecoder[TextStreamDelta], Protocol):
    """A decoder of a chat answer, which also learns who answers."""

    model: str
    response_id: str
    warnings: tuple[GenerationWarning, ...]


class _GrowingCall:
    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class Answer:
    """Collects deltas; gives the response so far at any time."""

    def __init__(self, request: CheckedRequest, provider: str, asked_model: str) -> None:
        self.provider = provider
        self.asked_model = asked_model
        self.messages: tuple[ModelMessage, ...] = request.messages
        self.session_id = request.session_id
        self.model = ""
        self.response_id = ""
        self.warnings: tuple[GenerationWarning, ...] = ()
        self.failure: RociError | None = None
        """Why nothing more will come."""
        self.is_whole = False
        """It has come to its proper end."""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _GrowingCall] = {}
        self._finish_reason: FinishReason | None = None
        self._usage = Usage()
        self._started = monotonic()
        self._first: float | None = None
        self._last = self._started

    @property
    def has_begun(self) -> bool:
        return self._first is not None

    def start_clock(self) -> None:
        """The request leaves now."""
        self._started = self._last = monotonic()

    def add(self, delta: TextStreamDelta) -> None:
        if self._first is None and (delta.text or delta.reasoning or delta.tool_calls):
            self._first = monotonic()
        if delta.text:
            self._text.append(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        for piece in delta.tool_calls:
            self._add_call(piece)
        if delta.finish_reason is not None:
            self._finish_reason = delta.finish_reason
            self._last = monotonic()
        if delta.usage is not None:
            self._usage = delta.usage

    def _add_call(self, piece: ToolCallDelta) -> None:
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _GrowingCall()
        call.id = call.id or piece.id
        call.name = call.name or piece.name
        if piece.arguments_json:
            call.arguments.append(piece.arguments_json)

    def learn(self, decoder: AnswerDecoder) -> None:
        """Take over what `decoder` knows of the answer as a whole."""
        if decoder.model and not self.model:
            self.model = decoder.model
            self.warnings += substitution_warnings(self.asked_model, decoder.model)
        self.response_id = decoder.response_id

    def end(self, decoder: AnswerDecoder) -> list[TextStreamDelta]:
        """The body has ended: the deltas that this completes, added."""
        deltas = decoder.close()
        for delta in deltas:
            self.add(delta)
        self.learn(decoder)
        self.warnings += decoder.warnings
        return deltas

    def response(self, error: RociError | None = None) -> ProviderResponse:
        """The answer so far; with `error`, as one that broke off."""
        reason = FinishReason.ERROR if error is not None else self._finish_reason or FinishReason.STOP
        return ProviderResponse(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(
                ToolCall(id=call.id or f"call_{index}", name=call.name, arguments_json="".join(call.arguments) or "{}")
                for index, call in sorted(self._calls.items())
            ),
            finish_reason=reason,
            usage=self._usage,
            model=self.model,
            response_id=self.response_id,
            session_id=self.session_id,
            stats=self._stats(),
            warnings=self.warnings,
            error=error,
        )

    def result(self, error: RociError | None = None) -> GenerateTextResult:
        return GenerateTextResult.of(self.response(error), self.messages)

    def outcome(self) -> GenerateTextResult:
        """The whole answer, once nothing more will come; else what kept it from being whole is raised."""
        if self.failure is not None:
            raise self.failure
        if not self.is_whole:
            raise self.broken_by(StreamInterruptedError("The stream was closed before the answer's end."))
        return self.result()

    def complete(self) -> None:
        """It has come to its proper end."""
        self.is_whole = True
        log_answer(self.provider, self.response())

    def broken_by(self, failure: RociError) -> RociError:
        """`failure` of an opened stream as the caller gets it: an interruption that holds what had come.

        A server's own error before anything came stays what it is.
        """
        self._last = monotonic()
        if isinstance(failure, TimedOutError):
            failure.partial = self.result(failure)
            return failure
        if not isinstance(failure, StreamInterruptedError):
            if isinstance(failure, ReplyError) and not self.has_begun:
                return failure
            code = _code_of(failure)
            interruption = StreamInterruptedError(
                f"The answer broke off: {failure.message}", code=code, hint=failure.hint
            )
            interruption.__cause__ = failure
            failure = interruption
        failure.partial = self.result(failure)
        return failure

    def _stats(self) -> GenerationStats:
        end = max(self._last, self._first or 0.0)
        rate = None
        if self._first is not None and self._usage.output_tokens > 1 and end > self._first:
            rate = (self._usage.output_tokens - 1) / (end - self._first)
        return GenerationStats(
            total_time_s=end - self._started,
            time_to_first_token_s=None if self._first is None else self._first - self._started,
            tokens_per_second=rate,
        )


def _code_of(failure: RociError) -> str | None:
    if isinstance(failure, ReplyError):
        return failure.code
    return "worker_died" if isinstance(failure, WorkerDiedError) else None


def log_answer(provider: str, response: ProviderResponse) -> None:
    """One line at level DEBUG for each whole answer: who, for which session, how much; never what was said."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug(
            "%s answered by %s, session %s: %s, %d tokens in, %d out",
            provider,
            response.model or "a model that the server does not name",
            response.session_id,
            response.finish_reason,
            response.usage.input_tokens,
            response.usage.output_tokens,
        )
