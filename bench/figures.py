"""Numbers of several rounds: medians, and ratios of what was measured in the same round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median

Series = dict[str, list[float]]
"""One number a round, by what was measured."""


def rounds(count: int, limit_s: float, least: int = 3) -> Iterator[int]:
    """Round numbers up to `count`; none begins after `limit_s` seconds, except for the first `least`."""
    started = time.monotonic()
    for number in range(count):
        if number >= least and time.monotonic() - started > limit_s:
            return
        yield number


class Ratio:
    """How two things that were measured side by side compare, round by round."""

    def __init__(self, above: Sequence[float], below: Sequence[float]) -> None:
        self.by_round = [a / b for a, b in zip(above, below, strict=True)]
        self.median = median(self.by_round)

    def __str__(self) -> str:
        """The median, with the lowest and the highest round's behind it."""
        return f"{self.median:.2f} ({min(self.by_round):.2f} to {max(self.by_round):.2f})"


def add_to(series: Series, numbers: dict[str, float], prefix: str = "") -> None:
    """Append one round's numbers."""
    for name, number in numbers.items():
        series.setdefault(f"{prefix}{name}", []).append(number)


def less(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Differences, round by round."""
    return [a - b for a, b in zip(above, below, strict=True)]
