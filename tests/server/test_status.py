"""What a server says of itself, and what it says to requests that lead nowhere."""

from __future__ import annotations

import re
from typing import Any

from roci.server.app import create_app
from roci.server.openapi import methods
from roci.server.posts import PostRoute
from roci.server.routes import OPERATIONS, ROUTE_MODULES
from roci.server.settings import ServerSettings
from tests.server.conftest import Gateway, GatewayMaker, chat


def test_it_greets_as_lm_studio_does(gateway: Gateway):
    assert gateway.client.get("/lmstudio-greeting").json() == {"lmstudio": True}


def test_health_tells_what_is_in_memory(gateway: Gateway):
    assert gateway.health()["models"] == []
    assert gateway.health()["can_load"] is True
    gateway.ask(chat())
    assert gateway.health()["models"] == [{"id": "first", "state": "ready", "running": 0, "slots": 2}]
    assert gateway.health()["status"] == "ok"
    with gateway.asking(chat("#slow", stream=True)):
        gateway.wait_for_running(1)
        assert gateway.health()["can_load"] is False


def test_an_unknown_path_suggests_the_nearest(gateway: Gateway):
    for path in ("/v1/chat/completion", "/chat/completions", "/v1/chat/completions/x"):
        reply = gateway.client.post(path, json=chat())
        assert reply.status_code == 404
        assert "/v1/chat/completions" in reply.json()["error"]["message"]
        assert reply.json()["error"]["code"] == "unknown_path"


def test_a_wrong_method_is_told_the_right_ones(gateway: Gateway):
    for path, method in (("/v1/chat/completions", "GET"), ("/v1/models", "POST"), ("/v1/models/a/b", "DELETE")):
        reply = gateway.client.request(method, path)
        assert reply.status_code == 405
        assert reply.headers["allow"].split(", ")[0] == ("POST" if method == "GET" else "GET")
        assert reply.json()["error"]["code"] == "method_not_allowed"


def test_an_unknown_model_is_a_404_by_its_path_too(gateway: Gateway):
    reply = gateway.client.get("/v1/models/nobody/nothing")
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"


def test_the_description_covers_every_route(tmp_path):
    app = create_app(ServerSettings(), home=tmp_path)
    routes = {re.sub(":[a-z]+}", "}", route.path): set(route.methods) for route in app.routes}
    for route in (route for module in ROUTE_MODULES for route in module.HANDLERS if isinstance(route, PostRoute)):
        routes[route.path].add("POST")
    assert routes == {path: set(names) for path, names in methods(OPERATIONS).items()}


def test_the_page_for_people_needs_nothing_from_elsewhere(gateway: Gateway):
    page = gateway.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(?:src|href)=.?(?:https?:)?//", page.text)


def test_every_reference_in_the_description_leads_somewhere(gateway: Gateway):
    document = gateway.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"ChatRequest", "ErrorBody", "ModelList", "LoadRequest"} <= set(schemas)
    found = list(_references(document))
    assert found
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= set(schemas)


def test_a_verbose_server_logs_requests_and_never_what_was_said(make_gateway: GatewayMaker, caplog):
    caplog.set_level("INFO", "roci")
    with make_gateway(verbose=True) as gateway:
        gateway.client.post("/v1/chat/completions", json=chat("my secret"), headers={"authorization": "Bearer secret"})
        gateway.client.get("/nowhere")
    lines = [record.getMessage() for record in caplog.records if record.name == "roci.server.request_log"]
    assert any(line.startswith("POST /v1/chat/completions first 200 ") for line in lines)
    assert any(line.startswith("GET /nowhere - 404 ") for line in lines)
    assert "secret" not in caplog.text


def _references(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
