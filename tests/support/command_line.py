"""`roci` as its users run it: a process with a clean environment, through pipes or on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.canned_server import Answer, Reply

PATIENCE_S = 60.0
PRESS_AGAIN_S = 3.0
ROCI = (sys.executable, "-m", "roci")
# Takes standard input as its controlling terminal, so that Ctrl-C written to the other end is a signal.
ON_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, '-m', 'roci', *sys.argv[1:]])"
CTRL_C, CTRL_D = b"\x03", b"\x04"


@dataclass
class Finished:
    status: int
    out: str
    err: str


class CommandLine:
    """Runs `roci` with `environment`, and nothing else of ours, in the folder `home`."""

    def __init__(self, home: Path, base_url: str, **environment: str) -> None:
        self.folder = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ROCI_HOME": str(home / "roci"),
            "LMSTUDIO_BASE_URL": base_url,
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            **environment,
        }

    def but(self, **environment: str) -> CommandLine:
        """Another with these variables set too."""
        other = CommandLine(self.folder, "")
        other.environment = self.environment | environment
        return other

    def run(self, *arguments: str, stdin: bytes = b"") -> Finished:
        done = subprocess.run(
            [*ROCI, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=self.folder,
            timeout=PATIENCE_S,
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextlib.contextmanager
    def started(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The running process; killed at the end if it still runs."""
        process = subprocess.Popen(
            [*ROCI, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            env=self.environment,
            cwd=self.folder,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def on_terminal(self, *arguments: str) -> Iterator[Terminal]:
        """The process on a terminal of its own; killed at the end if it still runs."""
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb+", buffering=0) as screen:
            process = subprocess.Popen(
                [sys.executable, "-c", ON_TERMINAL, *arguments],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=self.environment,
                cwd=self.folder,
            )
            os.close(theirs)
            with process:
                try:
                    yield Terminal(process, screen.fileno())
                finally:
                    process.kill()


class Terminal:
    """The user's side of a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self._unread = b""
        self.shown = b""
        """All that was ever on the screen, with its control sequences."""

    def type(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def expect(self, words: str) -> str:
        """Waits until `words` appear; gives what came up to them, and what comes later is for the next call."""
        wanted = words.encode()
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self._unread:
            if not self._read(deadline):
                raise AssertionError(f"{words!r} did not come; there was {self._unread!r}")
        before, _, self._unread = self._unread.partition(wanted)
        return (before + wanted).decode()

    def press_until(self, keys: bytes, words: str) -> None:
        """Types `keys` again and again, as people do, until `words` appear.

        Python's line editing does not notice a signal that comes while it draws a key, until the next one.
        """
        wanted = words.encode()
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self._unread and time.monotonic() < deadline:
            self.type(keys)
            again = time.monotonic() + PRESS_AGAIN_S
            while wanted not in self._unread and self._read(again):
                pass
        self.expect(words)

    def finish(self) -> int:
        """Waits for the process's end; gives its exit status."""
        while self._read(time.monotonic() + PATIENCE_S):
            pass
        return self.process.wait(PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._screen], [], [], left)[0]:
            return False
        try:
            piece = os.read(self._screen, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            return False
        self._unread += piece
        self.shown += piece
        return bool(piece)


def read_until(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    """What standard output gives up to and with `words`."""
    assert process.stdout is not None
    seen = b""
    while words not in seen:
        assert select.select([process.stdout], [], [], PATIENCE_S)[0], seen
        piece = process.stdout.read(65536)
        assert piece, seen
        seen += piece
    return seen


def interrupt(process: subprocess.Popen[bytes]) -> int:
    """Ctrl-C; gives the exit status."""
    process.send_signal(signal.SIGINT)
    return process.wait(PATIENCE_S)


@contextlib.contextmanager
def refused_url() -> Iterator[str]:
    """An address that nobody else can have and that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def lmstudio_routes(chat: Answer | None = None, loaded: Sequence[str] = ("m",), **more: Any) -> dict[str, Answer]:
    """What an LM Studio server with the models `m` and `other` answers."""
    models = [
        {
            "type": "llm",
            "key": key,
            "quantization": {"name": "Q4_K_M"},
            "size_bytes": 2_500_000_000,
            "max_context_length": 40960,
            "loaded_instances": [{"id": key, "config": {"context_length": 4096}}] if key in loaded else [],
        }
        for key in ("m", "other")
    ]
    return {
        "GET /lmstudio-greeting": Reply.json({"lmstudio": True}),
        "GET /health": Reply.json({"error": "Unexpected endpoint or method. (GET /health)"}),
        "GET /api/v1/models": Reply.json({"models": models}),
        **({"POST /v1/chat/completions": chat} if chat else {}),
        **more,
    }
