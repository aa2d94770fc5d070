"""The gateway's own connection to a worker: bytes as they come, and every way in which they can stop coming."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from roci.errors import ConnectionLostError
from roci.server.worker_stream import ask_worker

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def with_worker(folder: Path, serving: Serving, asking: Callable[[Path], Awaitable[None]]) -> None:
    """Runs `asking` against a worker that does `serving` with each request's connection, then closes it."""
    path = folder / "w.sock"

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert await reader.readexactly(length) == b"{}"
            await serving(reader, writer)
        finally:
            writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(connected, path):
            await asking(path)

    asyncio.run(run())


def writes(*pieces: bytes) -> Serving:
    async def serving(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return serving


async def body_of(path: Path) -> bytes:
    async with ask_worker(path, "/x", b"{}") as reply:
        return b"".join([piece async for piece in reply])


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_the_body_comes_as_it_was_sent(tmp_path: Path):
    async def asking(path: Path) -> None:
        async with ask_worker(path, "/x", b"{}") as reply:
            assert (reply.status, reply.content_type) == (200, "text/event-stream")
            assert b"".join([piece async for piece in reply]) == b"one two"
            await reply.wait_until_let_go()

    with_worker(tmp_path, writes(HEAD, chunked(b"one "), chunked(b"two"), b"0\r\n\r\n"), asking)


def test_more_than_can_be_held_is_waited_for_and_not_lost(tmp_path: Path):
    pieces = [bytes([number]) * 100_000 for number in range(50)]

    async def asking(path: Path) -> None:
        assert await body_of(path) == b"".join(pieces)

    with_worker(tmp_path, writes(HEAD, *map(chunked, pieces), b"0\r\n\r\n"), asking)


@pytest.mark.parametrize(
    "sent",
    [b"", HEAD[:20], HEAD, HEAD + chunked(b"one"), HEAD + b"5\r\non", b"what is HTTP?\r\n\r\n", HEAD + b"zz\r\n"],
)
def test_a_reply_that_stops_early_or_is_none_raises(tmp_path: Path, sent: bytes):
    async def asking(path: Path) -> None:
        with pytest.raises(ConnectionLostError):
            await body_of(path)

    with_worker(tmp_path, writes(sent), asking)


def test_what_came_before_the_break_is_given_first(tmp_path: Path):
    async def asking(path: Path) -> None:
        got: list[bytes] = []
        with pytest.raises(ConnectionLostError):
            async with ask_worker(path, "/x", b"{}") as reply:
                async for piece in reply:
                    got.append(piece)  # noqa: PERF401 - what was read before the error counts
        assert b"".join(got) == b"one"

    with_worker(tmp_path, writes(HEAD + chunked(b"one")), asking)


def test_nobody_there_raises(tmp_path: Path):
    with pytest.raises(ConnectionLostError):
        asyncio.run(body_of(tmp_path / "nobody.sock"))


def test_leaving_the_block_closes_the_connection_at_once(tmp_path: Path):
    left = asyncio.Event()

    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await reader.read()
        left.set()

    async def asking(path: Path) -> None:
        async with ask_worker(path, "/x", b"{}"):
            pass
        await asyncio.wait_for(left.wait(), 60)

    with_worker(tmp_path, serving, asking)
    assert left.is_set()
