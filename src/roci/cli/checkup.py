"""What a check of `roci doctor` finds, and the limit on how long it may look."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

import msgspec

from roci.errors import TimedOutError

T = TypeVar("T")
Status = Literal["ok", "warning", "failure"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's report."""

    check: str
    status: Status
    message: str
    advice: str = ""
    """What to do; empty where all is well."""
    facts: dict[str, Any] = {}
    """For scripts."""


def bounded(look: Callable[[], T], limit_s: float) -> T:
    """What `look` gives or raises, unless it takes longer than `limit_s`: then its thread is left to itself.

    Names that do not resolve and devices that hang know no time-out of their own.

    Raises:
        TimedOutError: it took too long.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(look())
        except BaseException as error:  # noqa: BLE001 - it is raised again, by whoever waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="roci-check", daemon=True).start()
    try:
        return outcome.result(limit_s)
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TimedOutError(f"No answer within {limit_s:g} s.", phase="total", waited_s=limit_s) from error


def worst(findings: list[Finding]) -> Status:
    """The status of all together."""
    found = {finding.status for finding in findings}
    return "failure" if "failure" in found else "warning" if "warning" in found else "ok"
