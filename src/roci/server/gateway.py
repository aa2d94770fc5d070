"""What the routes share: settings, the models on disk, the models in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from roci.engine.library import LocalModel
from roci.engine.worker_process import WorkerOptions
from roci.server.catalog import Catalog, CatalogEntry
from roci.server.pool.events import Limits
from roci.server.pool.pool import ModelPool
from roci.server.settings import ServerSettings

_NAMES_LIMIT: Final = 1000


class Gateway:
    """One gateway's parts, made once and closed once."""

    def __init__(self, settings: ServerSettings, home: Path, worker_command: Sequence[str] | None = None) -> None:
        self.settings = settings
        self.pool = ModelPool(
            Limits(max_loaded=settings.max_loaded, queue_limit=settings.queue_limit),
            WorkerOptions(
                context_length=settings.context_length,
                parallel=settings.parallel,
                threads=settings.threads,
                n_batch=settings.n_batch,
                n_gpu_layers=settings.n_gpu_layers,
            ),
            worker_command,
        )
        self._catalog = Catalog(home)
        self._by_name: dict[str, LocalModel] = {}

    async def find(self, name: str) -> LocalModel:
        """The chat model called `name`; without a look at the disk if it is loaded.

        Raises:
            ModelNotFoundError: with the nearest names.
            LoadFailedError: its file cannot be used.
            BadRequestError: it cannot chat.
        """
        known = self._by_name.get(name)
        if known is not None and self.pool.loaded(known.key) is not None:
            return known
        model = (await asyncio.to_thread(self._catalog.find, name)).model
        if len(self._by_name) >= _NAMES_LIMIT:
            self._by_name.clear()
        self._by_name[name] = model
        return model

    async def describe(self, name: str) -> CatalogEntry:
        """What is known of the chat model called `name`. Raises as `find`."""
        return await asyncio.to_thread(self._catalog.find, name)

    async def chat_models(self) -> list[CatalogEntry]:
        """Every chat model on disk, by key."""
        return await asyncio.to_thread(self._catalog.chat_models)
