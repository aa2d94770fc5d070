"""Fetching the starter model in sight of the user: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from roci.cli import output
from roci.engine.starter import StarterProgress, fetch_starter
from roci.engine.starter_model import STARTER_KEY

LINE_EVERY_S: Final = 5.0
_WORDS: Final = {
    "waiting": "Waiting for another program that is fetching it",
    "downloading": "Downloading",
    "unpacking": "Unpacking and checking",
    "done": "Done",
}


def fetch_with_progress(home: Path) -> Path:
    """Fetch the starter model into `home` unless it is there; gives its path.

    Raises:
        StarterModelError: it could not be had.
    """
    output.note(f"Fetching {STARTER_KEY} to {home}")
    return _with_bar(home) if output.is_terminal(sys.stderr) else fetch_starter(home, _Lines())


def _with_bar(home: Path) -> Path:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = [TextColumn("{task.description}"), BarColumn(bar_width=None)]
    if output.columns(sys.stderr) >= 60:
        columns.append(DownloadColumn())
    with Progress(*columns, console=output.console(sys.stderr), transient=True) as bar:
        task = bar.add_task(_WORDS["downloading"], total=None)

        def show(progress: StarterProgress) -> None:
            bar.update(
                task,
                description=_WORDS[progress.stage],
                completed=progress.done_bytes,
                total=progress.total_bytes,
            )

        return fetch_starter(home, show)


class _Lines:
    """A line for each stage, and one every few seconds within it."""

    def __init__(self) -> None:
        self._stage = ""
        self._told_at = 0.0

    def __call__(self, progress: StarterProgress) -> None:
        if progress.stage == "done" or (
            progress.stage == self._stage and time.monotonic() - self._told_at < LINE_EVERY_S
        ):
            return
        self._stage, self._told_at = progress.stage, time.monotonic()
        size = ""
        if progress.done_bytes and progress.total_bytes:
            size = f": {output.size(progress.done_bytes)} of {output.size(progress.total_bytes)}"
        output.note(f"{_WORDS[progress.stage]}{size}")
