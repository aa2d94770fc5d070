"""OpenAI's `/v1`: list the models, and chat with one. Types are what goes out; requests are in `wire/`."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from roci.server.catalog import CatalogEntry
from roci.server.chat import ChatAnswer
from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.replies import Model, ModelList
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import decode_chat_request


@get("/v1/models")
async def list_models(gateway: NamedDependency[Gateway]) -> ModelList:
    return ModelList(data=[_model(entry, gateway) for entry in await gateway.chat_models()])


@get("/v1/models/{model_id:path}")
async def get_model(gateway: NamedDependency[Gateway], model_id: FromPath[str]) -> Model:
    return _model(await gateway.describe(model_id.removeprefix("/")), gateway)


@post("/v1/chat/completions", status_code=200)
async def chat_completions(request: Request[Any, Any, Any], gateway: NamedDependency[Gateway]) -> ASGIApp:
    """Refuses what can be refused without the model; the rest happens while the reply is sent."""
    body = await request.body()
    asked = await off_loop(len(body), decode_chat_request, body)
    if asked.answers > gateway.settings.parallel:
        limit = gateway.settings.parallel
        raise invalid(f"n is {asked.n}; this server makes {limit} answers at once at most.", "n")
    return ChatAnswer(gateway.pool, await gateway.find(asked.model), asked, body)


def _model(entry: CatalogEntry, gateway: Gateway) -> Model:
    ready = gateway.pool.loaded(entry.model.key)
    return Model(
        id=entry.model.key,
        created=entry.created,
        state="not-loaded" if ready is None else "loaded",
        max_context_length=entry.max_context_length,
        loaded_context_length=None if ready is None else ready.context_length,
    )
