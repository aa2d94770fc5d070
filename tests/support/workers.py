"""Starting fake workers, asking workers over their sockets, and waiting for what their logs say."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
PATIENCE_S = 60.0


def chat_body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "any", "stream": True, "messages": [{"role": "user", "content": text}], **more}


@contextlib.contextmanager
def open_reply(
    socket_path: Path, method: str, path: str, body: dict[str, Any] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """The reply to one request on a connection of its own; leaving the block closes the connection."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(connection):
        connection.sock.settimeout(PATIENCE_S)
        connection.sock.connect(str(socket_path))
        connection.request(method, path, None if body is None else json.dumps(body))
        with connection.getresponse() as reply:
            yield reply


def ask_chat(socket_path: Path, text: str, **more: Any) -> tuple[int, str]:
    """Status and whole body of a chat."""
    with open_reply(socket_path, "POST", "/v1/chat/completions", chat_body(text, **more)) as reply:
        return reply.status, reply.read().decode()


def chunks_of(body: str) -> list[dict[str, Any]]:
    """The JSON frames of a stream's body, without `[DONE]` and comments."""
    frames = [frame.removeprefix("data: ") for frame in body.split("\n\n") if frame.startswith("data: ")]
    return [json.loads(frame) for frame in frames if frame != "[DONE]"]


def text_of(body: str) -> str:
    deltas = [choice["delta"] for chunk in chunks_of(body) for choice in chunk.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


def fake_log(model: Path) -> list[dict[str, Any]]:
    """What a fake worker for the file `model` noted so far."""
    log = model.with_name(f"{model.name}.log")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_until(happened: Callable[[], Any], what: str = "it") -> Any:
    """The first true value of `happened()`; fails after a minute."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = happened()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {PATIENCE_S} s")


def wait_for_event(model: Path, **wanted: Any) -> dict[str, Any]:
    """Waits for a fake worker's note with these values, `event="end", how="client left"` for instance."""
    return wait_until(
        lambda: next((note for note in fake_log(model) if wanted.items() <= note.items()), None), f"{wanted}"
    )


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody collected has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
