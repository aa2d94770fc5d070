"""Asking again, where that cannot generate anything twice. Pure: exchanges in, exchanges out; the transports wait.

| what happened | a generation | a list, a description, vectors |
|---|---|---|
| 429 or 503, not for want of a quota, not of a worker that died | again | again |
| 502 or 504: something between does not reach the server | again if it was to be streamed | again |
| the connection broke before the first byte of the reply | no: the server may be generating | again |
| nobody listens at the address; a time-out; any other error | no | no |
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

import msgspec

from roci.errors import (
    ConnectionLostError,
    ContextTooLongError,
    ReplyError,
    RociError,
    ServerBusyError,
    ServerFailedError,
)
from roci.exchange.exchange import Exchange, HttpRequest, altered
from roci.types.overflow import without_oldest_turns
from roci.types.receipt import Adjustment, Retry
from roci.types.requests import CheckedRequest
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts
from roci.wire.openai.reasoning import refuses_reasoning

T = TypeVar("T")

# A server's estimate of an overflow is good enough that two or three tries do; without its numbers, halving is.
DROPS_LIMIT: Final = 8
_FIRST_WAIT_S = 0.5
# Codes of 429 and 503 which another attempt does not mend, or which come after tokens were generated.
_POINTLESS = frozenset({"insufficient_quota", "billing_hard_limit_reached", "worker_died"})


class Attempts:
    """How often one call has been made, and whether it may be made again.

    Args:
        generates: an attempt may leave the server generating, so that only one that was refused is repeated.
        streams: the answer comes as a stream, so that a gateway's error stands for an answer that had not begun.
    """

    def __init__(self, policy: RetryPolicy, timeouts: Timeouts, *, generates: bool, streams: bool = False) -> None:
        self.retries: list[Retry] = []
        self._policy = policy
        self._timeouts = timeouts
        self._generates = generates
        self._streams = streams
        self._since: float | None = None
        self._waits = 0
        self._wait_s = 0.0

    def exchange(self, make: Callable[[], Exchange[T]]) -> Exchange[T]:
        """The exchange that `make` makes, made again as often as it may be."""
        if self._since is None:
            self._since = monotonic()
        while True:
            try:
                if not self.retries:
                    return (yield from make())
                return (yield from self._later(make()))
            except RociError as failure:
                if not self.may_repeat(failure):
                    raise

    def may_repeat(self, failure: RociError) -> bool:
        """Whether `failure` may be followed by another attempt, which is noted if so."""
        if self._waits >= self._policy.max_retries or not _is_passing(failure, self._generates, self._streams):
            return False
        asked_s = failure.retry_after_s if isinstance(failure, ServerBusyError) else None
        wait_s = _wait_s(self._waits, asked_s)
        if wait_s > self._policy.max_wait_s or not self._has_time_for(wait_s):
            return False
        self._waits += 1
        self.note(failure, wait_s)
        return True

    def note(self, failure: RociError, wait_s: float) -> None:
        """There will be another attempt because of `failure`, after `wait_s`."""
        self._wait_s = wait_s
        self.retries.append(Retry(reason=failure.message, waited_s=wait_s))

    def _has_time_for(self, wait_s: float) -> bool:
        elapsed_s = monotonic() - (self._since or monotonic())
        limits = (self._timeouts.first_token_s, self._timeouts.total_s)
        return all(limit is None or elapsed_s + wait_s < limit for limit in limits)

    def _later(self, exchange: Exchange[T]) -> Exchange[T]:
        """`exchange`, its first request sent after the wait, with time-outs that count from the first attempt."""

        def later(request: HttpRequest) -> HttpRequest:
            wait_s, self._wait_s = self._wait_s, 0.0
            return msgspec.structs.replace(request, wait_s=wait_s, since=self._since)

        return altered(exchange, later)


class Question(Attempts):
    """A request for an answer, with what has become of it: how often it was asked, and how much of it was left out."""

    def __init__(self, asked: CheckedRequest, policy: RetryPolicy, timeouts: Timeouts, *, streams: bool) -> None:
        super().__init__(policy, asked.timeouts or timeouts, generates=True, streams=streams)
        self.asked = asked
        self.request = asked
        """What is sent now: `asked`, or less where that did not fit."""
        self.adjustments: tuple[Adjustment, ...] = ()
        """What the server refused of it, and was asked again without."""
        self._drops = 0

    @property
    def dropped_messages(self) -> int:
        return len(self.asked.messages) - len(self.request.messages)

    def may_repeat(self, failure: RociError) -> bool:
        if isinstance(failure, ContextTooLongError):
            return self._shorten(failure)
        if self._leave_reasoning_out(failure):
            return True
        return super().may_repeat(failure)

    def _leave_reasoning_out(self, failure: RociError) -> bool:
        """Whether the server refused the wish about reasoning, which is then not told it again."""
        wanted = self.request.settings.reasoning
        if wanted is None or not refuses_reasoning(failure):
            return False
        self.adjustments += (Adjustment(setting="reasoning", asked=wanted, reason=failure.message),)
        silent = msgspec.structs.replace(self.request.settings, reasoning=None)
        self.request = msgspec.structs.replace(self.request, settings=silent)
        self.note(failure, 0.0)
        return True

    def _shorten(self, failure: ContextTooLongError) -> bool:
        if self.asked.on_overflow != "drop_oldest":
            return False
        shorter = None
        if self._drops < DROPS_LIMIT and self._has_time_for(0.0):
            shorter = without_oldest_turns(
                self.request.messages,
                limit_tokens=failure.limit_tokens,
                given_tokens=failure.given_tokens,
                max_tokens=self.request.settings.max_tokens,
            )
        if shorter is None:
            failure.hint = (
                "The last turn alone is too long, or nearly: shorten it, or load the model with more context."
            )
            return False
        self._drops += 1
        self.request = msgspec.structs.replace(self.request, messages=shorter)
        self.note(failure, 0.0)
        return True


def _is_passing(failure: RociError, generates: bool, streams: bool) -> bool:
    """Whether `failure` may be gone by the next attempt, and nothing is generated twice by it."""
    if isinstance(failure, ReplyError) and failure.should_retry is False:
        return False
    if isinstance(failure, ServerBusyError):
        return failure.code not in _POINTLESS
    if isinstance(failure, ServerFailedError):
        return failure.status in (502, 504) and (streams or not generates)
    # With a piece of the body there, the server had begun to answer.
    return isinstance(failure, ConnectionLostError) and not generates and not failure.body


def _wait_s(waits: int, asked_s: float | None) -> float:
    """What the server asked for, or a time that doubles, with chance in it: so that many do not come back at once."""
    from random import uniform  # slow to import, and few calls come here

    if asked_s is not None:
        return asked_s + uniform(0.0, min(0.1 * asked_s, 1.0))  # noqa: S311 - no secret hangs on it
    return _FIRST_WAIT_S * 2**waits * uniform(0.5, 1.0)  # noqa: S311
