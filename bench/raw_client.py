"""One request over a plain connection: clients that cost the machine as little as they can."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

REPLY_LIMIT_S = 60.0


def post(url: str, path: str, body: dict[str, Any]) -> bytes:
    """The whole reply, head and marks of its pieces included; the connection is closed behind it."""
    parts = urlsplit(url)
    received: list[bytes] = []
    with socket.create_connection((parts.hostname, parts.port), REPLY_LIMIT_S) as connection:
        connection.sendall(_request(path, body))
        while piece := connection.recv(1 << 20):
            received.append(piece)
    reply = b"".join(received)
    _check(reply, path)
    return reply


async def pieces(address: str | Path, path: str, body: dict[str, Any]) -> AsyncIterator[bytes]:
    """The same as it comes, from a server's URL or from its Unix socket."""
    async with asyncio.timeout(REPLY_LIMIT_S):
        if isinstance(address, Path):
            reader, writer = await asyncio.open_unix_connection(address)
        else:
            parts = urlsplit(address)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(_request(path, body))
            is_first = True
            while piece := await reader.read(1 << 20):
                if is_first:
                    _check(piece, path)
                    is_first = False
                yield piece
        finally:
            writer.close()


def _request(path: str, body: dict[str, Any]) -> bytes:
    data = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + data


def _check(reply: bytes, path: str) -> None:
    if not reply.startswith(b"HTTP/1.1 200 "):
        raise AssertionError(f"{path} answered {reply[:500]!r}")
