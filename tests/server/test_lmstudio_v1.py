"""`/api/v1` with the real engine: a chat's events and figures, explicit loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S, serve
from tests.support.tiny_images import PNG

KEY = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def asked(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, str]]:
    """A client of a gateway over the starter model, and the stream of the chat that loaded the model."""
    home = tmp_path_factory.mktemp("home")
    file = home / "models" / "HuggingFaceTB" / "SmolLM2-135M-Instruct" / starter_model.name
    file.parent.mkdir(parents=True)
    file.symlink_to(starter_model.resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with serve(home, parallel=2) as served, httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client:
            reply = client.post("/api/v1/chat", json=body(stream=True, context_length=1024))
            assert reply.headers["content-type"].startswith("text/event-stream")
            yield client, reply.text


@pytest.fixture(scope="module")
def client(asked: tuple[httpx2.Client, str]) -> httpx2.Client:
    return asked[0]


def body(text: Any = "Say hello.", **more: Any) -> dict[str, Any]:
    return {"model": KEY, "input": text, "max_output_tokens": 6, "temperature": 0, **more}


def ask(client: httpx2.Client, text: Any = "Say hello.", **more: Any) -> dict[str, Any]:
    reply = client.post("/api/v1/chat", json=body(text, **more))
    assert reply.status_code == 200, reply.text
    return reply.json()


def error(reply: httpx2.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert set(reply.json()) == {"error"}
    return reply.json()["error"]


def events(data: str) -> list[dict[str, Any]]:
    found = [frame.partition("\n") for frame in data.split("\n\n") if frame and not frame.startswith(":")]
    told = [json.loads(second.removeprefix("data: ")) for _, _, second in found]
    assert [first for first, _, _ in found] == [f"event: {event['type']}" for event in told]
    return told


def test_a_stream_tells_of_load_prompt_and_message_and_ends_with_the_whole_reply(asked: tuple[httpx2.Client, str]):
    told = events(asked[1])
    names = [event["type"] for event in told]
    assert names[0] == "chat.start"
    order = [
        "chat.start",
        "model_load.start",
        "model_load.progress",
        "model_load.end",
        "prompt_processing.start",
        "prompt_processing.progress",
        "prompt_processing.end",
        "message.start",
        "message.delta",
        "message.end",
        "chat.end",
    ]
    assert list(dict.fromkeys(names)) == order
    for group in ("model_load", "prompt_processing"):
        progress = [event["progress"] for event in told if event["type"] == f"{group}.progress"]
        assert progress == sorted(progress)
        assert progress[0] >= 0
        assert progress[-1] == 1
    assert all(event["model_instance_id"] == KEY for event in told if event["type"].startswith("model_load"))
    result = told[-1]["result"]
    text = "".join(event["content"] for event in told if event["type"] == "message.delta")
    assert result["output"] == [{"type": "message", "content": text}]
    assert result["stats"]["model_load_time_seconds"] > 0
    assert result["stats"]["total_output_tokens"] == 6
    assert result["response_id"].startswith("resp_")


@compatible("POST /api/v1/chat", "`context_length`", "same")
def test_the_load_took_the_context_length_of_the_request(client: httpx2.Client):
    (model,) = client.get("/api/v1/models").json()["models"]
    assert model["loaded_instances"][0]["config"]["context_length"] == 1024
    assert model["max_context_length"] == 8192


@compatible("POST /api/v1/chat", "`stats`: tokens, speed, time to the first token, load time", "same")
def test_a_plain_reply_has_text_and_figures(client: httpx2.Client):
    reply = ask(client)
    assert set(reply) == {"model_instance_id", "output", "stats", "response_id"}
    assert reply["model_instance_id"] == KEY
    assert [item["type"] for item in reply["output"]] == ["message"]
    stats = reply["stats"]
    assert stats["input_tokens"] > 0
    assert stats["reasoning_output_tokens"] == 0
    assert stats["tokens_per_second"] > 0
    assert stats["time_to_first_token_seconds"] > 0
    assert "model_load_time_seconds" not in stats
    assert stats["stop_reason"] == "maxPredictedTokensReached"


@compatible(
    "POST /api/v1/chat", "a prompt beyond the context", "better", "400 with both numbers; LM Studio answers 500"
)
def test_a_prompt_that_is_too_long_is_refused_with_numbers(client: httpx2.Client):
    told = error(client.post("/api/v1/chat", json=body("word " * 3000)), 400)
    assert (told["type"], told["code"], told["param"]) == ("invalid_request", "context_length_exceeded", "input")
    assert told["limit_tokens"] == 1024 < told["given_tokens"]


def test_a_stream_whose_prompt_is_too_long_ends_with_the_error_and_chat_end(client: httpx2.Client):
    told = events(client.post("/api/v1/chat", json=body("word " * 3000, stream=True)).text)
    names = [event["type"] for event in told]
    assert names == ["chat.start", "error", "chat.end"]
    assert told[-2]["error"]["code"] == "context_length_exceeded"
    assert told[-1]["result"]["output"] == []


def test_an_image_for_a_model_without_eyes_is_refused(client: httpx2.Client):
    image = [{"type": "image", "data_url": PNG}]
    assert error(client.post("/api/v1/chat", json=body(image)), 400)["code"] == "images_not_supported"


def test_an_explicit_load_is_another_copy_with_a_configuration_of_its_own(client: httpx2.Client):
    wanted = {"model": KEY, "context_length": 512, "eval_batch_size": 32, "parallel": 1, "ttl": 60}
    loaded = client.post("/api/v1/models/load", json=wanted | {"echo_load_config": True}).json()
    assert (loaded["type"], loaded["status"], loaded["instance_id"]) == ("llm", "loaded", f"{KEY}:2")
    assert loaded["load_time_seconds"] > 0
    config = loaded["load_config"]
    assert (config["context_length"], config["eval_batch_size"], config["parallel"]) == (512, 32, 1)
    assert config["offload_kv_cache_to_gpu"] is True
    assert ask(client, model=f"{KEY}:2")["model_instance_id"] == f"{KEY}:2"
    assert ask(client)["model_instance_id"] == KEY
    (model,) = client.get("/api/v1/models").json()["models"]
    copy = next(copy for copy in model["loaded_instances"] if copy["id"] == f"{KEY}:2")
    assert (copy["ttl_seconds"], copy["is_on_demand"], copy["config"]) == (60, False, config)
    names = {entry["id"]: entry["loaded_context_length"] for entry in client.get("/v1/models").json()["data"]}
    assert names == {KEY: 1024, f"{KEY}:2": 512}
    assert client.post("/api/v1/models/unload", json={"instance_id": f"{KEY}:2"}).json() == {"instance_id": f"{KEY}:2"}
    gone = error(client.post("/api/v1/models/unload", json={"instance_id": f"{KEY}:2"}), 404)
    assert (gone["type"], gone["param"]) == ("model_not_found", "instance_id")


@compatible("POST /api/v1/models/load", "`stream`: progress by events", "better", "LM Studio is silent until the end")
def test_a_load_can_be_told_as_it_goes(client: httpx2.Client):
    wanted = {"model": KEY, "context_length": 512, "parallel": 1, "identifier": "mine", "stream": True}
    told = events(client.post("/api/v1/models/load", json=wanted).text)
    assert [told[0]["type"], told[-1]["type"]] == ["model_load.start", "model_load.end"]
    progress = [event["progress"] for event in told[1:-1]]
    assert len(progress) > 1
    assert progress == sorted(progress)
    assert told[-1]["result"]["instance_id"] == "mine"
    assert "load_config" not in told[-1]["result"]
    taken = error(client.post("/api/v1/models/load", json=wanted), 400)
    assert taken["param"] == "identifier"
    assert client.post("/api/v1/models/unload", json={"instance_id": "mine"}).status_code == 200


def test_v0_chats_have_figures_model_and_runtime(client: httpx2.Client):
    asked = {"model": KEY, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 3}
    reply = client.post("/api/v0/chat/completions", json=asked).json()
    assert reply["object"] == "chat.completion"
    assert set(reply["stats"]) == {"tokens_per_second", "time_to_first_token", "generation_time", "stop_reason"}
    assert reply["stats"]["stop_reason"] == "maxPredictedTokensReached"
    assert reply["model_info"] == {"arch": "llama", "quant": "Q4_1", "format": "gguf", "context_length": 1024}
    assert reply["runtime"]["name"].startswith("llama.cpp-")
    assert reply["runtime"]["supported_formats"] == ["gguf"]


def test_v0_completions_have_them_too(client: httpx2.Client):
    reply = client.post("/api/v0/completions", json={"model": KEY, "prompt": "Once upon", "max_tokens": 2}).json()
    assert reply["object"] == "text_completion"
    assert reply["stats"]["stop_reason"] == "maxPredictedTokensReached"
    assert reply["model_info"]["quant"] == "Q4_1"
