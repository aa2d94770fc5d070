"""Lines 1 to 5 of the checklist of a drop-in server: routes and access, unknown routes, lists, loads, strictness."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from roci.server.state.tokens import create_token
from tests.conformance.checklist.conftest import HI, checked_gateway, get, post
from tests.server.conftest import Gateway, model_file
from tests.support.compatibility import compatible
from tests.support.workers import fake_log, wait_until

GETS = ("/v1/models", "/api/v0/models", "/api/v0/models/first", "/api/v1/models", "/lmstudio-greeting")
POSTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/api/v0/chat/completions",
    "/api/v0/completions",
    "/api/v0/embeddings",
    "/api/v1/chat",
    "/api/v1/models/load",
    "/api/v1/models/unload",
    "/api/v1/models/download",
)


def in_memory(gateway: Gateway) -> list[str]:
    return [model["id"] for model in gateway.health()["models"]]


def entry(gateway: Gateway, key: str) -> dict[str, Any]:
    return next(model for model in get(gateway, "/api/v1/models")["models"] if model["key"] == key)


def load(gateway: Gateway, model: str, **more: Any) -> str:
    return post(gateway, "/api/v1/models/load", {"model": model, **more})["instance_id"]


def say(gateway: Gateway, model: str, **more: Any) -> dict[str, Any]:
    return post(gateway, "/v1/chat/completions", {"model": model, "messages": HI, **more})


@compatible("GET /lmstudio-greeting", "reply", "same")
@compatible("Every route", "one port, plain HTTP, no prefix", "same")
def test_line_1_every_route_is_there_on_one_port(shared: Gateway):
    for path in GETS:
        assert shared.client.get(path).status_code == 200, path
    for path in POSTS:
        assert shared.client.post(path, json={}).status_code == 400, path  # there, and wants more in the body
    missing = get(shared, "/api/v1/models/download/status/job_none", 404)
    assert missing["error"]["type"] == "job_not_found"
    assert get(shared, "/lmstudio-greeting") == {"lmstudio": True}


@compatible("Every route", "CORS: off by default, switched on by a setting", "same")
@compatible("Every route", "CORS for listed origins only", "better", "LM Studio has one switch for all")
def test_line_1_cors_is_a_switch(tmp_path: Path, shared: Gateway):
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in shared.client.options("/v1/models", headers=headers).headers
    with checked_gateway(tmp_path, cors=("https://app.example",)) as open_to_one:
        allowed = open_to_one.client.options("/v1/models", headers=headers)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        other = open_to_one.client.options("/v1/models", headers={**headers, "origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


@compatible("Every route", "authentication: `Authorization: Bearer`, and `x-api-key` on `/v1/messages`", "same")
@compatible("Every route", "`x-api-key` on all routes", "better", "LM Studio reads it on `/v1/messages` alone")
@compatible("Every route", "any token is accepted where authentication is off", "same")
@compatible("Every route", "tokens `sk-lm-XXXXXXXX:XXXXXXXXXXXXXXXXXXXX`", "same")
@compatible(
    "Every route", "making tokens without a window", "better", "`roci tokens`; LM Studio has a window for it only"
)
def test_line_1_tokens_are_a_switch_with_both_headers_and_the_known_form(tmp_path: Path, shared: Gateway):
    assert shared.client.get("/v1/models", headers={"authorization": "Bearer lm-studio"}).status_code == 200
    token = create_token(tmp_path, "checklist")
    assert re.fullmatch(r"sk-lm-[A-Za-z0-9]{8}:[A-Za-z0-9]{20}", token)
    with checked_gateway(tmp_path, require_token=True) as closed:
        assert get(closed, "/v1/models", 401)["error"]["code"] == "invalid_api_key"
        assert get(closed, "/api/v1/models", 401)["error"]["type"] == "invalid_request"
        refused = post(closed, "/v1/messages", {}, 401)
        assert (refused["type"], refused["error"]["type"]) == ("error", "authentication_error")
        for headers in ({"authorization": f"Bearer {token}"}, {"x-api-key": token}):
            assert closed.client.get("/api/v1/models", headers=headers).status_code == 200
        assert closed.client.get("/lmstudio-greeting").json() == {"lmstudio": True}


@compatible("Every route", "an unknown path", "better", "404; with `compat: lmstudio` 200 and an error, as LM Studio")
def test_line_2_unknown_routes_are_404_or_as_the_original_by_a_switch(tmp_path: Path, shared: Gateway):
    reply = shared.client.get("/v1/modles")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_path")
    assert "/v1/models" in reply.json()["error"]["message"]
    with checked_gateway(tmp_path, compat="lmstudio") as original:
        reply = original.client.get("/v1/modles")
        told = {"error": "Unexpected endpoint or method. (GET /v1/modles)"}
        assert (reply.status_code, reply.json()) == (200, told)


@compatible(
    "POST /v1/chat/completions",
    "an unknown model",
    "better",
    "404 with the nearest names; LM Studio lets the only loaded model answer, as roci does with `compat: lmstudio`",
)
def test_line_2_another_model_answers_to_an_unknown_name_only_by_the_switch(tmp_path: Path, shared: Gateway):
    refused = post(shared, "/v1/chat/completions", {"model": "frist", "messages": HI}, 404)["error"]
    assert (refused["code"], refused["param"], refused["similar"]) == ("model_not_found", "model", ["first"])
    with checked_gateway(tmp_path, compat="lmstudio") as original:
        say(original, "first")
        assert say(original, "gpt-4")["model"] == "first"


@compatible("GET /v1/models", ["every model on disk with loading on demand", "only loaded models without"], "same")
@compatible("GET /api/v0/models", ["every model on disk with loading on demand", "only loaded models without"], "same")
@compatible("GET /api/v1/models", "every model on disk, always", "same")
def test_line_3_lists_follow_loading_on_demand_but_api_v1_does_not(tmp_path: Path, shared: Gateway):
    every = {"first", "second", "tools", "thinker", "vectors", "judge"}

    def ids(gateway: Gateway, path: str) -> set[str]:
        return {model["id"] for model in get(gateway, path)["data"]}

    assert ids(shared, "/v1/models") == ids(shared, "/api/v0/models") == every
    with checked_gateway(tmp_path, jit=False) as by_hand:
        assert ids(by_hand, "/v1/models") == ids(by_hand, "/api/v0/models") == set()
        load(by_hand, "first")
        assert ids(by_hand, "/v1/models") == ids(by_hand, "/api/v0/models") == {"first"}
        assert {model["key"] for model in get(by_hand, "/api/v1/models")["models"]} == every
        refused = post(by_hand, "/v1/chat/completions", {"model": "second", "messages": HI}, 400)["error"]
        assert (refused["code"], refused["param"]) == ("model_not_loaded", "model")


@compatible("Every route", "a request loads the model it names", "same")
def test_line_4_a_request_loads_its_model(fresh: Gateway):
    assert in_memory(fresh) == []
    assert say(fresh, "first")["model"] == "first"
    assert in_memory(fresh) == ["first"]


@compatible(
    "POST /v1/chat/completions",
    "`ttl`",
    "better",
    "as LM Studio's, and a value that makes no sense is refused instead of ignored",
)
@compatible("Every route", "idle models are unloaded after an hour by default", "same")
def test_line_4_ttl_is_the_load_s_and_restarts_with_each_request(fresh: Gateway):
    say(fresh, "first")
    assert entry(fresh, "first")["loaded_instances"][0]["ttl_seconds"] == 3600
    say(fresh, "first", ttl=5)  # it loads nothing, and so changes nothing
    assert entry(fresh, "first")["loaded_instances"][0]["ttl_seconds"] == 3600
    say(fresh, "second", ttl=0.2)
    wait_until(lambda: in_memory(fresh) == [], "the idle model's end")
    refused = post(fresh, "/v1/chat/completions", {"model": "first", "messages": HI, "ttl": "abc"}, 400)
    assert refused["error"]["param"] == "ttl"


@compatible("Every route", "loading on demand unloads only what was loaded on demand", "same")
@compatible("Every route", "a model that answers is never unloaded for another", "better", "LM Studio ends its answers")
def test_line_4_only_models_on_demand_make_room(fresh: Gateway):
    by_name = load(fresh, "tools")
    say(fresh, "first")
    say(fresh, "second")
    assert sorted(in_memory(fresh)) == ["second", by_name]
    with fresh.asking({"model": "second", "messages": [{"role": "user", "content": "#slow"}], "stream": True}):
        fresh.wait_for_running(1)
        with fresh.asking({"model": "first", "messages": HI}):
            fresh.wait_for_queue(1)
            assert sorted(in_memory(fresh)) == ["second", by_name]


@compatible("Every route", "four answers at once from a model by default, more wait", "same")
def test_line_4_four_answers_at_once_is_the_default(fresh: Gateway):
    say(fresh, "first")
    assert entry(fresh, "first")["loaded_instances"][0]["config"]["parallel"] == 4
    (loaded,) = [note for note in fake_log(model_file(fresh.home, "first")) if note["event"] == "loaded"]
    assert loaded["flags"]["parallel"] == "4"


@compatible("POST /api/v1/chat", "unknown keys are refused: `unrecognized_keys`", "same")
@compatible("POST /api/v1/models/load", "unknown keys are refused: `unrecognized_keys`", "same")
@compatible(
    "POST /api/v1/chat",
    "`ttl`, `stop`, `seed`, `tools`, `response_format`, penalties",
    "same",
    "refused, as LM Studio does: its body is strict",
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/chat", {"model": "first", "input": "hi"}),
        ("/api/v1/models/load", {"model": "first"}),
        ("/api/v1/models/unload", {"instance_id": "first"}),
        ("/api/v1/models/download", {"model": "smollm2-135m-instruct"}),
    ],
)
def test_line_5_api_v1_takes_no_key_that_it_does_not_know(shared: Gateway, path: str, body: dict[str, Any]):
    refused = post(shared, path, {**body, "stop": "x", "tools": []}, 400)["error"]
    assert (refused["type"], refused["code"]) == ("invalid_request", "unrecognized_keys")
    assert "'stop', 'tools'" in refused["message"]


@compatible("POST /v1/chat/completions", "unknown keys", "same", "the engine gets them")
@compatible("POST /v1/responses", "unknown keys", "same", "ignored")
@compatible("POST /v1/messages", "unknown keys", "same", "ignored")
@compatible("POST /v1/embeddings", "unknown keys", "same", "ignored")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "first", "messages": HI}),
        ("/api/v0/chat/completions", {"model": "first", "messages": HI}),
        ("/v1/responses", {"model": "first", "input": "hi"}),
        ("/v1/messages", {"model": "first", "max_tokens": 5, "messages": HI}),
        ("/v1/embeddings", {"model": "vectors", "input": "hi"}),
    ],
)
def test_line_5_the_other_families_take_any_key(shared: Gateway, path: str, body: dict[str, Any]):
    reply = post(shared, path, {**body, "nobody_knows_this": 1})
    assert "error" not in reply or reply["error"] is None


@compatible("POST /api/v1/chat", "errors: `{error: {type, message, code, param}}`", "same")
def test_line_5_what_is_missing_is_told_in_the_family_s_own_words(shared: Gateway):
    native = post(shared, "/api/v1/chat", {"input": "hi"}, 400)["error"]
    assert native == {
        "type": "invalid_request",
        "message": '"model" is required',
        "code": "missing_required_parameter",
        "param": "model",
    }
    item = post(shared, "/api/v1/chat", {"model": "first", "input": [{"type": "video"}]}, 400)["error"]
    assert (item["code"], item["param"]) == ("invalid_union", "input")
    openai = post(shared, "/v1/chat/completions", {"model": "first"}, 400)["error"]
    assert (openai["type"], openai["param"]) == ("invalid_request_error", "messages")
    messages = post(shared, "/v1/messages", {"model": "first", "messages": HI}, 400)
    assert (messages["type"], messages["error"]["type"]) == ("error", "invalid_request_error")
