"""Work for a client, given up when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from litestar.types import Receive


async def until_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work` to its end, or cancels it as soon as the client is gone; says whether it came to its end.

    The framework cancels nothing by itself while a request waits for its reply. The request's body must have been
    read to its end, or what comes next from `receive` would be a piece of it.
    """
    task = asyncio.current_task()
    assert task is not None
    is_gone = False

    async def cancel_when_gone() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        task.cancel()

    # The work has no task of its own, which would be a turn of the loop on the way to each first token.
    watching = asyncio.create_task(cancel_when_gone(), name="wait for the client to leave")
    try:
        await work
    except asyncio.CancelledError:
        if not is_gone or task.cancelling() > 1:
            raise  # somebody else wants this request to end
    finally:
        watching.cancel()
        if is_gone:
            task.uncancel()
    return not is_gone
