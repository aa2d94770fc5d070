"""The fake worker does what its docstring says: other tests rely on it."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from roci.engine.worker_process import WorkerProcess
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import (
    FAKE_WORKER,
    PATIENCE_S,
    ask_chat,
    chat_body,
    chunks_of,
    fake_log,
    open_reply,
    text_of,
    wait_for_event,
)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess.start("my-model", write_tiny_gguf(tmp_path / "tools.gguf"), command=FAKE_WORKER)
    yield worker
    worker.stop()


@pytest.fixture
def socket_path(worker: WorkerProcess) -> Path:
    return worker.ready.result(PATIENCE_S).socket_path


def test_it_streams_the_recorded_answer_under_its_own_name(worker: WorkerProcess, socket_path: Path):
    status, body = ask_chat(socket_path, "hi")
    assert status == 200
    assert text_of(body).startswith("Hello, welcome")
    assert {chunk["model"] for chunk in chunks_of(body)} == {"my-model"}
    assert not any(chunk.get("usage") for chunk in chunks_of(body))
    assert body.endswith("data: [DONE]\n\n")
    wait_for_event(worker.path, event="end", id=1, how="finished")


def test_usage_comes_if_asked_for(socket_path: Path):
    _, body = ask_chat(socket_path, "hi", stream_options={"include_usage": True})
    assert chunks_of(body)[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize(
    ("word", "status", "part"),
    [
        ("#overflow", 400, "exceed_context_size_error"),
        ("#bad", 400, "invalid_request_error"),
        ("#error", 200, '"error":{"code":500'),
        ("#tools", 200, "get_weather"),
        ("#length", 200, '"finish_reason":"length"'),
        ("#progress", 200, "prompt_progress"),
    ],
)
def test_words_choose_the_recorded_reply(socket_path: Path, word: str, status: int, part: str):
    got, body = ask_chat(socket_path, f"please {word}")
    assert got == status
    assert part in body


def test_it_counts_and_echoes(socket_path: Path):
    assert text_of(ask_chat(socket_path, "#count")[1]) == "1"
    assert text_of(ask_chat(socket_path, "#count")[1]) == "2"
    echoed = json.loads(text_of(ask_chat(socket_path, "#echo", top_k=7)[1]))
    assert echoed["top_k"] == 7


def test_a_client_that_leaves_a_slow_stream_is_noticed(worker: WorkerProcess, socket_path: Path):
    with open_reply(socket_path, "POST", "/v1/chat/completions", chat_body("#slow")) as reply:
        assert reply.readline().startswith(b"data: ")
    wait_for_event(worker.path, event="end", id=1, how="client left")


def test_a_client_that_leaves_before_the_first_token_is_noticed(worker: WorkerProcess, socket_path: Path):
    connection = http.client.HTTPConnection("localhost")
    import socket

    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.connect(str(socket_path))
        connection.request("POST", "/v1/chat/completions", json.dumps(chat_body("#prefill")))
        assert wait_for_event(worker.path, event="start")["prompt"] == "#prefill"
    wait_for_event(worker.path, event="end", how="client left")


def test_it_can_die_in_mid_stream(worker: WorkerProcess, socket_path: Path):
    with (
        open_reply(socket_path, "POST", "/v1/chat/completions", chat_body("#die")) as reply,
        pytest.raises((http.client.HTTPException, ConnectionError)),
    ):
        reply.read()
    assert worker.exited.result(PATIENCE_S) == -signal.SIGKILL


def test_it_can_cut_a_stream(socket_path: Path):
    with (
        open_reply(socket_path, "POST", "/v1/chat/completions", chat_body("#cut")) as reply,
        pytest.raises(http.client.IncompleteRead),
    ):
        reply.read()


def test_it_answers_health_and_props_and_says_what_it_loaded(worker: WorkerProcess, socket_path: Path):
    for path, word in (("/health", "ok"), ("/props", "chat_template_caps")):
        with open_reply(socket_path, "GET", path) as reply:
            assert word in reply.read().decode()
    assert fake_log(worker.path)[0]["pid"] == worker.pid
    assert worker.ready.result().supports_tools


def test_it_answers_about_tokens_and_with_vectors_what_was_recorded(socket_path: Path):
    def ask(path: str, body: dict[str, object]) -> dict[str, object]:
        with open_reply(socket_path, "POST", path, body) as reply:
            assert reply.status == 200
            return json.loads(reply.read())

    assert ask("/tokenize", {"content": "x"})["tokens"]
    assert ask("/detokenize", {"tokens": [1]})["content"]
    assert ask("/v1/rerank", {"query": "x", "documents": ["y"]})["results"]
    for given, count in (("x", 1), (["x", "y"], 2), ([1, 2, 3], 1), ([[1], [2]], 2)):
        data = ask("/v1/embeddings", {"input": given})["data"]
        assert isinstance(data, list)
        assert [item["index"] for item in data] == list(range(count))
