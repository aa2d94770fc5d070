"""The least that a gateway could do: `python -m bench.floor_gateway SOCKET`.

A bare ASGI application on the gateway's own uvicorn: it sends each request's body to the worker as it is, and passes
on the reply's bytes as they come. Nothing is looked at, checked, queued or noticed to have left.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import httptools
import uvicorn
import uvloop

from bench.served import READY_LINE

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


class _Body:
    """What the worker's reply holds, without the marks of its pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)


def floor(worker_socket: str) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        more_body = True
        while more_body:
            message = await receive()
            body += message["body"]
            more_body = message["more_body"]
        reader, writer = await asyncio.open_unix_connection(worker_socket)
        head = f"POST {scope['path']} HTTP/1.1\r\nHost: worker\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        reply = _Body()
        parser = httptools.HttpResponseParser(reply)
        await send(_START)
        while data := await reader.read(65536):
            parser.feed_data(data)
            await send({"type": "http.response.body", "body": b"".join(reply.pieces), "more_body": True})
            reply.pieces.clear()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        writer.close()

    return app


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        assert sockets is not None
        sys.stderr.write(f"{READY_LINE}http://127.0.0.1:{sockets[0].getsockname()[1]}\n")
        sys.stderr.flush()


def main() -> None:
    config = uvicorn.Config(
        floor(sys.argv[1]), http="httptools", ws="none", lifespan="off", access_log=False, log_config=None
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
