"""A gateway with fake workers, and what tests ask it with."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.serve import PATIENCE_S, Served, serve
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import FAKE_WORKER, wait_until

GatewayMaker = Callable[..., AbstractContextManager["Gateway"]]


def chat(text: str = "hi", *, model: str = "first", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


class Gateway:
    """A running gateway as a client and an onlooker see it."""

    def __init__(self, served: Served, home: Path, client: httpx2.Client) -> None:
        self.served = served
        self.home = home
        self.client = client
        self.url = served.url

    def file(self, key: str) -> Path:
        """The file of a model made by `add_model`; its log lies beside it."""
        return model_file(self.home, key)

    def ask(self, body: dict[str, Any]) -> httpx2.Response:
        return self.client.post("/v1/chat/completions", json=body)

    def error(self, body: dict[str, Any] | bytes, status: int) -> dict[str, Any]:
        """The error that a chat is refused with."""
        reply = self.client.post("/v1/chat/completions", content=body) if isinstance(body, bytes) else self.ask(body)
        assert reply.status_code == status, reply.text
        assert {"message", "type", "param", "code"} <= set(reply.json()["error"])
        return reply.json()["error"]

    @contextmanager
    def asking(self, body: dict[str, Any], path: str = "/v1/chat/completions") -> Iterator[http.client.HTTPConnection]:
        """A request whose reply is not waited for; the client leaves at the end of the block."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_S)
        connection.request("POST", path, json.dumps(body))
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def asking_raw(self, method: str, path: str) -> Iterator[http.client.HTTPResponse]:
        """The reply to a path that is sent just as it is written."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_S)
        connection.request(method, path)
        try:
            yield connection.getresponse()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        return self.client.get("/health").json()

    def running(self) -> int:
        return sum(model["running"] for model in self.health()["models"])

    def wait_for_running(self, count: int) -> None:
        wait_until(lambda: self.running() == count, f"{count} running")

    def wait_for_queue(self, length: int) -> None:
        wait_until(lambda: self.health()["queue_length"] == length, f"{length} in the queue")


def model_file(home: Path, key: str) -> Path:
    return home / "models" / "tests" / key / f"{key}.gguf"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A roci home with the models `first` and `second`, and nobody else's models beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for key in ("first", "second"):
        write_tiny_gguf(model_file(tmp_path, key))
    return tmp_path


@pytest.fixture
def make_gateway(home: Path) -> GatewayMaker:
    """Makes gateways with other settings than the usual."""

    @contextmanager
    def make(worker_command: tuple[str, ...] = FAKE_WORKER, **settings: Any) -> Iterator[Gateway]:
        with (
            serve(home, worker_command=worker_command, **settings) as served,
            httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
        ):
            yield Gateway(served, home, client)

    return make


@pytest.fixture
def gateway(make_gateway: GatewayMaker) -> Iterator[Gateway]:
    """A gateway with two slots for each model and one model in memory."""
    with make_gateway(parallel=2) as running:
        yield running


@pytest.fixture(scope="module")
def lasting_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As `gateway`, one for all tests of a file: for those that leave nothing behind which others could see."""
    home = tmp_path_factory.mktemp("home")
    for key in ("first", "second"):
        write_tiny_gguf(model_file(home, key))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with (
            serve(home, worker_command=FAKE_WORKER, parallel=2) as served,
            httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
        ):
            yield Gateway(served, home, client)
