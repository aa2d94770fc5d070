"""LM Studio's own `/api/v1/models`: what is on disk and in memory; load, unload, and what LM Studio lacks: delete."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from roci.engine.library import Library
from roci.engine.model_removal import plan_removal, remove
from roci.server.context_limit import check_context
from roci.server.gateway import Gateway
from roci.server.loading import LoadAnswer
from roci.server.model_views import native_model, native_models
from roci.server.openapi import BUSY, REFUSED, Operation, path_parameter
from roci.server.posts import post
from roci.server.whole_reply import WholeReply
from roci.wire.lmstudio.error_shape import NativeErrorBody
from roci.wire.lmstudio.load_requests import (
    LoadReply,
    LoadRequest,
    UnloadReply,
    UnloadRequest,
    decode_load,
    decode_unload,
)
from roci.wire.lmstudio.model_lists import DeletedModel, NativeModel, NativeModels
from roci.wire.openai.request_faults import invalid


@get("/api/v1/models")
async def list_native_models(gateway: NamedDependency[Gateway]) -> NativeModels:
    library = await asyncio.to_thread(gateway.catalog.library)
    return native_models(library.models, gateway.pool.instances)


@get("/api/v1/models/{key:path}")
async def get_native_model(gateway: NamedDependency[Gateway], key: FromPath[str]) -> NativeModel:
    library = await asyncio.to_thread(gateway.catalog.library)
    state = gateway.pool.get(key.removeprefix("/"))
    model = library.get(state.model_key if state is not None else key.removeprefix("/"))
    return native_model(model.model_key, library.variants(model.model_key), gateway.pool.instances)


@post("/api/v1/models/load")
async def load_model(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = decode_load(body)
    library = await asyncio.to_thread(gateway.catalog.library)
    model = library.find(asked.model)
    if asked.rope_frequency_base is None and asked.rope_frequency_scale is None:
        check_context(asked.context_length, model, gateway.settings)
    target = await gateway.new_target(model, load=asked.options, is_on_demand=False, identifier=asked.identifier or "")
    return LoadAnswer(
        gateway.pool, target.instance, echoes_config=bool(asked.echo_load_config), stream=bool(asked.stream)
    )


@post("/api/v1/models/unload")
async def unload_model(gateway: Gateway, body: bytes) -> ASGIApp:
    """Goes on although its client leaves: an unload that has begun cannot be taken back."""
    asked = decode_unload(body)
    await gateway.pool.unload(asked.instance_id)

    async def told() -> UnloadReply:
        return UnloadReply(asked.instance_id)

    return WholeReply(told, model=asked.instance_id)


@delete("/api/v1/models/{key:path}", status_code=200)
async def delete_model(gateway: NamedDependency[Gateway], key: FromPath[str]) -> DeletedModel:
    library = await asyncio.to_thread(gateway.catalog.library)
    name = key.removeprefix("/")
    model = library.get(name)
    copies = [state.id for state in gateway.pool.instances if state.model_key == model.key]
    if copies:
        raise invalid(
            f"{model.key} is loaded as {', '.join(copies)}.",
            "key",
            code="model_loaded",
            hint="Unload it first, with POST /api/v1/models/unload.",
        )
    return await asyncio.to_thread(_remove, library, gateway.home, name)


def _remove(library: Library, home: Path, name: str) -> DeletedModel:
    removal = plan_removal(library, home, name)
    remove(removal)
    return DeletedModel(key=removal.key, freed_bytes=removal.freed_bytes)


_KEY: Final = path_parameter("key", "A model's key or key@variant; it may hold slashes.")
HANDLERS: Final = (list_native_models, get_native_model, load_model, unload_model, delete_model)
OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/models",
        summary="Every model on disk, with its copies in memory.",
        reply=NativeModels,
        errors=NativeErrorBody,
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{key}",
        summary="One model on disk, by its key or by the id of a copy in memory.",
        reply=NativeModel,
        parameters=(_KEY,),
        errors=NativeErrorBody,
    ),
    Operation(
        method="POST",
        path="/api/v1/models/load",
        summary="Load a model; a model that is loaded gets another copy.",
        description="It does not count against the limit of models that are loaded on demand, and is never unloaded "
        "for another. The client that leaves while it loads ends the load. With `stream` the load is told by the "
        "events `model_load.start`, `model_load.progress` and `model_load.end`, which holds the reply as `result`.",
        request=LoadRequest,
        reply=LoadReply,
        is_stream=True,
        events=("model_load.start", "model_load.progress", "model_load.end", "error"),
        statuses=REFUSED + BUSY,
        errors=NativeErrorBody,
    ),
    Operation(
        method="POST",
        path="/api/v1/models/unload",
        summary="Take a copy of a model out of memory, once its answers in progress have ended.",
        request=UnloadRequest,
        reply=UnloadReply,
        errors=NativeErrorBody,
    ),
    Operation(
        method="DELETE",
        path="/api/v1/models/{key}",
        summary="Delete a model's files from this server's own folder; it must not be loaded.",
        reply=DeletedModel,
        parameters=(_KEY,),
        errors=NativeErrorBody,
    ),
)
