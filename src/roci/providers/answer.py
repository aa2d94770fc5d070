"""An answer that grows from deltas: the same for every stream, sync or async, and without a network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

import msgspec

from roci.errors import (
    ReplyError,
    RociError,
    StreamInterruptedError,
    TimedOutError,
    UsageError,
    WorkerDiedError,
)
from roci.exchange.exchange import StreamDecoder
from roci.providers.context import may_hide_overflow
from roci.providers.receipts import Asked, context_warnings, failed_receipt, receipt_of
from roci.providers.retries import Question
from roci.providers.substitution import substitution_warnings
from roci.types.messages import ModelMessage
from roci.types.receipt import Receipt
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
from roci.wire.openai.told import ServerWords
from roci.wire.reasoning_tags import split_open_thought

_log = logging.getLogger("roci")


class AnswerDecoder(StreamDecoder[TextStreamDelta], Protocol):
    """A decoder of a chat answer, which also learns who answers."""

    model: str
    response_id: str
    warnings: tuple[GenerationWarning, ...]
    words: ServerWords
    """What the server tells beside the answer."""


class _GrowingCall:
    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class Answer:
    """Collects deltas; gives the response so far at any time."""

    def __init__(self, question: Question, model: str, asked: Callable[[], Asked]) -> None:
        self.question = question
        self.asked_model = model
        self._asked = asked
        self.messages: tuple[ModelMessage, ...] = question.asked.messages
        self.session_id = question.asked.session_id
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
        self._opened: float | None = None
        self._first: float | None = None
        self._last = self._started
        self._words = ServerWords()

    @property
    def has_begun(self) -> bool:
        return self._first is not None

    def start_clock(self) -> None:
        """The request leaves now."""
        self._started = self._last = monotonic()

    def note_reply(self) -> None:
        """The reply's first bytes are there."""
        self._opened = monotonic()

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
        self._words = decoder.words

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
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        if not reasoning:
            # The end of a thought that the template opened shows only when it comes: its pieces were told as text.
            text, reasoning = split_open_thought(text)
        response = ProviderResponse(
            text=text,
            reasoning=reasoning,
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
            receipt=self._words.receipt(),
            error=error,
        )
        return msgspec.structs.replace(response, receipt=self._receipt(response))

    def _receipt(self, response: ProviderResponse) -> Receipt:
        stats = response.stats
        return receipt_of(
            response,
            self.question,
            self._asked(),
            total_s=stats.total_time_s,
            waiting_s=None if self._opened is None else self._opened - self._started,
            first_token_s=stats.time_to_first_token_s,
            seconds_per_token=1 / stats.tokens_per_second if stats.tokens_per_second else None,
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
        self.warnings += context_warnings(self._usage, self.question)
        self.is_whole = True
        if _log.isEnabledFor(logging.DEBUG):
            log_answer(self._asked().provider, self.response())

    def emptiness(self, decoder: AnswerDecoder) -> ProviderResponse | None:
        """The answer, if it has ended and is so empty that it may be an overflow which the server does not tell."""
        failure = decoder.failure
        if self.has_begun or not (failure is None or isinstance(failure, StreamInterruptedError)):
            return None
        response = self.response(failure)
        return response if may_hide_overflow(response, self.question.request.messages) else None

    def starts_anew(self, failure: RociError) -> bool:
        """Whether the question may be asked again after `failure`, since nothing of an answer has come."""
        if self.has_begun or not self.question.may_repeat(failure):
            return False
        self._finish_reason, self._usage, self._opened = None, Usage(), None
        self.model = self.response_id = ""
        self.warnings = ()
        return True

    def give_receipt(self, failure: RociError) -> RociError:
        """`failure` with the receipt of what it cost."""
        if failure.receipt is None and not isinstance(failure, UsageError):
            partial = getattr(failure, "partial", None)
            failure.receipt = failed_receipt(self.question, self._asked()) if partial is None else partial.receipt
        return failure

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
