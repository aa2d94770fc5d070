"""Lines 7 to 10 of the checklist: whose name a reply bears, kept answers, v0's blocks, and what is better."""

from __future__ import annotations

import base64
import json
import re
from array import array
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conformance.checklist.conftest import HI, checked_gateway, get, post
from tests.server.conftest import Gateway
from tests.support.compatibility import compatible
from tests.support.starter_gateway import KEY


def native(gateway: Gateway, text: str = "hi", **more: Any) -> dict[str, Any]:
    return post(gateway, "/api/v1/chat", {"model": "first", "input": text, **more})


def responded(gateway: Gateway, text: str = "hi", **more: Any) -> dict[str, Any]:
    return post(gateway, "/v1/responses", {"model": "first", "input": text, **more})


@compatible("POST /v1/chat/completions", "`model` and `system_fingerprint` are the loaded copy's id", "same")
@compatible("POST /api/v1/models/load", "loading a loaded model makes another copy, `key:2`", "same")
@compatible("GET /v1/models", "`owned_by`, ids of copies", "same")
def test_line_7_a_reply_bears_the_id_of_the_copy_that_answered(tmp_path: Path):
    with checked_gateway(tmp_path) as gateway:
        ids = [post(gateway, "/api/v1/models/load", {"model": "first"})["instance_id"] for _ in range(2)]
        assert ids == ["first", "first:2"]
        for name, answers in (("first", "first"), ("FIRST", "first"), ("first:2", "first:2")):
            reply = post(gateway, "/v1/chat/completions", {"model": name, "messages": HI})
            assert (reply["model"], reply["system_fingerprint"]) == (answers, answers)
        listed = get(gateway, "/v1/models")["data"]
        assert {model["owned_by"] for model in listed} == {"organization_owner"}
        assert {"first", "first:2"} <= {model["id"] for model in listed}


@compatible("POST /api/v1/chat", ["`previous_response_id`", "`response_id`: `resp_` and 48 hexadecimal digits"], "same")
@compatible("POST /v1/responses", "`previous_response_id`, also of `/api/v1/chat`", "same")
@compatible(
    "POST /api/v1/chat",
    "`previous_response_id` of `/v1/responses`",
    "better",
    "undocumented in LM Studio",
)
def test_line_8_answers_are_gone_on_from_across_both_families(shared: Gateway):
    first = native(shared, "one")["response_id"]
    assert re.fullmatch(r"resp_[0-9a-f]{48}", first)
    second = responded(shared, "two", previous_response_id=first)["id"]
    third = native(shared, "#echo", previous_response_id=second)
    asked = json.loads(third["output"][0]["content"])["messages"]
    assert [message["content"] for message in asked if message["role"] == "user"] == ["one", "two", "#echo"]


@compatible("POST /api/v1/chat", "`store`", "same")
@compatible("POST /v1/responses", "`store`", "same")
def test_line_8_what_is_not_to_be_stored_is_not(shared: Gateway):
    assert "response_id" not in native(shared, store=False)
    gone = responded(shared, store=False)["id"]
    refused = post(shared, "/v1/responses", {"model": "first", "input": "x", "previous_response_id": gone}, 400)[
        "error"
    ]
    assert (refused["code"], refused["param"]) == ("previous_response_not_found", "previous_response_id")


@compatible("POST /api/v1/chat", "an unknown `previous_response_id`", "same", "400 `invalid_value`")
def test_line_8_answers_are_kept_for_thirty_days(shared: Gateway):
    assert get(shared, "/api/v1/settings")["settings"]["store_days"]["value"] == 30
    body = {"model": "first", "input": "x", "previous_response_id": "resp_" + "0" * 48}
    refused = post(shared, "/api/v1/chat", body, 400)["error"]
    assert (refused["code"], refused["param"]) == ("invalid_value", "previous_response_id")
    assert "30 days" in refused["message"]


@compatible("POST /api/v0/chat/completions", ["`stats`", "`model_info`", "`runtime`"], "same", "times in seconds")
@compatible("POST /api/v0/completions", ["`stats`", "`model_info`", "`runtime`"], "same", "times in seconds")
@pytest.mark.parametrize(("path", "ask"), [("chat/completions", {"messages": HI}), ("completions", {"prompt": "hi"})])
def test_line_9_v0_replies_have_three_blocks_in_seconds(real: httpx2.Client, path: str, ask: dict[str, Any]):
    reply = real.post(f"/api/v0/{path}", json={"model": KEY, "max_tokens": 3, **ask}).json()
    stats = reply["stats"]
    assert {"tokens_per_second", "time_to_first_token", "generation_time", "stop_reason"} <= set(stats)
    assert 0 < stats["time_to_first_token"] < 60
    assert stats["generation_time"] > 0
    assert stats["stop_reason"] == "maxPredictedTokensReached"
    assert reply["model_info"] == {"arch": "llama", "quant": "Q4_1", "format": "gguf", "context_length": 1024}
    assert set(reply["runtime"]) == {"name", "version", "supported_formats"}


@compatible("POST /api/v0/embeddings", ["`input`, `model`, `ttl`", "`model_info`, `runtime`"], "same")
@compatible("POST /v1/embeddings", "`usage`", "better", "LM Studio counts 0")
@compatible("POST /v1/embeddings", "`encoding_format: base64`", "better", "LM Studio gives numbers all the same")
@compatible("POST /v1/embeddings", ["`dimensions`", "`input` of tokens"], "better", "LM Studio ignores it")
@compatible("POST /v1/embeddings", "`input` as a text or a list, answered in its order by `index`", "same")
def test_line_10_embeddings_count_tokens_and_come_as_base64(shared: Gateway):
    body = {"model": "vectors", "input": ["a cat", "a tax form"], "ttl": 60}
    floats = post(shared, "/v1/embeddings", body)
    assert [one["index"] for one in floats["data"]] == [0, 1]
    assert floats["usage"]["prompt_tokens"] == floats["usage"]["total_tokens"] > 0
    old = post(shared, "/api/v0/embeddings", body)
    assert old["data"] == floats["data"]
    assert old["model_info"]["arch"] == "bert"
    packed = post(shared, "/v1/embeddings", {**body, "encoding_format": "base64"})["data"][0]["embedding"]
    numbers = array("f", base64.b64decode(packed))
    assert list(numbers) == pytest.approx(floats["data"][0]["embedding"])
    few = post(shared, "/v1/embeddings", {"model": "vectors", "input": [[1, 2]], "dimensions": 2})
    assert len(few["data"][0]["embedding"]) == 2


@compatible(
    "POST /v1/chat/completions",
    "`response_format: json_schema`",
    "better",
    "enforced, then checked against the whole schema; thinking is left alone",
)
@compatible("POST /v1/chat/completions", "`response_format: json_object`", "better", "LM Studio answers 400")
@compatible("POST /v1/chat/completions", "`response_format: text`", "same")
def test_line_10_an_answer_can_be_any_json_object(real: httpx2.Client):
    schema = {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"]}
    forms: list[tuple[dict[str, Any], Any]] = [
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}, {"city": "Rome"}),
        ({"type": "json_object"}, None),
        ({"type": "text"}, None),
    ]
    for form, expected in forms:
        body = {"model": KEY, "messages": HI, "response_format": form, "max_tokens": 60, "temperature": 0}
        reply = real.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        text = reply.json()["choices"][0]["message"]["content"]
        if expected is not None:
            assert json.loads(text) == expected
        if form["type"] == "json_object":
            assert text.lstrip().startswith("{")


@compatible(
    "POST /v1/chat/completions",
    "`tool_choice` that names a function",
    "better",
    "forced with every model; LM Studio answers 400",
)
@compatible("POST /v1/chat/completions", "`tool_choice: required`", "better", "forced with every model")
@compatible(
    "POST /v1/chat/completions",
    "`tools` with a model whose template has none",
    "same",
    "LM Studio's default tool format",
)
def test_line_10_a_call_can_be_required_or_named(real: httpx2.Client):
    function = {
        "name": "pick",
        "parameters": {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]},
    }
    for choice in ("required", {"type": "function", "function": {"name": "pick"}}):
        body = {"model": KEY, "messages": HI, "tools": [{"type": "function", "function": function}], "max_tokens": 60}
        reply = real.post("/v1/chat/completions", json={**body, "tool_choice": choice, "temperature": 0}).json()
        (call,) = reply["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "pick"
        assert json.loads(call["function"]["arguments"])["n"] in (1, 2)
        assert reply["choices"][0]["finish_reason"] == "tool_calls"


@compatible("POST /v1/messages/count_tokens", "the route", "better", "LM Studio has none")
def test_line_10_tokens_are_counted_without_an_answer(real: httpx2.Client):
    counted = real.post("/v1/messages/count_tokens", json={"model": KEY, "messages": HI}).json()
    used = real.post("/v1/messages", json={"model": KEY, "messages": HI, "max_tokens": 1}).json()["usage"]
    assert counted == {"input_tokens": used["input_tokens"] + used["cache_read_input_tokens"]}


@compatible("POST /v1/chat/completions", ["`logprobs`, `top_logprobs`", "`n`"], "better", "LM Studio ignores it")
@compatible(
    "POST /v1/chat/completions",
    "completion tokens where `max_tokens` stopped it",
    "better",
    "LM Studio counts one too few",
)
def test_line_10_log_probabilities_and_several_answers(real: httpx2.Client):
    # By the likeliest tokens: of a character that takes several tokens the engine tells the odds once.
    body = {
        "model": KEY,
        "messages": HI,
        "max_tokens": 3,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "temperature": 0,
    }
    reply = real.post("/v1/chat/completions", json=body).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    for choice in reply["choices"]:
        assert len(choice["logprobs"]["content"]) == 3
        assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 2
    assert reply["usage"]["completion_tokens"] == 6


@compatible("GET /v1/models", "context length, type and state in the list", "better", "LM Studio lists ids")
@compatible("GET /v1/models/{id}", "the route", "better", "LM Studio has none")
def test_line_10_lists_tell_the_context_length(shared: Gateway):
    (listed,) = [model for model in get(shared, "/v1/models")["data"] if model["id"] == "second"]
    assert (listed["max_context_length"], listed["type"]) == (2048, "llm")
    assert get(shared, "/v1/models/second")["id"] == "second"


@compatible(
    "POST /api/v1/models/load",
    ["`ttl`", "`identifier`", "`parallel`", "`n_gpu_layers`", "`kv_cache_type`"],
    "better",
    "LM Studio sets it in its window or command line only",
)
@compatible(
    "POST /api/v1/models/load",
    "`rope_*`, `use_mmap`, `use_mlock`, `threads`, `draft_model`, `speculation`, `seed`",
    "better",
    "LM Studio's route refuses it",
)
def test_line_10_a_load_takes_more_options(tmp_path: Path):
    options = {"ttl": 90, "identifier": "mine", "parallel": 2, "n_gpu_layers": 0, "kv_cache_type": "f16"}
    more = {"rope_frequency_base": 10000.0, "use_mmap": True, "use_mlock": False, "threads": 1, "seed": 3}
    with checked_gateway(tmp_path) as gateway:
        body = {"model": "first", "echo_load_config": True, **options, **more}
        loaded = post(gateway, "/api/v1/models/load", body)
        assert loaded["instance_id"] == "mine"
        assert loaded["load_config"]["parallel"] == 2
        assert {name: loaded["load_config"][name] for name in more} == more
        (copy,) = next(m for m in get(gateway, "/api/v1/models")["models"] if m["key"] == "first")["loaded_instances"]
        assert copy["ttl_seconds"] == 90


@compatible("DELETE /api/v1/models/{key}", "deleting a model", "better", "LM Studio has no such route")
def test_line_10_a_model_can_be_deleted(fresh: Gateway):
    assert fresh.client.delete("/api/v1/models/second").json()["key"] == "second"
    assert "second" not in [model["id"] for model in get(fresh, "/v1/models")["data"]]


@compatible("GET /api/v1/models/download", "the list of downloads", "better", "LM Studio has no such route")
@compatible("DELETE /api/v1/models/download/{job_id}", "cancelling a download", "better", "LM Studio has no such route")
def test_line_10_downloads_are_listed_and_cancelled_by_id(shared: Gateway):
    assert get(shared, "/api/v1/models/download") == {"downloads": []}
    reply = shared.client.delete("/api/v1/models/download/job_none")
    assert (reply.status_code, reply.json()["error"]["type"]) == (404, "job_not_found")


@compatible("GET /health", "the route", "better", "LM Studio has none")
@compatible("GET /openapi.json", "the API's description, and `/docs` for people", "better", "LM Studio has none")
def test_line_10_health_and_description_are_there(shared: Gateway):
    assert get(shared, "/health")["status"] == "ok"
    assert get(shared, "/openapi.json")["openapi"].startswith("3.1")
    assert "<html" in shared.client.get("/docs").text


@compatible("POST /v1/rerank", "the route", "better", "LM Studio has none")
@compatible("POST /v1/tokenize", "the route, and `/v1/detokenize`", "better", "LM Studio has none")
def test_line_10_texts_are_ranked_and_told_in_tokens(real: httpx2.Client, shared: Gateway):
    ranked = post(shared, "/v1/rerank", {"model": "judge", "query": "x", "documents": ["a", "b", "c"]})
    scores = [result["relevance_score"] for result in ranked["results"]]
    assert scores == sorted(scores, reverse=True)
    tokens = real.post("/v1/tokenize", json={"model": KEY, "content": "Hello there"}).json()["tokens"]
    assert real.post("/v1/detokenize", json={"model": KEY, "tokens": tokens}).json()["content"] == "Hello there"


@compatible("GET /v1/responses/{response_id}", "the route, and its `input_items`", "better", "LM Studio has none")
@compatible("DELETE /v1/responses/{response_id}", "the route", "better", "LM Studio has none")
def test_line_10_a_kept_answer_is_had_again_and_deleted(shared: Gateway):
    kept = responded(shared)
    assert get(shared, f"/v1/responses/{kept['id']}") == kept
    assert get(shared, f"/v1/responses/{kept['id']}/input_items")["data"][0]["role"] == "user"
    assert shared.client.delete(f"/v1/responses/{kept['id']}").json()["deleted"] is True
    get(shared, f"/v1/responses/{kept['id']}", 404)
