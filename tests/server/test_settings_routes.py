"""`/api/v1/settings` on a real gateway, and the gateway's own settings seen from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from roci.engine.model_settings import MODEL_NAMES
from roci.engine.settings_files import change_settings, model_file
from roci.errors import BadRequestError
from roci.server.routes.settings import read_patch
from roci.server.state.tokens import create_token
from tests.server.conftest import Gateway, GatewayMaker

SETTINGS = "/api/v1/settings"


@pytest.fixture
def gateway(make_gateway: GatewayMaker) -> Iterator[Gateway]:
    with make_gateway(parallel=2, cors=("https://app.example",)) as running:
        yield running


def in_force(gateway: Gateway, key: str = "first") -> dict[str, dict[str, Any]]:
    reply = gateway.client.get(f"{SETTINGS}/{key}")
    assert reply.status_code == 200, reply.text
    return reply.json()["settings"]


def test_the_servers_settings_are_shown_with_their_origins(gateway: Gateway):
    settings = gateway.client.get(SETTINGS).json()["settings"]
    assert settings["parallel"] == {"value": 2, "origin": "argument"}
    assert settings["cors"] == {"value": ["https://app.example"], "origin": "argument"}
    assert settings["host"] == {"value": "127.0.0.1", "origin": "default"}
    assert "origins" not in settings


def test_a_models_settings_are_shown_as_they_hold(gateway: Gateway):
    own = model_file(gateway.home, "first")
    change_settings(own, {"top_k": 7})
    shown = in_force(gateway)
    assert shown["top_k"] == {"value": 7, "origin": str(own)}
    assert shown["parallel"] == {"value": 2, "origin": "--parallel"}
    assert shown["context_length"]["origin"] in ("default", "header")
    assert in_force(gateway, "second")["top_k"]["value"] is None


def test_a_models_file_is_changed_and_nothing_else_in_it(gateway: Gateway):
    own = model_file(gateway.home, "first")
    own.parent.mkdir()
    own.write_text("# mine\ntop_k: 7\ntop_p: 0.5\n")
    reply = gateway.client.patch(f"{SETTINGS}/FIRST", json={"top_k": 8, "ttl_s": None, "unset": ["top_p"]})
    assert reply.status_code == 200, reply.text
    assert own.read_text() == "# mine\ntop_k: 8\nttl_s: null\n"
    assert reply.json()["model"] == "first"
    assert reply.json()["file"] == str(own)
    assert reply.json()["settings"]["top_k"] == {"value": 8, "origin": str(own)}
    assert reply.json()["settings"]["ttl_s"] == {"value": None, "origin": str(own)}


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"contex_length": 1}, "contex_length", "Did you mean context_length"),
        ({"context_length": "8192"}, "context_length", "Expected"),
        ({"top_p": 2}, "top_p", "<= 1"),
        ({"seed": 1}, "seed", "no setting"),
        ({"port": 1}, "port", "no setting"),
        ({"mmproj": "/etc/passwd"}, "mmproj", "not changed over a network"),
        ({"unset": ["mmproj"]}, "mmproj", "not changed over a network"),
        ({"unset": ["port"]}, "unset", "settings' names"),
        ({"unset": [[]]}, "unset", "settings' names"),
        ({"unset": "top_k"}, "unset", "settings' names"),
        ([], None, "Expected `object`"),
        (None, None, "Expected `object`"),
    ],
)
def test_what_cannot_be_set_is_refused_with_its_name(body: Any, param: str | None, words: str):
    with pytest.raises(BadRequestError) as caught:
        read_patch(json.dumps(body).encode())
    assert (caught.value.status, caught.value.param) == (400, param)
    assert words in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":' + b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes):
    with pytest.raises(BadRequestError, match=r"JSON|nested|UTF-8"):
        read_patch(body)


def test_a_refused_change_has_the_shape_of_its_family_and_writes_nothing(gateway: Gateway):
    reply = gateway.client.patch(f"{SETTINGS}/first", json={"contex_length": 1, "top_k": 1})
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["param"]) == (400, "invalid_request", "contex_length")
    assert not model_file(gateway.home, "first").exists()


def test_a_draft_model_is_named_by_its_key_and_must_be_there(gateway: Gateway):
    assert gateway.client.patch(f"{SETTINGS}/first", json={"draft_model": "second"}).status_code == 200
    for name in ("third", str(gateway.file("second")), "../second"):
        assert gateway.client.patch(f"{SETTINGS}/first", json={"draft_model": name}).status_code == 404


def test_the_apis_description_knows_every_setting_that_can_be_changed(gateway: Gateway):
    document = gateway.client.get("/openapi.json").json()
    patch = document["components"]["schemas"]["ModelSettingsPatch"]
    assert set(patch["properties"]) == {*MODEL_NAMES, "unset"} - {"mmproj"}
    assert patch["additionalProperties"] is False
    assert set(document["paths"]["/api/v1/settings/{key}"]) == {"get", "patch"}


def test_an_unknown_model_has_no_settings(gateway: Gateway):
    for reply in (gateway.client.get(f"{SETTINGS}/frist"), gateway.client.patch(f"{SETTINGS}/frist", json={})):
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
        assert "first" in reply.json()["error"]["message"]


def test_a_preflight_and_a_page_are_answered_on_a_real_connection(gateway: Gateway):
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    preflight = gateway.client.options("/v1/chat/completions", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "https://app.example")
    page = gateway.client.get("/v1/models", headers={"origin": "https://app.example"})
    assert page.headers["access-control-allow-origin"] == "https://app.example"


def test_a_gateway_that_wants_tokens_shows_strangers_only_that_it_is_there(make_gateway: GatewayMaker, home: Any):
    token = create_token(home, "laptop")
    with make_gateway(require_token=True) as gateway:
        mine = {"authorization": f"Bearer {token}"}
        ask = gateway.client
        assert ask.get("/lmstudio-greeting").json() == {"lmstudio": True}
        assert ask.get("/v1/models").status_code == 401
        assert ask.get(SETTINGS).json()["error"]["code"] == "invalid_api_key"
        body = {"model": "first", "messages": [{"role": "user", "content": "hi"}]}
        assert ask.post("/v1/chat/completions", json=body).status_code == 401
        assert ask.post("/v1/chat/completions", json=body, headers=mine).status_code == 200
        assert ask.get("/health").json()["models"] == []
        assert [model["id"] for model in ask.get("/health", headers=mine).json()["models"]] == ["first"]
