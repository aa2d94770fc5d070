"""Errors -> status and body in OpenAI's shape: one table for roci's own, and the handlers for the framework's."""

from __future__ import annotations

import difflib
import logging
import math
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap, Send
from msgspec import Struct

from roci.errors import (
    BadRequestError,
    ContextTooLongError,
    LoadFailedError,
    ModelNotFoundError,
    NotEnoughMemoryError,
    ReplyError,
    RociError,
    ServerBusyError,
    ServerFailedError,
    UsageError,
    WorkerDiedError,
)

_log = logging.getLogger(__name__)

INVALID_REQUEST: Final = "invalid_request_error"
SERVER_ERROR: Final = "server_error"

# The first row that fits counts. A status or code that the error itself carries wins over its row.
TABLE: Final[tuple[tuple[type[Exception], int, str, str | None], ...]] = (
    (ContextTooLongError, 400, INVALID_REQUEST, "context_length_exceeded"),
    (ModelNotFoundError, 404, INVALID_REQUEST, "model_not_found"),
    (BadRequestError, 400, INVALID_REQUEST, None),
    (UsageError, 400, INVALID_REQUEST, None),
    (ServerBusyError, 503, SERVER_ERROR, "busy"),
    (ServerFailedError, 500, SERVER_ERROR, "engine_failed"),
    (NotEnoughMemoryError, 507, SERVER_ERROR, "insufficient_memory"),
    (LoadFailedError, 500, SERVER_ERROR, "load_failed"),
    (WorkerDiedError, 503, SERVER_ERROR, "worker_died"),
    (UnicodeDecodeError, 400, INVALID_REQUEST, "invalid_json"),
    (RecursionError, 400, INVALID_REQUEST, "invalid_json"),
    (msgspec.MsgspecError, 400, INVALID_REQUEST, "invalid_json"),
    (RociError, 500, SERVER_ERROR, "internal_error"),
)
# Asking again at once would only load the same file again.
_POINTLESS_TO_RETRY: Final = (LoadFailedError,)


class ErrorReply(Struct, frozen=True):
    """One error as it goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """An error as OpenAI's API writes it, in a reply's body or in an event of a stream."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_reply(error: Exception) -> ErrorReply:
    """What a client is told about `error`. An error that nobody expected is logged and shows no detail."""
    for kind, status, type_name, code in TABLE:
        if isinstance(error, kind):
            return _known(error, status, type_name, code)
    _log.error("A request failed unexpectedly.", exc_info=error)
    body = error_body("The server failed; its log says why.", SERVER_ERROR, code="internal_error")
    return ErrorReply(500, body)


def stream_event(error: Exception) -> bytes:
    """The event that ends a stream which has begun: nothing comes after it, no `[DONE]` either."""
    return b"data: " + error_reply(error).body + b"\n\n"


async def send_reply(reply: ErrorReply, send: Send) -> None:
    """Answers a request outside of the framework."""
    headers = {"content-type": "application/json", "content-length": str(len(reply.body)), **reply.headers}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def _known(error: Exception, status: int, type_name: str, code: str | None) -> ErrorReply:
    param = None
    message = str(error)
    headers: dict[str, str] = {}
    if isinstance(error, RociError):
        message = " ".join(part for part in (error.message, error.hint) if part)
    if isinstance(error, ReplyError):
        status, code, param = error.status or status, error.code or code, error.param
    elif isinstance(error, UsageError):
        param = error.field or None
    if isinstance(error, ServerBusyError) and error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    if isinstance(error, _POINTLESS_TO_RETRY):
        headers["x-should-retry"] = "false"  # OpenAI's client heeds it
    return ErrorReply(status, error_body(message, type_name, param=param, code=code), headers)


def exception_handlers(routes: dict[str, tuple[str, ...]]) -> ExceptionHandlersMap:
    """Handlers for all that can go wrong in a request.

    Args:
        routes: path -> its methods, for suggestions and for `Allow`.
    """

    def not_found(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
        path = request.scope["path"]
        nearest = difflib.get_close_matches(path, routes, n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]}?" if nearest else f" There are: {', '.join(sorted(routes))}."
        message = f"There is nothing at {request.method} {path}.{hint}"
        return _response(ErrorReply(404, error_body(message, INVALID_REQUEST, code="unknown_path")))

    def wrong_method(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
        path = request.scope["path"]
        allowed = ", ".join(_methods(path, routes))
        message = f"{path} does not take {request.method}; it takes {allowed}."
        body = error_body(message, INVALID_REQUEST, code="method_not_allowed")
        return _response(ErrorReply(405, body, {"allow": allowed}))

    def framework(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        assert isinstance(error, HTTPException)
        if error.status_code >= 500:
            return _response(error_reply(error))
        code = "body_too_large" if error.status_code == 413 else "bad_request"
        return _response(ErrorReply(error.status_code, error_body(error.detail, INVALID_REQUEST, code=code)))

    return {
        NotFoundException: not_found,
        MethodNotAllowedException: wrong_method,
        HTTPException: framework,
        Exception: lambda _, error: _response(error_reply(error)),
    }


def _methods(path: str, routes: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    exact = routes.get(path.rstrip("/") or "/")
    if exact is not None:
        return exact
    # A path with a parameter at its end.
    return next(
        (methods for route, methods in routes.items() if "{" in route and path.startswith(route.partition("{")[0])), ()
    )


def _response(reply: ErrorReply) -> Response[bytes]:
    return Response(reply.body, status_code=reply.status, headers=reply.headers, media_type="application/json")
