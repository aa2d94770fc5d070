"""What `OPTIONS` answers: the methods of a path. The framework's own answer names those of one handler only."""

from __future__ import annotations

from collections.abc import Iterable

from litestar import route
from litestar.handlers import HTTPRouteHandler

from roci.server.posts import PostRoute


def options_handlers(handlers: Iterable[HTTPRouteHandler | PostRoute]) -> list[HTTPRouteHandler]:
    """A handler of `OPTIONS` for each path of `handlers`."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(map(str, handler.http_methods))
    return [_handler(path, ", ".join(sorted(names))) for path, names in methods.items()]


def _handler(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method=["OPTIONS"], status_code=204, response_headers={"allow": allowed})
    async def tell_methods() -> None:
        pass

    return tell_methods
