"""A server that plays a conversation with tools: a reply for each request, streamed where a stream is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import roci
from tests.support.canned_server import CannedServer, Reply, Request, canned_server, chunk, completion

CHAT = "POST /v1/chat/completions"
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def call(name: str, arguments_json: str = "{}", call_id: str = "") -> dict[str, Any]:
    return {
        "id": call_id or f"id-{name}",
        "type": "function",
        "function": {"name": name, "arguments": arguments_json},
    }


class Turn:
    """What the model says: text, and calls."""

    def __init__(self, text: str = "", *calls: dict[str, Any], finish: str | None = None) -> None:
        self.text = text
        self.calls = list(calls)
        self.finish = finish or ("tool_calls" if calls else "stop")

    def reply(self, request: Request) -> Reply:
        if not request.json().get("stream"):
            message = {"tool_calls": self.calls}
            return Reply.json(completion(self.text, self.finish, message=message, usage=USAGE))
        pieces = [chunk(self.text)] if self.text else []
        pieces += [chunk(delta={"tool_calls": [{"index": i, **made}]}) for i, made in enumerate(self.calls)]
        return Reply.events(*pieces, chunk(finish=self.finish), {"choices": [], "usage": USAGE})


@contextmanager
def playing(*turns: Turn | Reply) -> Iterator[tuple[roci.LmStudioProvider, CannedServer]]:
    """(Provider, server); requests beyond the last turn get the last one again."""

    def reply(request: Request) -> Reply:
        turn = turns[min(len(server.requests), len(turns)) - 1]
        return turn.reply(request) if isinstance(turn, Turn) else turn

    with canned_server({CHAT: reply}) as server, roci.LmStudioProvider("m", base_url=server.url) as model:
        yield model, server
