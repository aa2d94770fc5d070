"""What the canned server answers to the questions of `bench.typed`, and what its contestants are to make of it.

The standard library alone: contestants read it with interpreters that have nothing of roci's.
"""

from __future__ import annotations

import json
from typing import Any

MODEL = "bench-model"

QUESTION = "Tell me about Bern."
LANDMARKS = (("Zytglogge", 1405), ("Münster", 1421), ("Bundeshaus", 1902))
NAME, COUNTRY, POPULATION = "Bern", "Switzerland", 134_506

TOOL_QUESTION = "What is the weather in Oslo for the next three days?"
TOOL_NAME = "weather"
TOOL_TEXT = "The weather forecast of a city."
CALL_ID = "call_5f2a9c1e7b3d4f60"
CITY, DAYS = "Oslo", 3
TOLD = "It will rain in Oslo on all of the next three days, so take a coat with you."

_USAGE = {"prompt_tokens": 60, "completion_tokens": 45, "total_tokens": 105}


def forecast(city: str, days: int) -> str:
    """What the tool gives back, whoever runs it."""
    return f"{city}: rain on {days} days"


def chat_reply(message: dict[str, Any], reason: str, usage: dict[str, int]) -> bytes:
    """A whole HTTP reply with a chat completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", **message},
        "logprobs": None,
        "finish_reason": reason,
    }
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def typed_reply(request: dict[str, Any]) -> bytes | None:
    """The answer to a chat that asks for an object or offers tools; None for any other."""
    if "response_format" in request:
        return _OBJECT
    if not request.get("tools"):
        return None
    return _TOLD if request["messages"][-1]["role"] == "tool" else _CALL


def _object() -> str:
    landmarks = [{"name": name, "built": built} for name, built in LANDMARKS]
    return json.dumps({"name": NAME, "country": COUNTRY, "population": POPULATION, "landmarks": landmarks})


def _call() -> dict[str, Any]:
    arguments = json.dumps({"city": CITY, "days": DAYS})
    function = {"name": TOOL_NAME, "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": CALL_ID, "type": "function", "function": function}]}


_OBJECT = chat_reply({"content": _object()}, "stop", _USAGE)
_CALL = chat_reply(_call(), "tool_calls", _USAGE)
_TOLD = chat_reply({"content": TOLD}, "stop", _USAGE)
