"""`/api/v0`: OpenAI's routes with figures, model and runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.conftest import Gateway, chat
from tests.server.test_lmstudio_v1 import error
from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S, serve

EMBEDDING_MODEL = Path(__file__).parents[3] / "shared" / "models" / "all-MiniLM-L6-v2.Q8_0.gguf"


def ask(gateway: Gateway, body: dict[str, Any]) -> httpx2.Response:
    return gateway.client.post("/api/v0/chat/completions", json=body)


def chunks(reply: httpx2.Response) -> list[dict[str, Any]]:
    frames = [frame for frame in reply.text.split("\n\n") if frame.startswith("data: ")]
    assert frames[-1] == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]


def test_a_chat_has_openai_s_reply_and_three_blocks(lasting_gateway: Gateway):
    reply = ask(lasting_gateway, chat()).json()
    plain = lasting_gateway.ask(chat()).json()
    assert reply["choices"] == plain["choices"]
    assert set(reply) - set(plain) == {"model_info", "runtime"}
    assert reply["stats"]["stop_reason"] == "eosFound"
    assert reply["model_info"] == {"arch": "llama", "quant": "Q8_0", "format": "gguf", "context_length": 2048}
    assert set(reply["runtime"]) == {"name", "version", "supported_formats"}


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_has_the_blocks_on_its_last_chunk(lasting_gateway: Gateway, usage: bool):
    found = chunks(ask(lasting_gateway, chat(stream=True, stream_options={"include_usage": usage})))
    assert found[-1]["stats"]["stop_reason"] == "eosFound"
    assert found[-1]["model_info"]["arch"] == "llama"
    assert bool(found[-1]["choices"]) is not usage
    assert not any("model_info" in chunk for chunk in found[:-1])


@compatible("POST /api/v0/chat/completions", "`stats.stop_reason`", "same")
def test_the_end_is_told_in_lm_studio_s_words(lasting_gateway: Gateway):
    assert ask(lasting_gateway, chat("#length")).json()["stats"]["stop_reason"] == "maxPredictedTokensReached"
    text = ask(lasting_gateway, chat()).json()["choices"][0]["message"]["content"]
    stopped = ask(lasting_gateway, chat(stop=[text.split()[1]])).json()
    assert stopped["stats"]["stop_reason"] == "stopStringFound"
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert text.startswith(stopped["choices"][0]["message"]["content"])


def test_errors_are_openai_s(lasting_gateway: Gateway):
    assert error(ask(lasting_gateway, chat(model="nobody")), 404)["code"] == "model_not_found"
    assert error(ask(lasting_gateway, chat("#overflow")), 400)["code"] == "context_length_exceeded"
    assert error(ask(lasting_gateway, {"model": "first"}), 400)["param"] == "messages"
    assert error(lasting_gateway.client.post("/api/v0/completions", json={"model": "first"}), 400)["param"] == "prompt"
    assert error(lasting_gateway.client.post("/api/v0/embeddings", json={"model": "first"}), 400)["param"] == "input"


def test_a_stream_that_breaks_ends_with_openai_s_error(lasting_gateway: Gateway):
    reply = ask(lasting_gateway, chat("#die", stream=True))
    assert json.loads(reply.text.split("data: ")[-1])["error"]["code"] == "worker_died"
    assert "[DONE]" not in reply.text


def test_a_client_that_leaves_frees_its_place(lasting_gateway: Gateway):
    with lasting_gateway.asking(chat("#slow"), "/api/v0/chat/completions"):
        lasting_gateway.wait_for_running(1)
    lasting_gateway.wait_for_running(0)
    assert lasting_gateway.running() == 0


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of a gateway over a real embedding model."""
    if not EMBEDDING_MODEL.exists():
        pytest.skip(f"there is no {EMBEDDING_MODEL.name}")
    home = tmp_path_factory.mktemp("home")
    file = home / "models" / "tests" / "minilm" / "minilm.gguf"
    file.parent.mkdir(parents=True)
    file.symlink_to(EMBEDDING_MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with serve(home) as served, httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client:
            yield client


def test_embeddings_have_openai_s_reply_model_and_runtime(vectors: httpx2.Client):
    body = {"model": "minilm", "input": ["A cat."], "ttl": 60}
    reply = vectors.post("/api/v0/embeddings", json=body).json()
    plain = vectors.post("/v1/embeddings", json=body).json()
    assert reply["data"] == plain["data"]
    assert reply["usage"]["prompt_tokens"] > 0
    assert (reply["stats"], reply["model_info"]["arch"]) == ({}, "bert")


def test_an_embedding_model_loads_explicitly_and_cannot_chat(vectors: httpx2.Client):
    wanted = {"model": "minilm", "echo_load_config": True}
    loaded = vectors.post("/api/v1/models/load", json=wanted).json()
    assert (loaded["type"], loaded["load_config"]) == ("embedding", {"context_length": 512})
    refused = error(vectors.post("/api/v1/chat", json={"model": loaded["instance_id"], "input": "hi"}), 400)
    assert refused["code"] == "not_a_chat_model"
    (entry,) = vectors.get("/api/v1/models").json()["models"]
    assert all(copy["config"] == {"context_length": 512} for copy in entry["loaded_instances"])
