"""What an MCP server of this machine said last on its standard error, for the gateway's log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TextIO

_LIMIT_BYTES: Final = 2000


class LastWords(asyncio.Protocol):
    """Reads all and keeps the end."""

    def __init__(self) -> None:
        self._kept = b""

    @property
    def text(self) -> str:
        """The last lines, as one."""
        lines = self._kept.decode(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-5:] if line.strip())

    def data_received(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-_LIMIT_BYTES:]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[TextIO]:
        """What a child process may write to, until the end of the block."""
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as file:
            # The transport closes the end that it reads from, and must be the only one to do so: the loop looks at the
            # descriptor until then, and ends the process where it has become another's.
            end = os.fdopen(reading, "rb", buffering=0)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, end)
            try:
                yield file
            finally:
                transport.close()
