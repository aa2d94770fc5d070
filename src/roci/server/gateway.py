"""What the routes share: settings, the models on disk, the models in memory, and what is kept between requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from roci.engine.local_model import LocalModel
from roci.server.catalog import Catalog
from roci.server.downloads import Downloads
from roci.server.images import Images
from roci.server.mcp.servers import McpServers
from roci.server.model_defaults import ModelDefaults
from roci.server.pool.events import Limits
from roci.server.pool.instance import Instance
from roci.server.pool.pool import ModelPool
from roci.server.resolving import Loaded, Purpose, check_purpose, loaded_for, not_loaded, nothing_named
from roci.server.settings import ServerSettings
from roci.server.state.conversations import Conversations
from roci.server.state.database import FILE_NAME, Database
from roci.server.target import Target
from roci.wire.ask import Ask
from roci.wire.openai.request_faults import invalid

_TTL_LIMIT_S: Final = 315_360_000


class Gateway:
    """One gateway's parts, made once and closed once."""

    def __init__(self, settings: ServerSettings, home: Path, worker_command: Sequence[str] | None = None) -> None:
        self.settings = settings
        self.home = home
        self.database = Database(home / FILE_NAME)
        self.conversations = Conversations(self.database, settings.store_days)
        self.catalog = Catalog(home, [Path(folder).expanduser() for folder in settings.model_folders])
        self.defaults = ModelDefaults(settings, home)
        self.downloads = Downloads(self.database, home, settings)
        self.images = Images()
        self.mcp = McpServers()
        self.pool = ModelPool(
            Limits(max_loaded=settings.max_loaded, queue_limit=settings.queue_limit),
            worker_command,
        )

    async def aclose(self) -> None:
        """The end: no worker, thread, download, MCP server or file is left open."""
        await self.mcp.aclose()
        await self.downloads.aclose()
        await self.pool.aclose()
        self.database.close()

    async def find_chat(self, ask: Ask) -> Target:
        """What answers a request for generation. Raises as `find`."""
        chat = ask.chat
        call: dict[str, Any] = {}
        if ask.context_length is not None:
            call["context_length"] = ask.context_length
        if chat.draft_model is not None:
            call["draft_model"] = chat.draft_model
        target = await self.find(chat.model, "chat", ttl=chat.ttl, call=call)
        limit = target.instance.options.parallel
        if chat.answers > limit:
            # Before anything is loaded: a loaded copy may have even fewer slots.
            raise invalid(f"n is {chat.n}; {target.model.key} makes {limit} answers at once at most.", "n")
        return target

    async def find_embedding(self, name: str, ttl: object = None) -> Target:
        """What makes vectors. Raises as `find`."""
        return await self.find(name, "embedding", ttl=ttl)

    async def find_reranker(self, name: str, ttl: object = None) -> Target:
        """What gives scores. Raises as `find`."""
        return await self.find(name, "reranker", ttl=ttl)

    async def find_any(self, name: str) -> Target:
        """A model of whatever kind. Raises as `find`."""
        return await self.find(name, "any")

    async def find(
        self,
        name: str,
        purpose: Purpose,
        *,
        ttl: object = None,
        call: Mapping[str, object] | None = None,
        substitutes: bool | None = None,
    ) -> Target:
        """What answers a request that names `name`; without a look at the disk if it is loaded.

        Args:
            name: an instance's id, a model's key or `key@variant`; empty where the request names none.
            ttl: the request's own idle time, which counts if this request loads the model.
            call: load options of the request, which count if this request loads the model.
            substitutes: whether the only model in memory answers for any unknown name; None: as `compat` says.

        Raises:
            ModelNotFoundError: with the nearest names.
            NoModelLoadedError: it is not in memory, and models are not loaded on demand.
            BadModelFileError: its file cannot be used.
            BadRequestError: it was made for something else, or an option cannot be used.
        """
        if substitutes is None:
            substitutes = self.settings.compat == "lmstudio"
        options = dict(call or {})
        ttl_s = _ttl_s(ttl)
        if ttl_s is not None:
            options["ttl_s"] = ttl_s
        loaded = self.loaded()
        copy = loaded_for(name, loaded, substitutes=False)
        if copy is not None:
            return self._in_memory(copy, purpose)
        model = await self._on_disk(name, loaded, substitutes=substitutes, purpose=purpose)
        if isinstance(model, Loaded):
            return self._in_memory(model, purpose)
        check_purpose(model, purpose, is_embedding=False)
        if not self.settings.jit:
            raise not_loaded(model.key, loaded)
        return await self.new_target(model, call=options)

    def loaded(self) -> list[Loaded]:
        """The copies in memory or on their way there, in the order of their loads."""
        return [Loaded(instance) for instance in self.pool.open_instances]

    async def new_target(
        self,
        model: LocalModel,
        *,
        call: Mapping[str, object] | None = None,
        load: Mapping[str, object] | None = None,
        is_on_demand: bool = True,
        identifier: str = "",
    ) -> Target:
        """A copy of `model` that is to be loaded, by all its settings.

        Raises:
            BadRequestError: an option cannot be used.
            ConfigError: the model's own file of settings cannot be used.
        """
        resolved = self.defaults.resolve(model.key, model.facts.max_context_length, call=call, load=load)
        draft = resolved.settings.draft_model
        files: dict[str, Path] = {}
        if draft is not None:
            by_request = resolved.origins["draft_model"] in ("load", "call")
            # Only the owner of this machine, in a file or on the command line, may name a file.
            path = Path(draft).expanduser()  # noqa: ASYNC240 - looks at no file
            is_file = not by_request and await asyncio.to_thread(path.is_file)
            files[draft] = path if is_file else (await self.on_disk(draft)).path
        instance = Instance(
            id=identifier or (model.key if is_on_demand else ""),
            model=model,
            options=resolved.worker_options(lambda key: files[key]),
            is_on_demand=is_on_demand,
            ttl_s=resolved.ttl_s(is_on_demand=is_on_demand),
        )
        return Target(instance=instance, sampling=resolved.sampling())

    async def on_disk(self, name: str) -> LocalModel:
        """The model called `name`, of whatever kind.

        Raises:
            ModelNotFoundError: with the nearest names.
            BadModelFileError: its file cannot be used.
        """
        return (await asyncio.to_thread(self.catalog.find, name, None)).model

    def _in_memory(self, copy: Loaded, purpose: Purpose) -> Target:
        check_purpose(copy.model, purpose, is_embedding=copy.is_embedding)
        resolved = self.defaults.resolve(copy.model.key, copy.model.facts.max_context_length)
        return Target(instance=copy.instance, sampling=resolved.sampling())

    async def _on_disk(
        self, name: str, loaded: Sequence[Loaded], *, substitutes: bool, purpose: Purpose
    ) -> LocalModel | Loaded:
        if name and not substitutes:
            return await self.on_disk(name)
        models = [entry.model for entry in await asyncio.to_thread(self.catalog.entries)]
        wanted = name.lower()
        for model in models:
            if name and wanted in (model.key, *model.other_keys):
                return model
        copy = loaded_for("", loaded, substitutes=True)
        if copy is not None:
            return copy
        usable = [model for model in models if model.state == "ok" and (model.kind == "llm" or purpose != "chat")]
        if not name and len(usable) == 1:
            return usable[0]
        if name:
            return await self.on_disk(name)  # says that there is none, with the nearest
        raise nothing_named([model.key for model in usable])


def _ttl_s(ttl: object) -> float | None:
    if ttl is None:
        return None
    try:
        seconds = float(ttl) if isinstance(ttl, int | float | str) else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _TTL_LIMIT_S:
        raise invalid(f"ttl is {ttl!r}; it takes seconds above 0.", "ttl")
    return seconds
