"""The gateway as an application: its routes, its error handlers, and the pool's life around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from roci.server.access import AccessGuard
from roci.server.error_replies import exception_handlers
from roci.server.gateway import Gateway
from roci.server.openapi import METHODS
from roci.server.request_log import RequestLog
from roci.server.routes import openai_v1, status
from roci.server.settings import ServerSettings


def create_app(settings: ServerSettings, *, home: Path, worker_command: Sequence[str] | None = None) -> Litestar:
    """The application over the models in `home`.

    Args:
        worker_command: what to run for each model instead of our own worker, with the same flags.
    """
    gateway = Gateway(settings, home, worker_command)

    @asynccontextmanager
    async def pool_of_the_app(_: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await gateway.pool.aclose()

    app = Litestar(
        route_handlers=[
            openai_v1.list_models,
            openai_v1.get_model,
            openai_v1.chat_completions,
            status.greet,
            status.report_health,
            status.describe_api,
        ],
        dependencies={"gateway": Provide(lambda: gateway, sync_to_thread=False)},
        exception_handlers=exception_handlers(METHODS),
        lifespan=[pool_of_the_app],
        state=State({"gateway": gateway}),
        request_max_body_size=settings.max_body_mb * 1_000_000,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = AccessGuard(app.asgi_handler)
    if settings.verbose:
        app.asgi_handler = RequestLog(app.asgi_handler)
    return app


def gateway_of(app: Litestar) -> Gateway:
    """The parts behind an application made by `create_app`."""
    return app.state.gateway
