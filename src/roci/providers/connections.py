"""Transports to one server: one for sync calls, one for each event loop that makes async calls.

A provider that a program makes owns its connections and closes them. Selector strings share one set for each
(address, token), which lasts as long as the program. An event loop's transport is closed when the loop shuts down its
async generators, as `asyncio.run` does at its end.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.wire.openai.reasoning import Dialect

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Connections:
    """The transports to `base_url`, made when first asked for."""

    def __init__(self, base_url: str, *, uds: str | None = None) -> None:
        self._sync: SyncTransport | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.base_url = base_url
        self._uds = uds
        self._by_loop: dict[AbstractEventLoop, tuple[AsyncTransport, AsyncGenerator[None, None]]] = {}
        self.dialect: Dialect | None = None
        """How the server wants to be asked, once that is known."""
        self.vector_sizes: dict[tuple[str, int | None], int] = {}
        """(model, dimensions asked for) -> numbers in a vector, as the server sent them the first time."""

    def sync(self) -> SyncTransport:
        self._forget_what_is_not_ours()
        with self._lock:
            if self._sync is None or self._sync.is_closed:
                # llama.cpp's server closes a connection behind each stream without a word: a worker's are used once.
                self._sync = SyncTransport(self.base_url, uds=self._uds, keep_alive=self._uds is None)
            return self._sync

    async def of_this_loop(self) -> AsyncTransport:
        from asyncio import get_running_loop  # slow to import; whoever gets here has it

        self._forget_what_is_not_ours()
        loop = get_running_loop()
        kept = self._by_loop.get(loop)
        if kept is None:
            transport = AsyncTransport(self.base_url, uds=self._uds, keep_alive=self._uds is None)
            keeper = self._keep(loop, transport)
            await anext(keeper)  # the first step registers it with the loop, which closes it at its end
            kept = self._by_loop[loop] = (transport, keeper)
        return kept[0]

    def close(self) -> None:
        """Close the sync transport."""
        if self._sync is not None:
            self._sync.close()

    async def aclose(self) -> None:
        """Close the sync transport and the running loop's."""
        from asyncio import get_running_loop

        self.close()
        kept = self._by_loop.get(get_running_loop())
        if kept is not None:
            await kept[1].aclose()

    def __del__(self) -> None:
        # A provider that is dropped without `close()` keeps no sockets; its loops close theirs.
        if self._sync is not None and self._pid == os.getpid():
            self._sync.close()

    async def _keep(self, loop: AbstractEventLoop, transport: AsyncTransport) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            await transport.aclose()

    def _forget_what_is_not_ours(self) -> None:
        # After a fork the sockets belong to the parent; using them here would mix two programs' bytes.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()
            self._sync = None
            self._by_loop = {}
        if any(loop.is_closed() for loop in self._by_loop):
            self._by_loop = {loop: kept for loop, kept in self._by_loop.items() if not loop.is_closed()}


_shared: dict[tuple[str, str | None], Connections] = {}


def shared(base_url: str, token: str | None) -> Connections:
    """The connections that all selector strings with this address and token have in common."""
    found = _shared.get((base_url, token))
    if found is None:
        found = _shared[base_url, token] = Connections(base_url)
    return found


@atexit.register
def _close_shared() -> None:
    for connections in _shared.values():
        connections.close()
