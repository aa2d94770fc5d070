"""Options of LM Studio's own API that the checklist's lines do not name, and what its lists of models tell."""

from __future__ import annotations

from tests.conformance.checklist.conftest import HI, get, heard, post
from tests.server.conftest import Gateway
from tests.server.test_chat import RECORDED_TEXT
from tests.support.compatibility import compatible


@compatible(
    "POST /api/v1/chat",
    [
        "`input` as a text or items",
        "`system_prompt`",
        "`temperature`, `top_p`, `min_p`, `top_k`, `repeat_penalty`",
        "`max_output_tokens`",
    ],
    "same",
)
@compatible(
    "POST /api/v1/chat",
    "`input` items of type `message`",
    "better",
    "as LM Studio's own pages have it; its server refuses it",
)
@compatible("POST /api/v1/chat", "reply: `model_instance_id`, `output`, `stats`", "same")
@compatible(
    "POST /api/v1/chat", "`stats.stop_reason`, cached tokens", "better", "LM Studio does not say why an answer ended"
)
def test_native_chat_options(shared: Gateway):
    asked = heard(
        shared,
        "/api/v1/chat",
        input=[{"type": "text", "content": "one "}, {"type": "message", "content": "#echo"}],
        system_prompt="Be brief.",
        temperature=0.3,
        top_p=0.5,
        min_p=0.1,
        top_k=7,
        repeat_penalty=1.2,
        max_output_tokens=50,
    )
    assert asked["messages"][0]["content"] == "Be brief."
    assert (asked["temperature"], asked["top_p"], asked["min_p"], asked["top_k"]) == (0.3, 0.5, 0.1, 7)
    assert (asked["repeat_penalty"], asked["max_tokens"]) == (1.2, 50)
    reply = post(shared, "/api/v1/chat", {"model": "first", "input": "hi"})
    assert (reply["model_instance_id"], reply["output"]) == ("first", [{"type": "message", "content": RECORDED_TEXT}])
    assert reply["stats"]["stop_reason"] == "eosFound"


@compatible("POST /api/v1/chat", "an unknown model", "same", "404; no other model answers")
def test_native_chat_of_an_unknown_model(shared: Gateway):
    assert post(shared, "/api/v1/chat", {"model": "gpt-4", "input": "hi"}, 404)["error"]["type"] == "model_not_found"


@compatible(
    "GET /api/v1/models",
    [
        "`type`, `key`, `publisher`, `display_name`, `architecture`",
        "`quantization`, `size_bytes`, `params_string`, `format`, `max_context_length`",
        "`capabilities`, `description`",
        "`loaded_instances` with their configuration",
    ],
    "same",
)
@compatible(
    "GET /api/v1/models",
    "time to live, last use, queue and load progress of each copy",
    "better",
    "LM Studio tells it in its command line only",
)
@compatible("GET /api/v1/models/{key}", "the route", "better", "LM Studio has none")
def test_native_models(shared: Gateway):
    post(shared, "/v1/chat/completions", {"model": "first", "messages": HI})
    (told,) = [model for model in get(shared, "/api/v1/models")["models"] if model["key"] == "first"]
    assert (told["type"], told["format"], told["max_context_length"]) == ("llm", "gguf", 2048)
    assert {"publisher", "display_name", "architecture", "quantization", "size_bytes", "params_string"} <= set(told)
    assert told["capabilities"] == {"vision": False, "trained_for_tool_use": False}
    (copy,) = told["loaded_instances"]
    assert (copy["id"], copy["config"]["parallel"]) == ("first", 4)
    assert copy["config"]["context_length"] == 2048
    assert {"ttl_seconds", "last_used_at", "running", "queued"} <= set(copy)
    assert get(shared, "/api/v1/models/first")["key"] == "first"


@compatible(
    "GET /api/v0/models",
    [
        "`id`, `type`, `publisher`, `arch`, `quantization`, `state`",
        "`max_context_length`, `loaded_context_length`, `capabilities`",
    ],
    "same",
)
@compatible("GET /api/v0/models/{model}", "one entry", "same")
def test_v0_models(shared: Gateway):
    post(shared, "/v1/chat/completions", {"model": "first", "messages": HI})
    told = get(shared, "/api/v0/models/first")
    assert told in get(shared, "/api/v0/models")["data"]
    assert (told["object"], told["type"], told["arch"], told["state"]) == ("model", "llm", "llama", "loaded")
    assert (told["compatibility_type"], told["max_context_length"]) == ("gguf", 2048)
    assert told["loaded_context_length"] == 2048
    assert get(shared, "/api/v0/models/vectors")["type"] == "embeddings"
