"""A worker without an engine: the real one's flags and ready line, then recorded samples over HTTP.

Run as `python tests/support/fake_worker.py` with a worker's flags; it takes any file for a model. It writes what
happens to `<model>.log`, a JSON object on each line: `loaded` (pid, flags), `start` (id, prompt, running) and `end`
(id, how: `finished` or `client left`).

By a word in the model file's name: `fail` ends with status 1 and a recorded log, `oom` is killed while it loads,
`slowload` takes a second and ever more memory, `neverload` never ends loading, `tools` has a chat template with tools,
`vision` takes images.

By a word in the last user message, else a recorded answer of a few words:

    #slow      a token each 0.1 s, without end        #die       SIGKILL after three tokens
    #prefill   nothing at all until the client leaves #cut       the connection closes after three tokens
    #overflow  400, the prompt is too long            #error     an error frame in mid-stream
    #bad       400, a bad field                       #tools     a recorded tool call
    #length    a recorded answer cut at max_tokens    #progress  prompt progress, then an empty answer
    #count     the number of chats begun so far       #echo      the request's body, as the answer's text
    #rounds    what follows, as JSON, is a list of rounds, each a list of calls `[name, arguments]`; one round is
               answered after the other, then the request's body as the answer's text
    #think     two pieces of reasoning, then the recorded answer

Other routes answer with what was recorded, whatever they are asked; embeddings with one vector for each text.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[1] / "samples" / "llama_cpp"
RECORDED_KEY = b'"model":"smollm2-135m-instruct"'
WHOLE_REPLIES = {"#overflow": "overflow.json", "#bad": "bad_request.json"}
GET_REPLIES = {"/health": "health.json", "/props": "props.json"}
POST_REPLIES = {
    "/tokenize": "tokenize.json",
    "/detokenize": "detokenize.json",
    "/apply-template": "apply_template.json",
    "/v1/chat/completions/input_tokens": "input_tokens.json",
    "/v1/messages/count_tokens": "count_tokens.json",
}
STREAMS = {
    "#error": "error_in_stream.sse",
    "#tools": "tools.sse",
    "#length": "chat_length.sse",
    "#progress": "chat_progress.sse",
}
TOKEN_PAUSE_S = 0.1


def main() -> None:
    flags = _flags()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    name = flags.model.name
    if "fail" in name:
        sys.stderr.write((SAMPLES / "load_unknown_architecture.txt").read_text())
        sys.exit(1)
    if "oom" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "neverload" in name:
        threading.Event().wait()
    if "slowload" in name:
        _load_slowly()
    asyncio.run(_FakeWorker(flags).serve())


def _load_slowly() -> None:
    # Memory that is touched is what the progress of a load is read from.
    loaded = bytearray()
    for _ in range(20):
        loaded += bytes(b"x" * 4_000_000)
        time.sleep(0.05)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--socket"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--alias", required=True)
    for name in ("--context", "--parallel", "--threads", "--batch", "--gpu-layers", "--parent"):
        parser.add_argument(name, type=int, default=1)
    for name in ("--mmap", "--flash-attention", "--kv-type", "--rope-base", "--rope-scale", "--draft", "--seed"):
        parser.add_argument(name)
    for name in ("--chat-template", "--projector", "--pooling"):
        parser.add_argument(name)
    for name in ("--mlock", "--kv-in-ram", "--ngram", "--embedding"):
        parser.add_argument(name, action="store_true")
    return parser.parse_args()


def _end_with_the_pipe() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


class _FakeWorker:
    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self.log = flags.model.with_name(f"{flags.model.name}.log").open("a", buffering=1)
        self.begun = 0
        self.running = 0

    async def serve(self) -> None:
        server = await asyncio.start_unix_server(self.connected, self.flags.socket)
        flags = {name: str(value) for name, value in vars(self.flags).items()}
        self.note(event="loaded", pid=os.getpid(), flags=flags)
        ready = json.loads((SAMPLES / "ready.json").read_bytes()) | {
            "address": f"unix://{self.flags.socket}",
            "context_length": self.flags.context,
            "parallel": self.flags.parallel,
            "threads": self.flags.threads,
            "supports_tools": "tools" in self.flags.model.name,
            "supports_vision": "vision" in self.flags.model.name,
            "is_embedding": self.flags.embedding,
            "pooling": self.flags.pooling,
            "input_limit_tokens": self.flags.context if self.flags.embedding else None,
            "engine": "fake",
        }
        print("The fake worker is ready.", file=sys.stderr, flush=True)
        print(json.dumps(ready), flush=True)
        await server.serve_forever()

    def note(self, **event: Any) -> None:
        self.log.write(json.dumps(event) + "\n")

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.answer(reader, writer):
                pass
        except ConnectionError:
            pass  # the client left; the log says so where it matters
        finally:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; whether the connection stays open for another."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return False
        method, path, _ = head.split(" ", 2)
        headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if (method, path) == ("POST", "/v1/chat/completions"):
            await self.chat(json.loads(body), reader, writer)
            return False  # as the real one, which closes after every stream, and after an error
        known = {"GET": GET_REPLIES, "POST": POST_REPLIES}.get(method, {})
        if path == "/v1/rerank":
            await _reply(writer, 200, _scores(json.loads(body)))
        elif path == "/v1/embeddings":
            await _reply(writer, 200, _vectors(json.loads(body), self.flags.alias))
        elif path in known:
            await _reply(writer, 200, (SAMPLES / known[path]).read_bytes())
        else:
            await _reply(writer, 404, b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}')
        return True

    async def chat(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.begun += 1
        self.running += 1
        number, prompt = self.begun, _last_user_text(body)
        self.note(event="start", id=number, prompt=prompt, running=self.running)
        # Reading ends when the client leaves: it sends nothing more on this connection.
        gone = asyncio.create_task(reader.read())
        work = asyncio.create_task(self.write_answer(body, prompt, writer))
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
        finished = work.done() and not work.cancelled() and work.exception() is None
        for task in (gone, work):
            task.cancel()
        results = await asyncio.gather(gone, work, return_exceptions=True)
        self.running -= 1
        self.note(event="end", id=number, how="finished" if finished else "client left")
        for error in results:
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                raise error

    async def write_answer(self, body: dict[str, Any], prompt: str, writer: asyncio.StreamWriter) -> None:
        for word, name in WHOLE_REPLIES.items():
            if word in prompt:
                await _reply(writer, 400, (SAMPLES / name).read_bytes())
                return
        if body.get("stream") is not True:
            message = "The fake worker only streams: ask it with stream true."
            await _reply(writer, 500, json.dumps({"error": {"message": message, "code": 500}}).encode())
            return
        if "#prefill" in prompt:
            await asyncio.Event().wait()
        writer.write(
            b"HTTP/1.1 200 OK\r\nServer: fake\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\n"
        )
        async for frame in self.frames(body, prompt):
            data = frame.replace(RECORDED_KEY, b'"model":' + json.dumps(self.flags.alias).encode()) + b"\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
        if "#cut" not in prompt:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    async def frames(self, body: dict[str, Any], prompt: str) -> AsyncIterator[bytes]:
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        role, *tokens, finish, counts, done = _sample("chat_stop_usage.sse")
        if "#count" in prompt or "#echo" in prompt:
            text = str(self.begun) if "#count" in prompt else json.dumps(body)
            tokens = [_with_text(tokens[0], text)]
        if "#rounds" in prompt:
            rounds = json.loads(prompt.partition("#rounds")[2])
            done_rounds = _rounds_since_the_prompt(body)
            if done_rounds < len(rounds) and body.get("tools"):
                for frame in _call_frames(rounds[done_rounds]):
                    yield frame
                return
            tokens = [_with_text(tokens[0], json.dumps(body))]
        for word, name in STREAMS.items():
            if word in prompt:
                for frame in _sample(name):
                    yield frame
                return
        yield role
        if "#think" in prompt:
            tokens = [_with_text(tokens[0], text, "reasoning_content") for text in ("Let me ", "see.")] + tokens
        if "#slow" in prompt:
            while True:
                yield tokens[0]
                await asyncio.sleep(TOKEN_PAUSE_S)
        if "#die" in prompt or "#cut" in prompt:
            for frame in tokens[:3]:
                yield frame
            if "#die" in prompt:
                os.kill(os.getpid(), signal.SIGKILL)
            return
        for frame in [*tokens, finish, *([counts] if usage else []), done]:
            yield frame


def _sample(name: str) -> list[bytes]:
    return [frame for frame in (SAMPLES / name).read_bytes().split(b"\n\n") if frame]


def _vectors(body: dict[str, Any], alias: str) -> bytes:
    """The recorded vector, once for each text."""
    reply = json.loads((SAMPLES / "embeddings.json").read_bytes())
    given = body["input"]
    # Token ids of one text are a list of numbers.
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    vector = reply["data"][0]["embedding"]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    reply["data"] = [reply["data"][0] | {"index": index, "embedding": vector} for index in range(count)]
    tokens = reply["usage"]["prompt_tokens"] * count
    reply["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json.dumps(reply | {"model": alias}).encode()


def _scores(body: dict[str, Any]) -> bytes:
    """The recorded scores, in turn, for as many documents as there are."""
    reply = json.loads((SAMPLES / "rerank.json").read_bytes())
    recorded = reply["results"]
    count = len(body["documents"])
    reply["results"] = [recorded[index % len(recorded)] | {"index": index} for index in range(count)]
    return json.dumps(reply).encode()


def _with_text(frame: bytes, text: str, field: str = "content") -> bytes:
    chunk = json.loads(frame.removeprefix(b"data: "))
    chunk["choices"][0]["delta"] = {field: text}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode()


def _rounds_since_the_prompt(body: dict[str, Any]) -> int:
    roles = [message["role"] for message in body["messages"]]
    return roles[len(roles) - roles[::-1].index("user") :].count("assistant")


def _call_frames(calls: list[tuple[str, Any]]) -> list[bytes]:
    """The recorded call with other names and arguments; arguments that are text are written as they are."""
    role, first, piece, *_, finish, done = _sample("tools.sse")
    frames = [role]
    for index, (name, arguments) in enumerate(calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        for frame, function in ((first, {"name": name, "arguments": text[:1]}), (piece, {"arguments": text[1:]})):
            chunk = json.loads(frame.removeprefix(b"data: "))
            (call,) = chunk["choices"][0]["delta"]["tool_calls"]
            call |= {"index": index, "function": function}
            frames.append(b"data: " + json.dumps(chunk, separators=(",", ":")).encode())
    return [*frames, finish, _sample("chat_stop_usage.sse")[-2], done]


def _last_user_text(body: dict[str, Any]) -> str:
    texts = [message["content"] for message in body.get("messages", []) if message.get("role") == "user"]
    last = texts[-1] if texts else ""
    return last if isinstance(last, str) else " ".join(part.get("text", "") for part in last)


async def _reply(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    writer.write(
        f"HTTP/1.1 {status} x\r\nServer: fake\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()


if __name__ == "__main__":
    main()
