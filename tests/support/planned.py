"""Asking a real worker as the gateway does: planned, read into events, put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from roci.wire.generation import Event, TextDelta, Transcript
from roci.wire.llama_cpp.body import worker_body
from roci.wire.llama_cpp.stream import WorkerStreamDecoder
from roci.wire.openai.requests import ChatRequest, decode_chat_request
from roci.wire.schema.plan import SchemaPlan, plan_schema
from roci.wire.tools.plan import ToolPlan, plan_tools
from tests.support.workers import open_reply


def chat_request(messages: str | list[dict[str, Any]], **more: Any) -> ChatRequest:
    """A checked request, out of JSON as a client sends it; a text is a user's message."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return decode_chat_request(json.dumps({"model": "m", "messages": messages, **more}).encode())


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def tool(name: str, parameters: dict[str, Any] | None = None, description: str = "") -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


class Answered(msgspec.Struct):
    schema: SchemaPlan
    tools: ToolPlan
    events: list[Event]

    @property
    def transcript(self) -> Transcript:
        transcript = Transcript()
        for event in self.events:
            transcript.add(event)
        return transcript

    @property
    def text(self) -> str:
        return self.transcript.choice().text

    @property
    def value(self) -> Any:
        return json.loads(self.text)

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """Name and arguments of each whole call."""
        return [(call.name, json.loads(call.arguments)) for call in self.transcript.choice().calls if call.is_whole]

    @property
    def finish(self) -> str:
        finish = self.transcript.choice().finish
        assert finish is not None
        return finish.reason

    @property
    def pieces(self) -> int:
        """How many pieces of text came."""
        return sum(isinstance(event, TextDelta) for event in self.events)


def ask_planned(socket_path: Path, request: ChatRequest, *, supports_tools: bool = False) -> Answered:
    """The answer of a real worker to a planned request; the likeliest token always, 100 of them at most."""
    request = msgspec.structs.replace(request, temperature=0.0, max_tokens=request.max_tokens or 100)
    schema = plan_schema(request)
    tools = plan_tools(schema.chat, supports_tools=supports_tools)
    body = worker_body(tools.chat, "smol", defaults={}, forwarded={}, fields={}, template={})
    reader, decoder, events = tools.reader(), WorkerStreamDecoder(), list[Event]()
    with open_reply(socket_path, "POST", "/v1/chat/completions", msgspec.json.decode(body)) as reply:
        assert reply.status == 200, reply.read()
        while piece := reply.read1(65536):
            for event in decoder.feed(piece):
                events += reader.feed(event)
    assert decoder.is_done, decoder.error
    return Answered(schema, tools, events)
