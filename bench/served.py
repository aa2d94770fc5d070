"""A gateway as a process of its own: what it has used so far, and the Unix socket of the worker that it started."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.processes import ROOT, child_environment, cpu_s_of

READY_LINE = "roci serves on "
STOP_LIMIT_S = 30.0


class ServedGateway:
    """A gateway that answers."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._process = psutil.Process(pid)

    def cpu_s(self) -> float:
        """User and system time so far, of the gateway alone."""
        return cpu_s_of(self._process.pid)

    def resident_mb(self) -> float:
        """Of the gateway alone, without its worker."""
        return self._process.memory_info().rss / 2**20

    def worker_socket(self) -> Path:
        """Where the one loaded model's worker listens."""
        flag = "--socket="
        for child in self._process.children(recursive=True):
            for word in child.cmdline():
                if word.startswith(flag):
                    return Path(word.removeprefix(flag))
        raise RuntimeError("The gateway has no worker.")


@contextlib.contextmanager
def served_gateway(home: Path, **settings: int) -> Iterator[ServedGateway]:
    """`roci serve` on a free port until the block is left; settings by their names."""
    variables = {f"ROCI_{name.upper()}": str(value) for name, value in settings.items()}
    with served("roci", "serve", ROCI_PORT="0", ROCI_HOME=str(home), HOME=str(home / "user"), **variables) as gateway:
        yield gateway


@contextlib.contextmanager
def served(module: str, *arguments: str, **variables: str) -> Iterator[ServedGateway]:
    """`python -m module`, which says where it serves as `roci serve` does, until the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=child_environment(**variables),
    )
    assert process.stderr is not None
    try:
        url = _ready_url(process)
        # Nobody reads its log, and a full pipe would stop it.
        reader = threading.Thread(target=deque, args=(process.stderr, 0), daemon=True)
        reader.start()
        yield ServedGateway(url, process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(STOP_LIMIT_S)
        reader.join()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def _ready_url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        if line.startswith(READY_LINE):
            return line.removeprefix(READY_LINE).strip()
        said.append(line)
    raise RuntimeError("The gateway ended before it was ready:\n" + "".join(said))
