"""OpenAI's `/v1/models`: what can be asked for, chat and embedding models alike."""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from roci.server.gateway import Gateway
from roci.server.model_views import named_copy, openai_list, openai_model
from roci.server.openapi import Operation, path_parameter
from roci.server.replies import Model, ModelList


@get("/v1/models")
async def list_models(gateway: NamedDependency[Gateway]) -> ModelList:
    library = await asyncio.to_thread(gateway.catalog.library)
    return openai_list(library.models, gateway.pool.instances, only_loaded=not gateway.settings.jit)


@get("/v1/models/{model_id:path}")
async def get_model(gateway: NamedDependency[Gateway], model_id: FromPath[str]) -> Model:
    library = await asyncio.to_thread(gateway.catalog.library)
    return openai_model(*named_copy(model_id.removeprefix("/"), library, gateway.pool.instances))


HANDLERS: Final = (list_models, get_model)
OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/models",
        summary="The models that can be asked: all on disk, or only those in memory if none is loaded on demand.",
        reply=ModelList,
    ),
    Operation(
        method="GET",
        path="/v1/models/{model_id}",
        summary="One model, by its key or by the id of a copy in memory.",
        reply=Model,
        parameters=(path_parameter("model_id", "A model's key; it may hold slashes."),),
    ),
)
