"""A call as a value: requests that a generator yields, and the replies it is sent. Nothing here touches a network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from roci.errors import RociError
from roci.types.settings import Timeouts

T = TypeVar("T")
Event = TypeVar("Event")


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, relative to the server that a transport is bound to."""

    path: str
    """From the server's base address on, with its leading slash."""
    method: str = "GET"
    body: bytes | None = None
    """JSON where there is one."""
    headers: Mapping[str, str] = {}
    timeouts: Timeouts = Timeouts()
    stream: bool = False
    """Leave the reply's body on the wire if it is a success, for a decoder to read as it comes."""
    wait_s: float = 0.0
    """How long to wait before it is sent; the transport's closing ends the wait."""
    since: float | None = None
    """When the call began that this request goes on with, on the monotonic clock: its time-outs count from there.
    None: it is the call's first."""


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """One reply. The body of a streamed success is empty here: it is still to come."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """The media type, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


Exchange: TypeAlias = Generator[HttpRequest, HttpReply, T]
"""Yields requests, is sent each one's reply, returns the answer or raises a `RociError`."""


def altered(exchange: Exchange[T], change: Callable[[HttpRequest], HttpRequest]) -> Exchange[T]:
    """`exchange` with each of its requests as `change` makes it."""
    with closing(exchange):
        try:
            request = next(exchange)
            while True:
                try:
                    reply = yield change(request)
                except RociError as failure:
                    request = exchange.throw(failure)
                else:
                    request = exchange.send(reply)
        except StopIteration as finished:
            return finished.value


class StreamDecoder(Protocol[Event]):
    """Turns a stream's bytes into events, however the bytes are cut."""

    failure: RociError | None
    """Why nothing more will come, where the stream itself says so; what came before it stays good."""
    is_done: bool
    """The stream's terminal mark has been read."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        ...

    def close(self) -> list[Event]:
        """The events that the end of the body completes; sets `failure` where the stream ended too early."""
        ...
