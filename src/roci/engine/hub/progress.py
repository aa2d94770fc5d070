"""How far a download is, as a value; and the two clocks of one: how fast it is, and how fast it may be."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal

import msgspec

Stage = Literal["waiting", "checking", "downloading", "retrying", "unpacking", "done"]

SPEED_WINDOW_S: Final = 5.0
REPORT_EVERY_S: Final = 0.1


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a download, which may be of several files."""

    stage: Stage
    """`waiting`: another program fetches it. `checking`: what is there is read again. `retrying`: see `note`."""
    file: str = ""
    """The file of the moment."""
    done_bytes: int = 0
    """Of all files together."""
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    """Over the last 5 seconds; None where nothing moves yet."""
    eta_s: float | None = None
    """Seconds that are left at this speed."""
    note: str = ""
    """Why it is tried again, in words."""


OnProgress = Callable[[Progress], None]


class SpeedMeter:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, done_bytes: int) -> None:
        now = monotonic()
        self._seen.append((now, done_bytes))
        while len(self._seen) > 2 and now - self._seen[0][0] > SPEED_WINDOW_S:
            self._seen.popleft()

    def bytes_per_second(self) -> float | None:
        if len(self._seen) < 2:
            return None
        (begun, at_first), (ended, at_last) = self._seen[0], self._seen[-1]
        return (at_last - at_first) / (ended - begun) if ended > begun and at_last > at_first else None


class Reporter:
    """Tells how far a set of files is: each new stage at once, and then ten times a second at most."""

    def __init__(self, on_progress: OnProgress | None, total_bytes: int | None) -> None:
        self._on_progress = on_progress
        self.total_bytes = total_bytes
        self.finished_bytes = 0
        """Of the files before the one of the moment."""
        self._meter = SpeedMeter()
        self._told_at = 0.0
        self._last = ("", "", "")

    def tell(self, stage: Stage, file: str, file_bytes: int, note: str = "") -> None:
        """Args: file_bytes: how much of this file is there."""
        done = self.finished_bytes + file_bytes
        if stage == "downloading":
            self._meter.add(done)
        now = monotonic()
        if self._on_progress is None or (
            (stage, file, note) == self._last and now - self._told_at < REPORT_EVERY_S and done != self.total_bytes
        ):
            return
        self._told_at, self._last = now, (stage, file, note)
        speed = self._meter.bytes_per_second() if stage == "downloading" else None
        left = None if self.total_bytes is None else max(0, self.total_bytes - done)
        self._on_progress(
            Progress(
                stage=stage,
                file=file,
                done_bytes=done,
                total_bytes=self.total_bytes,
                bytes_per_second=speed,
                eta_s=left / speed if speed and left is not None else None,
                note=note,
            )
        )


class Throttle:
    """Keeps downloads together below a speed by waiting. Safe from several threads, each with a loop of its own."""

    def __init__(self, bytes_per_second: float | None = None) -> None:
        """Args: bytes_per_second: None for no limit."""
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0
        self._lock = threading.Lock()

    async def spend(self, count: int) -> None:
        """Waits until `count` bytes, which have come, were due."""
        if self._bytes_per_second is None:
            return
        with self._lock:
            now = monotonic()
            self._free_at = max(now, self._free_at) + count / self._bytes_per_second
            wait_s = self._free_at - now
        await asyncio.sleep(wait_s)
