"""How often a call may be tried again."""

from __future__ import annotations

import math

import msgspec

from roci.errors import UsageError


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a provider asks again, where that generates nothing twice.

    A policy given to a provider wins over the environment's (`ROCI_MAX_RETRIES`).

    Raises:
        UsageError: a value is out of its range.
    """

    max_retries: int = 2
    """Attempts after the first, 0 to 10; 0 never tries again."""
    max_wait_s: float = 30.0
    """The longest wait before one attempt. A server that asks for more (`Retry-After`) is not asked again."""

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not 0 <= self.max_retries <= 10:
            raise UsageError(
                f"retries.max_retries is {self.max_retries!r}; it takes 0 to 10.", field="retries.max_retries"
            )
        if not 0 <= self.max_wait_s < math.inf:
            raise UsageError(
                f"retries.max_wait_s is {self.max_wait_s!r}; it takes seconds from 0.", field="retries.max_wait_s"
            )
