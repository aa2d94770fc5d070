"""Replies of any size, read as they come."""

from __future__ import annotations

import asyncio

import pytest

from roci.errors import ConnectionLostError, TimedOutError
from roci.exchange.exchange import HttpRequest
from roci.exchange.transports import AsyncTransport
from roci.types.settings import Timeouts
from tests.support.canned_server import CannedServer, Reply, canned_server
from tests.support.command_line import PATIENCE_S

SHORT = Timeouts(first_token_s=0.3, gap_s=0.3)


def fetched(server: CannedServer, timeouts: Timeouts | None = None) -> tuple[int, str | None, bytes]:
    """Status, location and body of a reply."""

    async def read() -> tuple[int, str | None, bytes]:
        transport = AsyncTransport(server.url)
        try:
            async with await transport.fetch(HttpRequest(path="/f", timeouts=timeouts or Timeouts())) as reply:
                body = b"".join([piece async for piece in reply])
                return reply.status, reply.headers.get("Location"), body
        finally:
            await transport.aclose()

    return asyncio.run(read())


def test_a_body_of_any_kind_is_given_as_it_comes() -> None:
    with canned_server({"GET /f": Reply(200, {"content-type": "application/x"}, [b"one", b"two"])}) as server:
        assert fetched(server) == (200, None, b"onetwo")


def test_a_redirect_is_given_and_not_followed() -> None:
    with canned_server({"GET /f": Reply(302, {"location": "/g"}, [])}) as server:
        assert fetched(server) == (302, "/g", b"")
        assert len(server.requests) == 1


def test_a_body_that_stands_still_times_out() -> None:
    with canned_server({"GET /f": Reply(200, {}, [b"one", 600.0])}) as server:
        with pytest.raises(TimedOutError) as caught:
            fetched(server, SHORT)
    assert caught.value.phase == "gap"


def test_a_body_that_breaks_off_is_lost() -> None:
    with canned_server({"GET /f": Reply(200, {}, [b"one"], cut=True)}) as server:
        with pytest.raises(ConnectionLostError):
            fetched(server)


def test_leaving_it_closes_the_connection() -> None:
    async def leave(server: CannedServer) -> None:
        transport = AsyncTransport(server.url)
        async with await transport.fetch(HttpRequest(path="/f")) as reply:
            assert reply.status == 200
        assert await asyncio.to_thread(server.left.wait, PATIENCE_S)
        await transport.aclose()

    with canned_server({"GET /f": Reply(200, {}, [b"one", 600.0])}) as server:
        asyncio.run(leave(server))
