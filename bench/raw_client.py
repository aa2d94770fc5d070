"""One request over a plain socket: a client that costs the machine as little as it can."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import msgspec

REPLY_LIMIT_S = 60.0


def post(url: str, path: str, body: dict[str, Any]) -> bytes:
    """The whole reply, head and marks of its pieces included; the connection is closed behind it."""
    parts = urlsplit(url)
    data = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\nconnection: close\r\n\r\n"
    )
    received: list[bytes] = []
    with socket.create_connection((parts.hostname, parts.port), REPLY_LIMIT_S) as connection:
        connection.sendall(head.encode() + data)
        while piece := connection.recv(1 << 20):
            received.append(piece)
    reply = b"".join(received)
    if not reply.startswith(b"HTTP/1.1 200 "):
        raise AssertionError(f"{path} answered {reply[:500]!r}")
    return reply
