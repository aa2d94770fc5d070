"""Work on bytes that is quick for most, and would stop everybody's streams for a few."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Decoding takes about a millisecond a megabyte; a hop to a thread takes a tenth of one.
_SMALL_BYTES: Final = 256 * 1024


async def off_loop(size_bytes: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns; done in a thread where it has more than 256 KiB to look at."""
    if size_bytes <= _SMALL_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
