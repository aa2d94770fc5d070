"""Records `tests/samples/llama_cpp/` afresh from the real engine and the starter model.

Run it by hand: `.venv/bin/python tests/support/record_llama_cpp_samples.py MODEL.gguf`. What each file is stands in
the folder's README.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEY = "smollm2-135m-instruct"
SAMPLES = Path(__file__).parents[1] / "samples" / "llama_cpp"
ASK: dict[str, Any] = {"model": KEY, "stream": True, "temperature": 0, "seed": 1}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TOOL_TEMPLATE = """{%- if tools %}<|im_start|>system
You may call functions:{% for tool in tools %} {{ tool | tojson }}{% endfor %}
For each call return <tool_call>
{"name": <name>, "arguments": <arguments>}
</tool_call><|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{%- for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
# Settings that roci's worker never uses, so this is not started through it.
BARE_SERVER = """
import json, os, sys, xllamacpp
given, p = json.loads(sys.argv[1]), xllamacpp.CommonParams()
p.model.path, p.model_alias, p.hostnames = given["model"], {given["key"]}, ["bare.sock"]
p.n_ctx, p.n_parallel, p.kv_unified, p.ui = given["n_ctx"], given["parallel"], given["unified"], False
p.chat_template = given["template"]
server = xllamacpp.Server(p)
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
"""


def main(model: Path) -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # Everything is named relatively, so that no sample holds a path of this machine.
        os.chdir(folder)
        Path("model.gguf").symlink_to(model)
        _record_chat()
        _record_error_in_stream()
        _record_tools()
        _record_vectors()
        _record_load_failures(model.read_bytes())
        _record_option_failures(model.read_bytes())


def _record_chat() -> None:
    with _server([*_worker("model.gguf"), "--context=2048", "--parallel=2"]) as ready:
        _save("ready.json", ready.encode())
        _save("health.json", _ask("worker.sock", "GET", "/health"))
        _save("props.json", _ask("worker.sock", "GET", "/props"))
        usage = {"include_usage": True}
        _chat("chat_length.sse", "worker.sock", _user("Tell me a story about a river."), max_tokens=12)
        _chat("chat_stop_usage.sse", "worker.sock", _user("Say hello in five words."), stream_options=usage)
        long = _user("word " * 300)
        _chat("chat_progress.sse", "worker.sock", long, max_tokens=3, return_progress=True, stream_options=usage)
        _chat("overflow.json", "worker.sock", _user("word " * 3000))
        _chat("bad_request.json", "worker.sock", _user("hi"), n=9)
        two = {"prompt": ["Count: 1, 2, 3,", "Once upon a"], "n": 2, "max_tokens": 3, "return_progress": True}
        _save("completion_two_prompts.sse", _ask("worker.sock", "POST", "/v1/completions", ASK | two))
        likely = {"prompt": "Count: 1, 2, 3,", "max_tokens": 2, "logprobs": 2}
        _save("completion_logprobs.sse", _ask("worker.sock", "POST", "/v1/completions", ASK | likely))
        _record_tokens()


def _record_tokens() -> None:
    messages = _user("Say hello in five words.")
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "tokenize.json": ("/tokenize", {"content": "hello world"}),
        "detokenize.json": ("/detokenize", {"tokens": [28120, 905]}),
        "apply_template.json": ("/apply-template", {"messages": messages}),
        "input_tokens.json": ("/v1/chat/completions/input_tokens", {"messages": messages}),
        "count_tokens.json": ("/v1/messages/count_tokens", {"messages": messages}),
    }
    for name, (path, body) in asked.items():
        _save(name, _ask("worker.sock", "POST", path, body))


def _record_vectors() -> None:
    with _server([*_worker("model.gguf"), "--context=256", "--embedding", "--pooling=mean"]):
        _save("embeddings.json", _ask("worker.sock", "POST", "/v1/embeddings", {"input": "a cat"}))
    with _server([*_worker("model.gguf"), "--context=256", "--embedding", "--pooling=rank"]):
        body = {"query": "a cat", "documents": ["a dog", "a tax form"]}
        _save("rerank.json", _ask("worker.sock", "POST", "/v1/rerank", body))


def _record_error_in_stream() -> None:
    replies: list[bytes] = []
    with _server(_bare(n_ctx=400, parallel=2, unified=True)):

        def ask() -> None:
            body = ASK | {"messages": _user("Tell me a long story."), "max_tokens": 390, "ignore_eos": True}
            replies.append(_ask("bare.sock", "POST", "/v1/chat/completions", body))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    frames = replies[0].split(b"\n\n")
    _save("error_in_stream.sse", b"\n\n".join([*frames[:4], *(f for f in frames if b'"error"' in f), b""]))


def _record_tools() -> None:
    with _server(_bare(n_ctx=2048, parallel=1, unified=False, template=TOOL_TEMPLATE)):
        messages: list[dict[str, Any]] = []
        for city in ("Rome", "Oslo", "Cairo"):  # the model is small and needs to be shown how
            call = {"name": "get_weather", "arguments": json.dumps({"city": city})}
            tool_calls = [{"id": city, "type": "function", "function": call}]
            messages += _user(f"Weather in {city}?")
            messages.append({"role": "assistant", "content": "", "tool_calls": tool_calls})
        messages += _user("Weather in Paris?")
        _chat("tools.sse", "bare.sock", messages, tools=[WEATHER], max_tokens=60)


def _record_load_failures(model: bytes) -> None:
    layers = model.index(b"llama.block_count") + len(b"llama.block_count") + 4
    architecture = model.index(b"llama", model.index(b"general.architecture"))
    files = {
        "load_truncated.txt": model[:50_000_000],
        "load_header_cut.txt": model[:3000],
        "load_unknown_architecture.txt": model[:architecture] + b"lxama" + model[architecture + 5 :],
        "load_missing_tensor.txt": model[:layers] + bytes([31]) + model[layers + 1 :],
        "load_not_gguf.txt": b"<html>" + model[:100],
        "load_old_format.txt": b"lmgg" + model[4:3000],
        "load_no_such_file.txt": b"",
    }
    for name, data in files.items():
        path = Path(name.replace(".txt", ".gguf"))
        if data:
            path.write_bytes(data)
        _save(name, subprocess.run(_worker(str(path)), capture_output=True, stdin=subprocess.DEVNULL).stderr)
        path.unlink(missing_ok=True)
    too_much = [*_worker("model.gguf"), "--context=20000000"]
    _save("load_no_memory.txt", subprocess.run(too_much, capture_output=True, stdin=subprocess.DEVNULL).stderr)


def _record_option_failures(model: bytes) -> None:
    word = b"\x07\0\0\0\0\0\0\0science"
    files = {
        "draft.gguf": model.replace(word, word[:-1] + b"x"),
        "template.jinja": b"{% for message in messages %}broken {{",
        "projector.gguf": model[:3000],
    }
    for name, data in files.items():
        Path(name).write_bytes(data)
    for name, flag in (
        ("load_other_vocabulary.txt", "--draft=draft.gguf"),
        ("load_bad_template.txt", "--chat-template=template.jinja"),
        ("load_bad_projector.txt", "--projector=projector.gguf"),
    ):
        command = [*_worker("model.gguf"), "--context=256", flag]
        _save(name, subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stderr)


def _worker(model: str) -> list[str]:
    Path("worker.sock").unlink(missing_ok=True)
    return [sys.executable, "-m", "roci.worker", f"--model={model}", f"--alias={KEY}", "--socket=worker.sock"]


def _bare(*, n_ctx: int, parallel: int, unified: bool, template: str = "") -> list[str]:
    Path("bare.sock").unlink(missing_ok=True)
    given = {"model": "model.gguf", "key": KEY, "n_ctx": n_ctx, "parallel": parallel}
    return [sys.executable, "-c", BARE_SERVER, json.dumps(given | {"unified": unified, "template": template})]


@contextlib.contextmanager
def _server(command: list[str]) -> Iterator[str]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.kill()


def _user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def _chat(name: str, address: str, messages: list[dict[str, Any]], **more: Any) -> None:
    _save(name, _ask(address, "POST", "/v1/chat/completions", ASK | {"messages": messages} | more))


def _ask(address: str, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    connection = http.client.HTTPConnection("localhost", timeout=120)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(address)
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        return connection.getresponse().read()


def _save(name: str, data: bytes) -> None:
    (SAMPLES / name).write_bytes(data)
    print(f"{name}: {len(data)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
