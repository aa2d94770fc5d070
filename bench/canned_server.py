"""A server that answers chats with fixed bytes at an exact pace, in a process of its own so that it costs no client.

The last message says what is wanted: `tokens=400 pace_us=500` (see `wanted`). A request with `"stream": true` gets
that many chunks that far apart; any other gets a short plain reply at once. Several tokens that are due leave in one
write, so that a pace which nobody can hold still has an end.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.processes import ROOT, child_environment, pin_to

TEXT = "The sky is blue because air scatters short waves of light more than long ones"
MODEL = "bench-model"


def wanted(tokens: int, pace_us: int) -> str:
    """The message that asks for this many tokens, this many microseconds apart."""
    return f"tokens={tokens} pace_us={pace_us}"


@contextlib.contextmanager
def canned_server() -> Iterator[str]:
    """The base URL of a server that runs until the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.canned_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=child_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def _event(fields: dict[str, object]) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    event = b"data: " + json.dumps(head | {"system_fingerprint": MODEL} | fields).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def _choice(delta: dict[str, str], reason: str | None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}


_USAGE = {"prompt_tokens": 5, "completion_tokens": 15, "total_tokens": 20}
_TOKENS = [_event(_choice({"role": "assistant", "content": f" {word}"}, None)) for word in TEXT.split()]
_END = _event(_choice({}, "stop")) + _event({"choices": [], "usage": _USAGE}) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _plain() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    body = json.dumps(head | {"choices": [choice], "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class _Stream:
    """One answer under way."""

    def __init__(self, connection: socket.socket, tokens: int, pace_s: float) -> None:
        self.connection = connection
        self.sent = 0
        self.due = time.monotonic() + pace_s
        self._tokens = tokens
        self._pace_s = pace_s

    def send_due(self, now: float) -> bool:
        """Send what is due; whether more is to come."""
        ready = (
            self._tokens
            if not self._pace_s
            else min(self._tokens, self.sent + 1 + int((now - self.due) / self._pace_s))
        )
        pieces = [_TOKENS[index % len(_TOKENS)] for index in range(self.sent, ready)]
        self.due += self._pace_s * (ready - self.sent)
        self.sent = ready
        if ready == self._tokens:
            pieces.append(_END)
        try:
            self.connection.sendall(b"".join(pieces))
        except OSError:
            return False  # the client has left; reading its connection ends it
        return ready < self._tokens


class _Server:
    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._plain = _plain()
        self._unread: dict[socket.socket, bytes] = {}
        self._queue: list[tuple[float, int, _Stream]] = []
        self._asked = 0

    def run(self) -> None:
        """Serve until standard input is closed."""
        stdin = sys.stdin.buffer
        while True:
            timeout = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
            # Its time-out counts microseconds; epoll's, and so asyncio's, counts milliseconds.
            readable, _, _ = select.select([stdin, self.listener, *self._unread], [], [], timeout)
            self._send_due()
            for source in readable:
                if source is stdin:
                    return
                if source is self.listener:
                    self._accept()
                elif isinstance(source, socket.socket):
                    self._read(source)

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._queue and self._queue[0][0] <= now:
            _, number, stream = heapq.heappop(self._queue)
            if stream.send_due(now):
                heapq.heappush(self._queue, (stream.due, number, stream))

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Room for a whole answer, so that a slow reader holds nobody else up.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._unread[connection] = b""

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            del self._unread[connection]
            connection.close()
            return
        data = self._unread[connection] + data
        head, blank, body = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if not blank or len(body) < size:
            self._unread[connection] = data
            return
        self._unread[connection] = b""
        self._answer(connection, body)

    def _answer(self, connection: socket.socket, body: bytes) -> None:
        request = json.loads(body)
        if not request.get("stream"):
            connection.sendall(self._plain)
            return
        text = request["messages"][-1]["content"]
        numbers = dict(word.split("=") for word in text.split())
        connection.sendall(_HEAD)
        stream = _Stream(connection, int(numbers["tokens"]), int(numbers["pace_us"]) / 1e6)
        self._asked += 1
        heapq.heappush(self._queue, (stream.due, self._asked, stream))


def main() -> None:
    pin_to("server")
    server = _Server()
    os.write(1, b"%d\n" % server.listener.getsockname()[1])
    server.run()


if __name__ == "__main__":
    main()
