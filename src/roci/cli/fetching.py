"""Fetching in sight of the user: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from roci.cli import output
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.fetching import fetch
from roci.engine.hub.planning import Plan
from roci.engine.hub.progress import OnProgress, Progress, Throttle
from roci.engine.hub.web import Web
from roci.engine.starter import StarterProgress, fetch_starter
from roci.engine.starter_model import STARTER_KEY

LINE_EVERY_S: Final = 5.0
WIDE_COLUMNS: Final = 60
_WORDS: Final = {
    "waiting": "Waiting for another program that is fetching it",
    "checking": "Checking what is there already",
    "downloading": "Downloading",
    "retrying": "Waiting to try again",
    "unpacking": "Unpacking and checking",
    "done": "Done",
}


def fetch_with_progress(home: Path) -> Path:
    """Fetch the starter model into `home` unless it is there; gives its path.

    Raises:
        StarterModelError: it could not be had.
    """
    output.note(f"Fetching {STARTER_KEY} to {home}")
    with shown_progress() as show:
        return fetch_starter(home, lambda progress: show(_of_starter(progress)))


def download_with_progress(plan: Plan, hub: Hub, megabytes_per_second: float | None) -> Path:
    """Bring the files of `plan`; gives the path that the model is opened by. Raises as `fetch`."""
    output.note(output.printable(f"Fetching {plan.title} to {plan.path.parent}"))
    with shown_progress() as show:
        return asyncio.run(_fetched(plan, hub, megabytes_per_second, show))


async def _fetched(plan: Plan, hub: Hub, megabytes_per_second: float | None, show: OnProgress) -> Path:
    throttle = Throttle(None if megabytes_per_second is None else megabytes_per_second * 10**6)
    async with Web() as web:
        return await fetch(plan, web, hub, show, throttle=throttle)


def _of_starter(progress: StarterProgress) -> Progress:
    return Progress(
        stage=progress.stage,
        file=STARTER_KEY,
        done_bytes=progress.done_bytes,
        total_bytes=progress.total_bytes,
    )


@contextmanager
def shown_progress() -> Iterator[Callable[[Progress], None]]:
    if not output.is_terminal(sys.stderr):
        yield _Lines()
        return
    from rich.progress import BarColumn, DownloadColumn, Progress as Bar, ProgressColumn, TextColumn

    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(bar_width=None)]
    if output.columns(sys.stderr) >= WIDE_COLUMNS:
        columns += [DownloadColumn(), TextColumn("{task.fields[speed]}")]
    with Bar(*columns, console=output.console(sys.stderr), transient=True) as bar:
        task = bar.add_task(_WORDS["downloading"], total=None, speed="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                description=output.printable(progress.note) or _WORDS[progress.stage],
                completed=progress.done_bytes,
                total=progress.total_bytes,
                speed=_speed(progress),
            )

        yield show


class _Lines:
    """A line for each stage, and one every few seconds within it."""

    def __init__(self) -> None:
        self._stage = ("", "")
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        stage = (progress.stage, progress.note)
        if progress.stage == "done" or (stage == self._stage and time.monotonic() - self._told_at < LINE_EVERY_S):
            return
        self._stage, self._told_at = stage, time.monotonic()
        if progress.note:
            output.note(output.printable(f"{progress.note}."))
            return
        size = ""
        if progress.done_bytes and progress.total_bytes:
            size = f": {output.size(progress.done_bytes)} of {output.size(progress.total_bytes)}"
        speed = _speed(progress)
        output.note(f"{_WORDS[progress.stage]}{size}{f', {speed}' if speed else ''}")


def _speed(progress: Progress) -> str:
    if not progress.bytes_per_second:
        return ""
    left = "" if progress.eta_s is None else f", {_duration(progress.eta_s)} left"
    return f"{progress.bytes_per_second / 10**6:.1f} MB/s{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
