"""Numbers of several rounds: medians, and ratios of what was measured in the same round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import comb
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


def likely_median(numbers: Sequence[float]) -> tuple[float, float]:
    """Between which the median of ever more rounds would be, with 95 % confidence and however they are distributed.

    The lowest and the highest where these are too few to say it.
    """
    ordered = sorted(numbers)
    count = len(ordered)
    rank = 0
    outside = 0.0
    while (outside := outside + comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    place = max(rank - 1, 0)
    return ordered[place], ordered[-1 - place]


def add_to(series: Series, numbers: dict[str, float], prefix: str = "") -> None:
    """Append one round's numbers."""
    for name, number in numbers.items():
        series.setdefault(f"{prefix}{name}", []).append(number)


def less(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Differences, round by round."""
    return [a - b for a, b in zip(above, below, strict=True)]
