"""A server of OpenAI's chats, in a process of its own so that it costs no client: fixed bytes at an exact pace.

The last message says what is wanted: `tokens=400 pace_us=500`. A request with `"stream": true` gets that many chunks
that far apart; any other gets a short plain reply at once, or what `bench.typed_answers` has for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from bench.paced_server import LAST_PIECE, Paced, PacedServer, asked, piece
from bench.processes import ROOT, child_environment, pin_to
from bench.typed_answers import MODEL, chat_reply, typed_reply

TEXT = "The sky is blue because air scatters short waves of light more than long ones"


@contextlib.contextmanager
def canned_server() -> Iterator[str]:
    """The base URL of a server that runs until the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.canned_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=child_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def _event(fields: dict[str, object]) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return piece(b"data: " + json.dumps(head | {"system_fingerprint": MODEL} | fields).encode() + b"\n\n")


def _choice(delta: dict[str, str], reason: str | None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}


_USAGE = {"prompt_tokens": 5, "completion_tokens": 15, "total_tokens": 20}
_TOKENS = [_event(_choice({"role": "assistant", "content": f" {word}"}, None)) for word in TEXT.split()]
_END = _event(_choice({}, "stop")) + _event({"choices": [], "usage": _USAGE}) + piece(b"data: [DONE]\n\n") + LAST_PIECE
_PLAIN = chat_reply({"content": TEXT}, "stop", _USAGE)


def _answer(_: str, body: bytes) -> bytes | Paced:
    request = json.loads(body)
    if not request.get("stream"):
        return typed_reply(request) or _PLAIN
    tokens, pace_us = asked(body)
    return Paced(count=tokens, pace_us=pace_us, tokens=_TOKENS, end=_END)


def main() -> None:
    pin_to("server")
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    os.write(1, b"%d\n" % listener.getsockname()[1])
    PacedServer(listener, _answer).run()


if __name__ == "__main__":
    main()
