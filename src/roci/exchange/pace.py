"""How long each read of a reply may take, which changes while it comes."""

from __future__ import annotations

from time import monotonic
from typing import Any

from roci.errors import TimedOutError
from roci.types.settings import Timeouts

_LINGER_S = 1.0
_FOR_EVER_S = 10.0**8


class Pace:
    """How long the next read of a stream may take: the first token's limit, then the gap's, inside the total's."""

    __slots__ = ("_deadline", "_first_deadline", "_gap_s", "_last_piece", "_started", "is_ending", "timeouts")

    def __init__(self, timeouts: Timeouts, since: float | None = None) -> None:
        self.timeouts = timeouts
        self._last_piece: float | None = None
        self.is_ending = False
        """Set by the reader when the terminal mark is there, and only the connection's end is awaited."""
        self._started = monotonic() if since is None else since
        self._gap_s = timeouts.gap_s
        self._first_deadline = None if timeouts.first_token_s is None else self._started + timeouts.first_token_s
        self._deadline = None if timeouts.total_s is None else self._started + timeouts.total_s

    def note_piece(self) -> None:
        """A piece of the answer is there. What keeps a connection alive without being one does not count."""
        self._last_piece = monotonic()

    def limit_s(self) -> float | None:
        if self.is_ending:
            return _LINGER_S
        if self._last_piece is None:
            limit = None if self._first_deadline is None else self._first_deadline - monotonic()
        else:
            limit = None if self._gap_s is None else self._last_piece + self._gap_s - monotonic()
        if self._deadline is not None:
            left = self._deadline - monotonic()
            limit = left if limit is None else min(limit, left)
        return limit if limit is None or limit > 0 else 0.001

    def read_limit(self) -> float:
        """What to give a request as its time-out for reads, so that `follow` finds this pace there."""
        limit = _PacedLimit(self.limit_s() or _FOR_EVER_S)
        limit.pace = self
        return limit

    def timed_out(self) -> TimedOutError:
        """The error for a read that ran out of time, naming the phase and the setting that governs it."""
        waited_s = monotonic() - self._started
        limits = self.timeouts
        if self._deadline is not None and monotonic() >= self._deadline - 0.002:
            phase, words = "total", f"The call took longer than its limit of {limits.total_s:g} s."
        elif self._last_piece is None:
            phase, words = "first_token", f"Nothing of the answer came within {limits.first_token_s:g} s."
        else:
            phase, words = "gap", f"The answer stood still for {limits.gap_s:g} s."
        return TimedOutError(
            words,
            phase=phase,
            waited_s=waited_s,
            hint=f"Allow more with Timeouts({phase}_s=…) or ROCI_TIMEOUT_{phase.upper()}_S; None waits for ever.",
        )


class _PacedLimit(float):
    """A read's time-out that knows the call it belongs to; its plain value is the limit when the call began."""

    pace: Pace


def follow(network: Any) -> None:
    """Let each read from a reply's network stream take as long as its call's `Pace` says at that moment.

    httpcore fixes a body's read time-out when the body begins, but the limit changes when the first token comes.
    It hands the very object that a request gave as its time-out to each read, so that a read that finds a pace on
    it can ask. The reply's network stream is public; its `read` is replaced once in the connection's life.
    """
    if "read" in vars(network):
        return
    inner = network.read

    def read(max_bytes: int, timeout: float | None = None) -> Any:
        return inner(max_bytes, timeout=timeout.pace.limit_s() if isinstance(timeout, _PacedLimit) else timeout)

    network.read = read
