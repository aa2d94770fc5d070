"""An MCP server. Run as `python tests/support/mcp_server.py stdio`, or `http TOKEN` for a free port, which it prints.

Over HTTP it wants the header `Authorization: Bearer TOKEN`, or nothing where TOKEN is empty. In the file that the
variable MCP_LOG names it notes, with its process id, that it `started`, and of each call of `wait` that it has `begun`
and, if nobody waits any more, was `cancelled`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import EmbeddedResource, TextResourceContents

server = MCPServer("tests", log_level="CRITICAL")


@server.tool()
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


@server.tool()
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("no such luck")


@server.tool()
def shout(size: int) -> str:
    """A long text."""
    return "x" * size


@server.tool()
def manual() -> EmbeddedResource:
    """A part that is no plain text."""
    contents = TextResourceContents(uri="file:///manual.txt", text="Read me.", mime_type="text/plain")
    return EmbeddedResource(type="resource", resource=contents)


@server.tool()
def variables() -> list[str]:
    """The names of the environment."""
    return sorted(os.environ)


@server.tool()
async def wait() -> str:
    """Never ends."""
    note("begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note("cancelled")
        raise
    return ""


@server.tool()
def die() -> str:
    """Ends the server."""
    print("These are my last words.", file=sys.stderr, flush=True)
    os._exit(3)


def note(word: str) -> None:
    if "MCP_LOG" in os.environ:
        with Path(os.environ["MCP_LOG"]).open("a") as file:
            file.write(f"{word} {os.getpid()}\n")


def serve_http(token: str) -> None:
    app = server.streamable_http_app()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and token and headers.get(b"authorization") != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"no token"})
            return
        await app(scope, receive, send)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(guarded, log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    note("started")
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        serve_http(sys.argv[2])
