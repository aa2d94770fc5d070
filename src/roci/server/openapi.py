"""The description of the API, made from the types that the routes decode and send.

The framework's own generator gets bounds, tagged unions and streams wrong, so only msgspec's schemas are used.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from roci.server.replies import ErrorBody, Greeting, Health, Model, ModelList
from roci.wire.openai.requests import ChatRequest
from roci.wire.openai.types import ChatReply

METHODS: Final[dict[str, tuple[str, ...]]] = {
    "/v1/models": ("GET", "OPTIONS"),
    "/v1/models/{model_id}": ("GET", "OPTIONS"),
    "/v1/chat/completions": ("POST", "OPTIONS"),
    "/lmstudio-greeting": ("GET", "OPTIONS"),
    "/health": ("GET", "OPTIONS"),
    "/openapi.json": ("GET", "OPTIONS"),
}
"""Path -> what it takes; a test compares it with the routes that there are."""


_REFUSED: Final = "400", "403", "404", "405", "413", "421", "500"
_BUSY: Final = "503", "507"


@cache
def openapi_document(version: str) -> bytes:
    """The whole document as JSON (OpenAPI 3.1)."""
    types = (ChatRequest, ChatReply, ModelList, Model, Greeting, Health, ErrorBody)
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "roci", "version": version, "description": "Language models on this machine."},
            "paths": {
                "/v1/models": {"get": _get("List the chat models on disk.", "ModelList")},
                "/v1/models/{model_id}": {"get": _get("One model.", "Model", parameters=[_MODEL_ID])},
                "/v1/chat/completions": {"post": _chat()},
                "/lmstudio-greeting": {"get": _get("Says that this server speaks as LM Studio does.", "Greeting")},
                "/health": {"get": _get("How the server is; 503 while it shuts down.", "Health", also="503")},
                "/openapi.json": {"get": _get("This document.", None)},
            },
            "components": {"schemas": components},
        }
    )


_MODEL_ID: Final = {
    "name": "model_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "A model's key; it may hold slashes.",
}


def _get(summary: str, reply: str | None, *, also: str | None = None, **more: Any) -> dict[str, Any]:
    good = {"description": summary, "content": {"application/json": {"schema": _schema(reply)}}}
    replies = {"200": good, **({also: good} if also else {})}
    return {"summary": summary, "responses": replies | _errors(*_REFUSED), **more}


def _chat() -> dict[str, Any]:
    content = {"application/json": {"schema": _schema("ChatRequest")}}
    answer = {
        "description": "The answer; with `stream` its pieces as events, then `data: [DONE]`. A stream that breaks "
        "ends with an event that holds an ErrorBody, and no `[DONE]`.",
        "content": {
            "application/json": {"schema": _schema("ChatReply")},
            "text/event-stream": {"schema": _schema("ChatReply")},
        },
    }
    return {
        "summary": "Chat with a model, which is loaded if need be.",
        "description": "Fields that are not described here are passed on to the engine as they are.",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answer, **_errors(*_REFUSED, *_BUSY)},
    }


def _errors(*statuses: str) -> dict[str, Any]:
    reply = {"description": "An error.", "content": {"application/json": {"schema": _schema("ErrorBody")}}}
    return dict.fromkeys(statuses, reply)


def _schema(name: str | None) -> dict[str, Any]:
    return {"type": "object"} if name is None else {"$ref": f"#/components/schemas/{name}"}
