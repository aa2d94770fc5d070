"""A server that answers with fixed bytes at an exact pace. What it answers is said by those who run it.

Several tokens that are due leave in one write, so that a pace which nobody can hold still has an end.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_PIECE = b"0\r\n\r\n"
_WANTED: Final = re.compile(rb"tokens=(\d+) pace_us=(\d+)")


class Paced(Struct, kw_only=True):
    """A streamed answer: `begin` at once, so many of `tokens` in turn, then `end`."""

    count: int
    pace_us: int
    """Between two tokens; 0 sends all of them at once."""
    tokens: Sequence[bytes]
    end: bytes
    begin: bytes = HEAD
    closes: bool = False
    """Whether the connection ends with the answer."""


def wanted(tokens: int, pace_us: int) -> str:
    """The message that asks for this many tokens, this many microseconds apart."""
    return f"tokens={tokens} pace_us={pace_us}"


def asked(body: bytes) -> tuple[int, int]:
    """What `wanted` asked for, wherever in the request it stands."""
    found = _WANTED.search(body)
    if found is None:
        raise ValueError(f"The request does not say how many tokens it wants: {body[:200]!r}")
    return int(found[1]), int(found[2])


def piece(data: bytes) -> bytes:
    """A piece of a body that is sent in chunks."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Stream:
    """One answer under way."""

    def __init__(self, connection: socket.socket, answer: Paced) -> None:
        self.connection = connection
        self.due = time.monotonic() + answer.pace_us / 1e6
        self._answer = answer
        self._sent = 0

    def send_due(self, now: float) -> bool:
        """Send what is due; whether more is to come."""
        answer, pace_s = self._answer, self._answer.pace_us / 1e6
        ready = min(answer.count, self._sent + 1 + int((now - self.due) / pace_s)) if pace_s else answer.count
        pieces = [answer.tokens[index % len(answer.tokens)] for index in range(self._sent, ready)]
        self.due += pace_s * (ready - self._sent)
        self._sent = ready
        if ready == answer.count:
            pieces.append(answer.end)
        try:
            self.connection.sendall(b"".join(pieces))
            if ready == answer.count and answer.closes:
                self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            return False  # the client has left; reading its connection ends it
        return ready < answer.count


class PacedServer:
    """Serves whoever connects to `listener`; `answer` is called with a request's path and body."""

    def __init__(self, listener: socket.socket, answer: Callable[[str, bytes], bytes | Paced]) -> None:
        self._listener = listener
        self._answer_to = answer
        self._unread: dict[socket.socket, bytes] = {}
        self._queue: list[tuple[float, int, _Stream]] = []
        self._asked = 0

    def run(self) -> None:
        """Serve until standard input is closed."""
        stdin = sys.stdin.buffer
        while True:
            timeout = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
            # Its time-out counts microseconds; epoll's, and so asyncio's, counts milliseconds.
            readable, _, _ = select.select([stdin, self._listener, *self._unread], [], [], timeout)
            self._send_due()
            for source in readable:
                if source is stdin:
                    return
                if source is self._listener:
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
        connection, _ = self._listener.accept()
        if connection.family != socket.AF_UNIX:
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
        answer = self._answer_to(head.split(b" ", 2)[1].decode(), body)
        if isinstance(answer, bytes):
            connection.sendall(answer)
            return
        connection.sendall(answer.begin)
        stream = _Stream(connection, answer)
        self._asked += 1
        heapq.heappush(self._queue, (stream.due, self._asked, stream))
