"""Is a server there, which one is it, and how is it: asked of its port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from roci.errors import (
    AccessDeniedError,
    RociError,
    TimedOutError,
    TransportError,
    UnexpectedReplyError,
    UnsupportedError,
    WrongEndpointError,
)
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.types.management import LoadedModel, ServerKind, ServerStatus
from roci.types.models import ModelInfo
from roci.wire.lmstudio.management import Greeting, Health

T = TypeVar("T")


def probed(
    base_url: str,
    request: Callable[[str], HttpRequest],
    listing: Callable[[], Exchange[list[ModelInfo]]],
    loaded: Callable[[], Exchange[list[LoadedModel]]],
) -> Exchange[ServerStatus]:
    """The status of the server at `base_url`; raises nothing that the server or its absence causes."""
    try:
        greeting = _decoded((yield request("/lmstudio-greeting")), Greeting)
        health = _decoded((yield request("/health")), Health)
    except TransportError as error:
        return ServerStatus(base_url=base_url, state="unreachable", detail=_why(error))
    kind: ServerKind = "roci" if health is not None else "lmstudio" if greeting and greeting.lmstudio else "other"
    facts: dict[str, Any] = {"base_url": base_url, "kind": kind}
    if health is not None:
        facts |= {"version": health.version, "queue_length": health.queue_length, "can_load": health.can_load}
        if health.status == "shutting_down":
            return ServerStatus(state="shutting_down", detail="The server is shutting down.", **facts)
    try:
        models = yield from listing()
    except AccessDeniedError as error:
        return ServerStatus(state="token_needed", detail=_why(error), **facts)
    except TransportError as error:
        return ServerStatus(state="unreachable", detail=_why(error), **facts)
    except (UnexpectedReplyError, WrongEndpointError) as error:
        return ServerStatus(state="not_a_model_server", detail=_why(error), **facts)
    except RociError as error:
        return ServerStatus(state="running", detail=_why(error), **facts)
    copies: list[LoadedModel] = []
    try:
        copies = yield from loaded()
    except (UnsupportedError, UnexpectedReplyError):
        copies = [
            LoadedModel(id=model.key, key=model.key, kind=model.kind, context_length=model.loaded_context_length)
            for model in models
            if model.is_loaded
        ]
    except RociError as error:
        facts["detail"] = _why(error)
    return ServerStatus(
        state="running",
        model_count=len({model.key for model in models} - _further_copies(copies)),
        loaded=tuple(copies),
        **facts,
    )


def _further_copies(copies: list[LoadedModel]) -> set[str]:
    """Names in a list of models that are no models of their own."""
    return {copy.id for copy in copies} - {copy.key for copy in copies}


def _decoded(reply: HttpReply, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _why(error: RociError) -> str:
    if isinstance(error, TimedOutError):
        return f"Something holds the port and does not answer: {error.message}"
    return error.message
