"""A server on a real port that says what a test tells it to, byte for byte: also what no good server would say.

    with canned_server({"POST /v1/chat/completions": Reply.json({...})}) as server:
        provider = LmStudioProvider("m", base_url=server.url)

Each connection has a thread; requests are kept in `server.requests`, and clients that left early in `server.left`.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """Sent as it is. `pieces` go one by one; a number among them is a pause in seconds, or the client's leaving."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes | float] = field(default_factory=list)
    chunked: bool = True
    """Frame the body in chunks, with a proper end; else the connection's end is the body's end."""
    cut: bool = False
    """Close the connection without the body's proper end."""

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        return cls(status, {"content-type": "application/json", **headers}, [json.dumps(value).encode()])

    @classmethod
    def text(cls, text: str, content_type: str = "text/html", status: int = 200) -> Reply:
        return cls(status, {"content-type": content_type}, [text.encode()])

    @classmethod
    def events(cls, *events: Any, done: bool = True, cut: bool = False) -> Reply:
        """A stream of `data:` events: dicts are chunks, numbers pauses, bytes are sent raw."""
        pieces: list[bytes | float] = [
            event if isinstance(event, (bytes, int, float)) else b"data: " + json.dumps(event).encode() + b"\n\n"
            for event in events
        ]
        if done:
            pieces.append(b"data: [DONE]\n\n")
        return cls(200, {"content-type": "text/event-stream"}, pieces, cut=cut)


Answer = Reply | Callable[[Request], Reply]


class CannedServer:
    def __init__(self, routes: Mapping[str, Answer]) -> None:
        self.routes = dict(routes)
        self.requests: list[Request] = []
        self.left = threading.Event()
        """Set when a client closes its connection before the reply's end."""
        self.asked = threading.Event()
        """Set by the first request."""
        self.connections = 0
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, name="canned-accept", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), name="canned-serve", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as reader:
            while not self._stop.is_set() and _is_readable(connection, self._stop):
                request = _read_request(reader)
                if request is None:
                    return
                self.requests.append(request)
                self.asked.set()
                answer = self.routes.get(f"{request.method} {request.path}", _NOT_FOUND)
                reply = answer if isinstance(answer, Reply) else answer(request)
                try:
                    if not self._send(connection, reply):
                        return
                except OSError:
                    self.left.set()
                    return

    def _send(self, connection: socket.socket, reply: Reply) -> bool:
        """True where the connection may be used again."""
        headers = dict(reply.headers)
        if reply.chunked:
            headers["transfer-encoding"] = "chunked"
        lines = [f"HTTP/1.1 {reply.status} Canned", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        for piece in reply.pieces:
            if isinstance(piece, bytes):
                framed = b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked else piece
                connection.sendall(framed)
            elif self._client_leaves_within(connection, piece):
                self.left.set()
                return False
        if reply.cut or not reply.chunked:
            return False
        connection.sendall(b"0\r\n\r\n")
        return True

    def _client_leaves_within(self, connection: socket.socket, seconds: float) -> bool:
        readable, _, _ = select.select([connection], [], [], seconds)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""


_NOT_FOUND = Reply.json({"error": {"message": "no such path", "type": "invalid_request_error"}}, 404)


def _is_readable(connection: socket.socket, stop: threading.Event) -> bool:
    while not stop.is_set():
        if select.select([connection], [], [], 0.05)[0]:
            return True
    return False


def _read_request(reader: Any) -> Request | None:
    try:
        first = reader.readline().decode("latin-1").split()
        if len(first) != 3:
            return None
        headers: dict[str, str] = {}
        while line := reader.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", 0)))
    except OSError:
        return None
    return Request(first[0], first[1], headers, body)


@contextmanager
def canned_server(routes: Mapping[str, Answer]) -> Iterator[CannedServer]:
    server = CannedServer(routes)
    try:
        yield server
    finally:
        server.close()


def chunk(text: str = "", finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a streamed chat answer, as LM Studio sends it."""
    delta: dict[str, Any] = {"role": "assistant", "content": text} if text else {}
    delta |= fields.pop("delta", {})
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        **fields,
    }


def completion(text: str = "Hello.", finish: str = "stop", **fields: Any) -> dict[str, Any]:
    """A plain chat answer, as LM Studio sends it."""
    message = {"role": "assistant", "content": text, "reasoning_content": "", "tool_calls": []}
    message |= fields.pop("message", {})
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        "stats": {},
        "system_fingerprint": "m",
        **fields,
    }
