"""Errors -> what a client is told: one table for the status and code, and a shape for each family of paths."""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap, Send

from roci.errors import (
    AccessDeniedError,
    BadRequestError,
    ConfigError,
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
from roci.wire.anthropic.errors import messages_error_body
from roci.wire.lmstudio.error_shape import native_error_body
from roci.wire.openai.error_shape import openai_error_body
from roci.wire.reply_writer import Failure

_log = logging.getLogger(__name__)

# The first row that fits counts. A status or code that the error itself carries wins over its row.
TABLE: Final[tuple[tuple[type[Exception], int, str | None], ...]] = (
    (ContextTooLongError, 400, "context_length_exceeded"),
    (ModelNotFoundError, 404, "model_not_found"),
    (BadRequestError, 400, None),
    (AccessDeniedError, 401, "invalid_api_key"),
    (ConfigError, 500, "invalid_setting"),  # in a file of this machine; a request's own are BadRequestErrors
    (UsageError, 400, None),
    (ServerBusyError, 503, "busy"),
    (ServerFailedError, 500, "engine_failed"),
    (NotEnoughMemoryError, 507, "insufficient_memory"),
    (LoadFailedError, 500, "load_failed"),
    (WorkerDiedError, 503, "worker_died"),
    (RociError, 500, "internal_error"),
)
# Numbers that programs may want, by the attributes that carry them.
_FACTS: Final = ("limit_tokens", "given_tokens", "needed_bytes", "free_bytes", "similar", "exit_code")
# Asking again at once would only load the same file again.
_POINTLESS_TO_RETRY: Final = (LoadFailedError,)


def failure_of(error: Exception) -> Failure:
    """What a client is told about `error`. An error that nobody expected is logged and shows no detail."""
    for kind, status, code in TABLE:
        if isinstance(error, kind):
            return _known(error, status, code)
    _log.error("A request failed unexpectedly.", exc_info=error)
    return Failure(status=500, message="The server failed; its log says why.", code="internal_error")


def shape_of(path: str) -> Callable[[Failure], bytes]:
    """How errors look on the family of routes that `path` belongs to."""
    if path.startswith("/api/v1/") or path == "/api/v1":
        return native_error_body
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return messages_error_body
    return openai_error_body


async def send_failure(failure: Failure, path: str, send: Send) -> None:
    """Answers a request outside of the framework."""
    body = shape_of(path)(failure)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **failure.headers}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": failure.status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _known(error: Exception, status: int, code: str | None) -> Failure:
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
    facts = {name: value for name in _FACTS if (value := getattr(error, name, None)) not in (None, ())}
    return Failure(status=status, message=message, code=code, param=param, headers=headers, facts=facts)


def exception_handlers(routes: dict[str, tuple[str, ...]], *, as_lmstudio: bool) -> ExceptionHandlersMap:
    """Handlers for all that can go wrong in a request.

    Args:
        routes: path -> its methods, for suggestions and for `Allow`.
        as_lmstudio: answer an unknown path as LM Studio does, with a 200.
    """

    def not_found(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
        path = request.scope["path"]
        if as_lmstudio:
            body = msgspec.json.encode({"error": f"Unexpected endpoint or method. ({request.method} {path})"})
            return Response(body, status_code=200, media_type="application/json")
        nearest = difflib.get_close_matches(path, routes, n=1, cutoff=0.5)
        hint = f"Did you mean {nearest[0]}?" if nearest else "See /docs for what there is."
        message = f"There is nothing at {request.method} {path}. {hint}"
        return _response(Failure(status=404, message=message, code="unknown_path"), path)

    def wrong_method(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if as_lmstudio:
            return not_found(request, error)
        path = request.scope["path"]
        allowed = ", ".join(_methods(path, routes))
        message = f"{path} does not take {request.method}; it takes {allowed}."
        headers = {"allow": allowed}
        return _response(Failure(status=405, message=message, code="method_not_allowed", headers=headers), path)

    def framework(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        assert isinstance(error, HTTPException)
        path = request.scope["path"]
        if error.status_code >= 500:
            return _response(failure_of(error), path)
        code = "body_too_large" if error.status_code == 413 else "bad_request"
        return _response(Failure(status=error.status_code, message=error.detail, code=code), path)

    return {
        NotFoundException: not_found,
        MethodNotAllowedException: wrong_method,
        HTTPException: framework,
        Exception: lambda request, error: _response(failure_of(error), request.scope["path"]),
    }


def _methods(path: str, routes: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    exact = routes.get(path.rstrip("/") or "/")
    if exact is not None:
        return exact
    for route, methods in routes.items():
        # A parameter may hold slashes, as a model's key does.
        pattern = "".join(".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", route))
        if "{" in route and re.fullmatch(pattern, path):
            return methods
    return ()


def _response(failure: Failure, path: str) -> Response[bytes]:
    body = shape_of(path)(failure)
    return Response(body, status_code=failure.status, headers=failure.headers, media_type="application/json")
