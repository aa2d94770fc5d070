"""Is a server there, how is it, and what does it understand."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib import resources
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency

from roci.server.access import LACKS_TOKEN, OPEN_PATHS
from roci.server.gateway import Gateway
from roci.server.openapi import Operation, openapi_document
from roci.server.replies import ErrorBody, Greeting, Health, ModelInMemory
from roci.version import VERSION


@get("/lmstudio-greeting")
async def greet() -> Greeting:
    return Greeting()


@get("/health")
async def report_health(request: Request[Any, Any, Any], gateway: NamedDependency[Gateway]) -> Response[Health]:
    shows_models = not request.scope.get("state", {}).get(LACKS_TOKEN)
    pool = gateway.pool
    models = [
        ModelInMemory(
            id=key,
            state="loading" if model.phase == "short" else model.phase,
            running=len(model.running),
            slots=model.slots,
        )
        for key, model in pool.models.items()
    ]
    health = Health(
        status="shutting_down" if pool.is_closing else "ok",
        version=VERSION,
        models=models if shows_models else [],
        queue_length=pool.queue_length,
        can_load=pool.can_load,
    )
    return Response(health, status_code=503 if pool.is_closing else 200)


@get("/openapi.json")
async def describe_api(gateway: NamedDependency[Gateway]) -> Response[bytes]:
    document = await asyncio.to_thread(_document, gateway.settings.require_token)
    return Response(document, media_type="application/json")


@get("/docs")
async def show_docs() -> Response[bytes]:
    return Response(_page(), media_type="text/html; charset=utf-8")


@cache
def _document(needs_token: bool) -> bytes:
    from roci.server.routes import OPERATIONS  # this file is one of those that are described

    return openapi_document(OPERATIONS, VERSION, ErrorBody, needs_token=needs_token, open_paths=OPEN_PATHS)


@cache
def _page() -> bytes:
    return resources.files("roci.server").joinpath("docs_page.html").read_bytes()


HANDLERS: Final = (greet, report_health, describe_api, show_docs)
OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/lmstudio-greeting",
        summary="Says that this server speaks as LM Studio does.",
        reply=Greeting,
    ),
    Operation(
        method="GET",
        path="/health",
        summary="How the server is; 503 while it shuts down.",
        reply=Health,
        also_good=("503",),
    ),
    Operation(method="GET", path="/openapi.json", summary="This document."),
    Operation(method="GET", path="/docs", summary="The same for people; works without a network.", is_page=True),
)
