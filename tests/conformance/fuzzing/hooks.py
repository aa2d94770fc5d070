"""Loaded by schemathesis: leads requests that fit the description to models that are there, and checks one thing more.

Requests that do not fit are sent as they were made up.
"""

from __future__ import annotations

import json
import re
from typing import Any

import requests
import schemathesis

CHAT, OTHER_CHAT, VECTORS, JUDGE, SPARE = "first", "second", "vectors", "judge", "spare"
"""The models of the server under test; `SPARE` may be deleted."""
BY_PATH = {
    "/v1/embeddings": VECTORS,
    "/api/v0/embeddings": VECTORS,
    "/v1/rerank": JUDGE,
    "/api/v1/models/load": OTHER_CHAT,
    "/api/v1/models/{key}": SPARE,
}
LIMIT_BY_PATH = {
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/messages": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/api/v0/chat/completions": "max_tokens",
    "/api/v0/completions": "max_tokens",
    "/api/v1/chat": "max_output_tokens",
}
ANSWER_TOKENS = 8
"""An answer gets no more than these: made-up text has no end."""
THINGS_ELSEWHERE = ("draft_model", "previous_response_id", "mmproj", "ttl", "integrations", "mcp_servers")
"""Fields that name what is not there, or take the model away in the middle of the run."""
PLAIN = {"messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi"}
SAID_BY_OTHERS = (
    "tools",
    "tool_choice",
    "response_format",
    "text",
    "stop",
    "stop_sequences",
    "logit_bias",
    "n",
    "best_of",
)
"""Fields whose made-up values hardly ever go together."""
TYPE_FAULTS = ("invalid_type", "unrecognized_keys", "invalid_json", "empty_body")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if not _fits(case):
        return
    path = case.operation.path
    for name in ("key", "model", "model_id"):
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = BY_PATH.get(path, CHAT)
    if isinstance(case.body, dict) and "download" not in path and "settings" not in path:
        case.body = _with_a_short_answer(_led(case.body, path), path)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Takes what was loaded out of memory again: the server would go on until memory ends."""
    if case.operation.path != "/api/v1/models/load" or case.method != "POST" or response.status_code != 200:
        return
    found = re.search(rb'"(?:model_)?instance_id":("(?:[^"\\]|\\.)*")', response.content)
    assert found is not None, response.content
    url = response.request.url.split("/api/v1/")[0]
    # A streamed load that failed leaves no copy.
    reply = requests.post(f"{url}/api/v1/models/unload", json={"instance_id": json.loads(found[1])}, timeout=30)
    assert reply.status_code in (200, 404), reply.text


@schemathesis.check
def described_types_are_taken(ctx: Any, response: Any, case: Any) -> None:
    """What fits the description is never refused for its type."""
    if not _fits(case) or response.status_code != 400:
        return
    error = response.json()["error"]
    assert error.get("code") not in TYPE_FAULTS, error
    # To a schema 2.0 is an integer; roci asks for it to be written as one.
    assert " cannot be used: expected" not in error["message"] or "got `float`" in error["message"], error


def _fits(case: Any) -> bool:
    """Whether the request was made to fit the description."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def _led(body: dict[str, Any], path: str) -> dict[str, Any]:
    """`body` for a model that is there; half of them, by their length, with a plain question too."""
    led = {name: value for name, value in body.items() if name not in THINGS_ELSEWHERE}
    if "model" in led or path in LIMIT_BY_PATH:
        led["model"] = BY_PATH.get(path, CHAT)
    if "instance_id" in led:
        led["instance_id"] = OTHER_CHAT
    if len(str(body)) % 2:
        led = {name: PLAIN.get(name, value) for name, value in led.items() if name not in SAID_BY_OTHERS}
    return led


def _with_a_short_answer(body: dict[str, Any], path: str) -> dict[str, Any]:
    if path not in LIMIT_BY_PATH:
        return body
    rest = {name: value for name, value in body.items() if name != "max_completion_tokens"}
    return {**rest, LIMIT_BY_PATH[path]: ANSWER_TOKENS}
