"""The gateway as an application: its routes, its error handlers, and the life of its parts around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from roci.server.access import AccessGuard
from roci.server.error_replies import exception_handlers
from roci.server.gateway import Gateway
from roci.server.openapi import methods
from roci.server.options import options_handlers
from roci.server.posts import PostRoute, Posts
from roci.server.request_log import RequestLog
from roci.server.routes import OPERATIONS, ROUTE_MODULES
from roci.server.settings import ServerSettings


def create_app(settings: ServerSettings, *, home: Path, worker_command: Sequence[str] | None = None) -> Litestar:
    """The application over the models in `home`.

    Args:
        worker_command: what to run for each model instead of our own worker, with the same flags.
    """
    gateway = Gateway(settings, home, worker_command)

    @asynccontextmanager
    async def life_of_the_gateway(_: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await gateway.aclose()

    routes: list[Any] = [handler for module in ROUTE_MODULES for handler in module.HANDLERS]
    posts = [route for route in routes if isinstance(route, PostRoute)]
    others = [route for route in routes if not isinstance(route, PostRoute)]
    limit_bytes = settings.max_body_mb * 1_000_000
    app = Litestar(
        route_handlers=[*options_handlers(routes), *others],  # in this order, or the framework makes its own
        dependencies={"gateway": Provide(lambda: gateway, sync_to_thread=False)},
        exception_handlers=exception_handlers(methods(OPERATIONS), as_lmstudio=settings.compat == "lmstudio"),
        lifespan=[life_of_the_gateway],
        state=State({"gateway": gateway}),
        request_max_body_size=limit_bytes,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = Posts(app.asgi_handler, gateway, posts, limit_bytes=limit_bytes)
    app.asgi_handler = AccessGuard(app.asgi_handler, settings, home)
    if settings.verbose:
        app.asgi_handler = RequestLog(app.asgi_handler)
    return app


def gateway_of(app: Litestar) -> Gateway:
    """The parts behind an application made by `create_app`."""
    return app.state.gateway
