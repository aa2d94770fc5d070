"""The MCP servers in use: those of one request, and those of `mcp.json`, which requests share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from roci.server.mcp.connection import Connection
from roci.server.mcp.spec import WantedServer

IDLE_S: Final = 300.0
CLOSE_S: Final = 8.0
"""More than a program is given to end before it is killed."""


class _Shared:
    """A connection that several requests may use at once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.users = 0
        self.idle: asyncio.TimerHandle | None = None


class McpServers:
    """Owner of all connections.

    Args:
        idle_s: seconds after its last use that a shared server is ended.
    """

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._shared: dict[str, _Shared] = {}
        self._owners: set[asyncio.Task[None]] = set()

    @contextmanager
    def using(self, wanted: WantedServer) -> Iterator[Connection]:
        """A connection for the time of the block; its server need not have started yet."""
        if not wanted.is_shared:
            connection = self._started(wanted)
            try:
                yield connection
            finally:
                connection.close()
            return
        shared = self._shared_of(wanted)
        shared.users += 1
        if shared.idle is not None:
            shared.idle.cancel()
            shared.idle = None
        try:
            yield shared.connection
        finally:
            shared.users -= 1
            if not shared.users:
                self._rest(shared)

    async def aclose(self) -> None:
        """Ends all servers; those that do not end within eight seconds are given up."""
        for shared in self._shared.values():
            if shared.idle is not None:
                shared.idle.cancel()
            shared.connection.close()
        self._shared.clear()
        if self._owners:
            _, slow = await asyncio.wait(self._owners, timeout=CLOSE_S)
            for owner in slow:
                owner.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    def _shared_of(self, wanted: WantedServer) -> _Shared:
        label = wanted.spec.label
        found = self._shared.get(label)
        if found is not None and not found.connection.is_over and found.connection.spec == wanted.spec:
            return found
        made = self._shared[label] = _Shared(self._started(wanted))
        if found is not None and not found.users:
            found.connection.close()
        return made

    def _rest(self, shared: _Shared) -> None:
        """Nobody uses it now."""
        if self._shared.get(shared.connection.spec.label) is not shared:
            shared.connection.close()  # another has taken its place
            return
        shared.idle = asyncio.get_running_loop().call_later(self._idle_s, shared.connection.close)

    def _started(self, wanted: WantedServer) -> Connection:
        connection = Connection(wanted.spec, "plugin_connection_error" if wanted.is_shared else "mcp_connection_error")
        self._owners.add(connection.owner)
        connection.owner.add_done_callback(self._ended)
        return connection

    def _ended(self, owner: asyncio.Task[None]) -> None:
        self._owners.discard(owner)
        if not owner.cancelled():
            owner.exception()  # told to whoever used it; a task whose error nobody looks at would be logged
