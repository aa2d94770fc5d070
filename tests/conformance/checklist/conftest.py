"""A live gateway with fake workers for the checklist of a drop-in server, and how its tests ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.conftest import Gateway, model_file
from tests.support.serve import PATIENCE_S, serve
from tests.support.starter_gateway import starter_gateway
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import FAKE_WORKER

THINKING_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}{% endfor %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
)
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
ECHO: list[dict[str, Any]] = [{"role": "user", "content": "#echo"}]


@contextmanager
def checked_gateway(home: Path, **settings: Any) -> Iterator[Gateway]:
    """A gateway over models of every kind: first, second, thinker, tools (knows tools), vectors, judge."""
    for key in ("first", "second", "tools"):
        write_tiny_gguf(model_file(home, key))
    write_tiny_gguf(model_file(home, "thinker"), chat_template=THINKING_TEMPLATE)
    write_tiny_gguf(model_file(home, "vectors"), architecture="bert", more={"bert.pooling_type": 1})
    write_tiny_gguf(model_file(home, "judge"), architecture="bert", more={"bert.pooling_type": 4})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with (
            serve(home, worker_command=FAKE_WORKER, **settings) as served,
            httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
        ):
            yield Gateway(served, home, client)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that leave nothing behind which others could see."""
    with checked_gateway(tmp_path_factory.mktemp("checklist"), parallel=4, max_loaded=6) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Iterator[httpx2.Client]:
    """A client of a gateway with the real engine and the starter model."""
    with (
        starter_gateway(tmp_path_factory.mktemp("real"), starter_model) as served,
        httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
    ):
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of the test's own, with room for one model on demand."""
    with checked_gateway(tmp_path) as gateway:
        yield gateway


def post(gateway: Gateway, path: str, body: dict[str, Any], status: int = 200, **headers: str) -> Any:
    """The reply's JSON."""
    reply = gateway.client.post(path, json=body, headers=headers)
    assert reply.status_code == status, reply.text
    return reply.json()


def get(gateway: Gateway, path: str, status: int = 200) -> Any:
    reply = gateway.client.get(path)
    assert reply.status_code == status, reply.text
    return reply.json()


def frames(gateway: Gateway, path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """The name (empty where there is none) and data of each event of a stream; data is text where it is no JSON."""
    reply = gateway.client.post(path, json={**body, "stream": True})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    found: list[tuple[str, Any]] = []
    for frame in reply.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in lines:
            data = lines["data"]
            found.append((lines.get("event", ""), json.loads(data) if data.startswith("{") else data))
    return found


def runs(names: list[Any]) -> list[Any]:
    """The names with each run of the same one told once."""
    return [name for position, name in enumerate(names) if position == 0 or names[position - 1] != name]


def heard(gateway: Gateway, path: str, **fields: Any) -> dict[str, Any]:
    """What a worker was asked for a request with `fields`, by a worker that answers with just that."""
    if path == "/v1/responses":
        answer = post(gateway, path, {"model": "first", "input": "#echo", **fields})
        return json.loads(answer["output"][-1]["content"][0]["text"])
    if path == "/api/v1/chat":
        return json.loads(post(gateway, path, {"model": "first", "input": "#echo", **fields})["output"][-1]["content"])
    if path == "/v1/messages":
        answer = post(gateway, path, {"model": "first", "max_tokens": 9, "messages": ECHO, **fields})
        return json.loads(answer["content"][-1]["text"])
    answer = post(gateway, path, {"model": "first", "messages": ECHO, **fields})
    return json.loads(answer["choices"][0]["message"]["content"])
