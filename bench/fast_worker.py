"""A worker without an engine that streams faster than any: what is left to measure is the gateway.

Takes a worker's flags, prints a worker's ready line, and answers chats and completions with llama.cpp's chunks, one
piece of the answer in each, as many and as far apart as the prompt says (`wanted` in `paced_server.py`).
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from bench.paced_server import HEAD, LAST_PIECE, Paced, PacedServer, asked, piece
from roci.engine.worker_options import WorkerReady

WORD: Final = " sky"
SHOWN_WORD: Final = b'" sky"'
"""How each token stands in an event, in every dialect."""
PARALLEL: Final = 4
_COMPLETIONS: Final = "/v1/completions"
_PROMPT: Final = {"total": 12, "cache": 11, "processed": 12, "time_ms": 0}
_TIMINGS: Final = {"cache_n": 11, "prompt_n": 1, "prompt_ms": 1.5, "predicted_n": 2, "predicted_ms": 2.5}
_USAGE: Final = {"completion_tokens": 2, "prompt_tokens": 12, "prompt_tokens_details": {"cached_tokens": 11}}


class Script:
    """The events of one route's answers, as llama.cpp writes them."""

    def __init__(self, path: str, model: str) -> None:
        self._is_completion = path == _COMPLETIONS
        kind = "text_completion" if self._is_completion else "chat.completion.chunk"
        told = {"created": 1795347378, "id": "chatcmpl-WgBdMMVggpy0vo5oj9xzETHpzhAURxjP", "model": model}
        self._told = told | {"system_fingerprint": "b0-unknown", "object": kind}
        end = {"usage": _USAGE, "timings": _TIMINGS}
        if self._is_completion:
            last = self._event("", "stop", end)
        else:
            counts = {"choices": []} | self._told | end
            last = self._event(None, "stop") + piece(b"data: " + _json(counts) + b"\n\n")
        self.begin = self._event("" if self._is_completion else None, None, {"prompt_progress": _PROMPT})
        self.tokens = [self._event(WORD, None)]
        self.end = last + piece(b"data: [DONE]\n\n") + LAST_PIECE

    def _event(self, text: str | None, reason: str | None, more: Mapping[str, object] | None = None) -> bytes:
        delta = {"role": "assistant", "content": None} if text is None and reason is None else {"content": text}
        said = {"text": text, "logprobs": None} if self._is_completion else {"delta": {} if reason else delta}
        choice = {"finish_reason": reason, "index": 0, **said}
        return piece(b"data: " + _json({"choices": [choice]} | self._told | dict(more or {})) + b"\n\n")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def main() -> None:
    flags = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(flags["socket"])
    listener.listen(64)
    scripts = {path: Script(path, flags["alias"]) for path in ("/v1/chat/completions", _COMPLETIONS)}

    def answer(path: str, body: bytes) -> Paced:
        tokens, pace_us = asked(body)
        script = scripts[path]
        return Paced(
            count=tokens,
            pace_us=pace_us,
            begin=HEAD + script.begin,
            tokens=script.tokens,
            end=script.end,
            closes=True,
        )

    ready = WorkerReady(
        address=f"unix://{flags['socket']}",
        load_time_s=0.0,
        context_length=int(flags["context"]),
        parallel=PARALLEL,
        threads=1,
        supports_tools=True,
        supports_vision=False,
        supports_system=True,
        chat_template=True,
        engine="fast worker",
    )
    os.write(1, msgspec.json.encode({"event": "ready", **msgspec.to_builtins(ready)}) + b"\n")
    PacedServer(listener, answer).run()


if __name__ == "__main__":
    main()
