"""The description of the API, made from the types that the routes decode and send.

The framework's own generator gets bounds, tagged unions and streams wrong, so only msgspec's schemas are used. Each
file of routes lists its operations beside its handlers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from roci.server.field_docs import describe_fields

REFUSED: Final = ("400", "401", "403", "404", "405", "413", "421", "500")
BUSY: Final = ("503", "507")
_REFERENCE: Final = "#/components/schemas/{name}"

# The first family whose prefix a path has is its own.
_FAMILIES: Final = (
    (
        "/api/v1/",
        "LM Studio",
        "LM Studio's own API, with what roci adds to it. Fields that are not described are refused.",
    ),
    ("/api/v0/", "LM Studio, earlier", "OpenAI's routes with figures, as LM Studio's earlier API has them."),
    ("/v1/messages", "Anthropic", "Anthropic's API."),
    (
        "/v1/",
        "OpenAI",
        "OpenAI's API, and what roci adds beside it. Fields that are not described are ignored, or passed on.",
    ),
    ("/", "The server", "How the server is, and what it understands."),
)
_ERRORS: Final = {
    "400": "The request cannot be used; `param` names the field, if it is one.",
    "401": "This server wants a token, and this is none that it knows.",
    "403": "Web pages of this origin may not ask.",
    "404": "There is no such thing.",
    "405": "The path does not take this method.",
    "413": "The body is too large.",
    "421": "The server does not go by the name in the Host header.",
    "500": "The server or the engine failed; the server's log says why.",
    "501": "This server cannot do that.",
    "502": "Another server that was asked for this did not answer as it should.",
    "503": "The server is busy, shuts down, or the model's process died.",
    "507": "There is not enough memory to load the model.",
}
_ERROR_HEADERS: Final = {
    "401": ("WWW-Authenticate", "How to send a token.", True),
    "405": ("Allow", "The methods that the path takes.", True),
    "503": ("Retry-After", "Seconds after which it may be worth asking again.", False),
}
_SECURITY_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer sk-lm-…`"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same token."},
}


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: str
    path: str
    summary: str
    description: str = ""
    request: Any = None
    """The body's type; None where there is no body."""
    reply: Any = None
    """The type of the good reply's JSON; None: an object that is not described further."""
    is_stream: bool = False
    """With `stream` in the body the reply is a stream of events instead."""
    events: tuple[str, ...] = ()
    """The names of the stream's events; none where it is data alone, which ends with `[DONE]`."""
    is_page: bool = False
    """The reply is HTML."""
    statuses: tuple[str, ...] = REFUSED
    also_good: tuple[str, ...] = ()
    """Further statuses under which the good reply may come."""
    parameters: tuple[dict[str, Any], ...] = ()
    errors: Any = None
    """The type of an error's body; None: OpenAI's."""


def path_parameter(name: str, description: str) -> dict[str, Any]:
    """A parameter in an operation's path."""
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def query_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An optional parameter in an operation's query."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def methods(operations: Sequence[Operation]) -> dict[str, tuple[str, ...]]:
    """Path -> the methods that it takes."""
    found: dict[str, list[str]] = {}
    for operation in operations:
        found.setdefault(operation.path, []).append(operation.method)
    return {path: (*names, "OPTIONS") for path, names in found.items()}


def openapi_document(
    operations: Sequence[Operation],
    version: str,
    default_error: Any,
    *,
    needs_token: bool = False,
    open_paths: Sequence[str] = (),
) -> bytes:
    """The whole document as JSON (OpenAPI 3.1).

    Args:
        needs_token: whether the server refuses who brings none; otherwise a token is allowed, and not looked at.
        open_paths: those that answer without a token all the same.
    """
    types = {kind for entry in operations for kind in (entry.request, entry.reply, entry.errors) if kind is not None}
    types.add(default_error)
    ordered = sorted(types, key=str)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    describe_fields(components, ordered)
    references = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for entry in operations:
        described = _operation(entry, references, entry.errors or default_error)
        if entry.path in open_paths:
            described["security"] = []
        paths.setdefault(entry.path, {})[entry.method.lower()] = described
    secured: list[dict[str, Any]] = [{name: []} for name in _SECURITY_SCHEMES]
    used = {_family(entry.path) for entry in operations}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "roci", "version": version, "description": "Language models on this machine."},
            "tags": [{"name": name, "description": text} for _, name, text in _FAMILIES if name in used],
            "security": secured if needs_token else [{}, *secured],
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
        }
    )


def _operation(entry: Operation, references: dict[Any, Any], error: Any) -> dict[str, Any]:
    good = {"description": entry.summary, "content": _good_content(entry, references)}
    replies = dict.fromkeys(("200", *entry.also_good), good) | {
        status: _refusal(status, references[error]) for status in entry.statuses if status not in entry.also_good
    }
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{entry.method.lower()}{entry.path}").rstrip("_"),
        "summary": entry.summary,
        "tags": [_family(entry.path)],
        "responses": replies,
    }
    if entry.description:
        described["description"] = entry.description
    if entry.parameters:
        described["parameters"] = list(entry.parameters)
    if entry.request is not None:
        body = {"application/json": {"schema": references[entry.request]}}
        described["requestBody"] = {"required": True, "content": body}
    return described


def _good_content(entry: Operation, references: dict[Any, Any]) -> dict[str, Any]:
    if entry.is_page:
        return {"text/html": {"schema": {"type": "string"}}}
    content: dict[str, Any] = {}
    if entry.reply is not None or not entry.is_stream:
        shape = references[entry.reply] if entry.reply is not None else {"type": "object"}
        content["application/json"] = {"schema": shape}
    if entry.is_stream:
        named = ", ".join(f"`{name}`" for name in entry.events)
        what = f"Events: {named}." if named else "Events without names, then `data: [DONE]`."
        content["text/event-stream"] = {"schema": _event_schema(what, entry.events), "x-events": entry.events}
    return content


def _event_schema(description: str, names: Sequence[str]) -> dict[str, Any]:
    """One event of a stream; `message` is what the standard calls one without a name."""
    fields = {"event": {"type": "string", "enum": names or ["message"]}, "data": {"type": "string"}}
    return {"type": "object", "description": description, "properties": fields, "required": ["data"]}


def _refusal(status: str, schema: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": _ERRORS[status], "content": {"application/json": {"schema": schema}}}
    if status in _ERROR_HEADERS:
        name, what, is_always = _ERROR_HEADERS[status]
        told["headers"] = {name: {"description": what, "required": is_always, "schema": {"type": "string"}}}
    return told


def _family(path: str) -> str:
    return next(name for prefix, name, _ in _FAMILIES if path.startswith(prefix))
