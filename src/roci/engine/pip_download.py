"""One wheel through `pip download`, with progress, and with nothing left running."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

PIP_DOWNLOAD: Final = (
    *(sys.executable, "-P", "-m", "pip", "download"),
    *("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"),
)
LOG_TAIL_LINES: Final = 20
END_WAIT_S: Final = 5.0
STOP_POLL_S: Final = 0.2
# Source: pip's `--progress-bar=raw`, since pip 24.1.
PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")


class PipFailedError(Exception):
    """pip ended without the wheel."""

    def __init__(self, reason: str, log_tail: tuple[str, ...], hint: str) -> None:
        super().__init__(reason)
        self.log_tail = log_tail
        self.hint = hint


def download(
    requirement: str,
    folder: Path,
    on_bytes: Callable[[int, int | None], None],
    stop: threading.Event | None = None,
) -> Path:
    """Downloads the wheel that meets `requirement` exactly, without its dependencies, into the empty `folder`.

    pip's own settings hold: its configuration, and the environment that is passed on.

    Args:
        on_bytes: called with the bytes that are there and the bytes there will be.
        stop: once it is set, pip is ended, which counts as a failure.

    Raises:
        PipFailedError: with pip's last lines.
    """
    code, lines = _run(requirement, folder, "raw", on_bytes, stop)
    if code == 2 and any("--progress-bar" in line for line in lines):
        # A pip before 24.1 has no such bar.
        code, lines = _run(requirement, folder, "off", on_bytes, stop)
    if code != 0:
        raise PipFailedError(_reason(code, lines), lines, _hint(lines))
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise PipFailedError("it brought no wheel", lines, "Look at what pip says in .log_tail of this error.")
    return wheels[0]


def _run(
    requirement: str,
    folder: Path,
    bar: str,
    on_bytes: Callable[[int, int | None], None],
    stop: threading.Event | None,
) -> tuple[int, tuple[str, ...]]:
    lines: deque[str] = deque(maxlen=LOG_TAIL_LINES)
    temporary = folder / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    process = subprocess.Popen(
        [*PIP_DOWNLOAD, f"--progress-bar={bar}", f"--dest={folder}", requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # pip's own temporary files end up in a folder that is removed in any case.
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
        # Ctrl-C is for us; what becomes of pip is decided below.
        start_new_session=True,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    with process.stdout, _ended_by(stop, process):
        try:
            for line in process.stdout:
                progress = PROGRESS.match(line)
                if progress:
                    on_bytes(int(progress[1]), int(progress[2]) or None)
                elif line.strip():
                    lines.append(line.rstrip())
            return process.wait(), tuple(lines)
        finally:
            _end(process)


@contextlib.contextmanager
def _ended_by(stop: threading.Event | None, process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends pip, whose next line may be long in coming, as soon as `stop` is set."""
    if stop is None:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            if stop.wait(STOP_POLL_S):
                _end(process)
                return

    watcher = threading.Thread(target=watch, name="pip's watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def _end(process: subprocess.Popen[str]) -> None:
    """Nothing for a pip that has ended; else it gets a moment to tidy up."""
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_WAIT_S)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reason(code: int, lines: tuple[str, ...]) -> str:
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or list(lines) or [f"it ended with status {code}"])[-1].rstrip(".")


def _hint(lines: tuple[str, ...]) -> str:
    log = "\n".join(lines)
    if "No module named pip" in log:
        return "This Python has no pip: run `python -m ensurepip`, or install pip."
    if "No matching distribution" in log or "Could not find a version" in log:
        return "Check that pip can reach its package index, and which one that is: python -m pip config list."
    return "Check the network and pip's settings: python -m pip config list."
