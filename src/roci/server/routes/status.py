"""Is a server there, how is it, and what does it understand."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency

from roci.server.gateway import Gateway
from roci.server.openapi import openapi_document
from roci.server.replies import Greeting, Health, ModelInMemory
from roci.version import VERSION


@get("/lmstudio-greeting")
async def greet() -> Greeting:
    return Greeting()


@get("/health")
async def report_health(gateway: NamedDependency[Gateway]) -> Response[Health]:
    pool = gateway.pool
    models = [
        ModelInMemory(id=key, state=model.phase, running=len(model.running), slots=model.slots)
        for key, model in pool.models.items()
    ]
    has_room = len(models) < pool.limits.max_loaded
    is_idle = any(model.state == "ready" and not model.running for model in models)
    health = Health(
        status="shutting_down" if pool.is_closing else "ok",
        version=VERSION,
        models=models,
        queue_length=pool.queue_length,
        can_load=not pool.is_closing and (has_room or (is_idle and pool.queue_length == 0)),
    )
    return Response(health, status_code=503 if pool.is_closing else 200)


@get("/openapi.json")
async def describe_api() -> Response[bytes]:
    return Response(openapi_document(VERSION), media_type="application/json")
