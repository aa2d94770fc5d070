"""The API's description: complete, by family, and true about tokens, errors and streams."""

from __future__ import annotations

from typing import Any

import pytest

from roci.server.error_replies import shape_of
from roci.server.openapi import Operation, methods
from roci.server.routes import OPERATIONS
from roci.wire.anthropic.replies import MessagesError
from roci.wire.lmstudio.error_shape import NativeErrorBody, native_error_body
from tests.server.conftest import Gateway, GatewayMaker


@pytest.fixture(scope="module")
def document(lasting_gateway: Gateway) -> dict[str, Any]:
    return lasting_gateway.client.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, name, entry) for path, named in document["paths"].items() for name, entry in named.items()]


def test_every_operation_has_a_name_of_its_own_and_a_family(document: dict[str, Any]):
    described = operations(document)
    assert len({entry["operationId"] for _, _, entry in described}) == len(described) == len(OPERATIONS)
    families = {tag["name"] for tag in document["tags"]}
    assert {tag for _, _, entry in described for tag in entry["tags"]} == families
    assert all(tag["description"] for tag in document["tags"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_errors_are_described_in_the_shape_that_they_have(operation: Operation):
    if shape_of(operation.path) is native_error_body:
        assert operation.errors is NativeErrorBody
    elif operation.path.startswith("/v1/messages"):
        assert operation.errors is MessagesError
    else:
        assert operation.errors is None


def test_a_stream_is_described_beside_the_plain_reply(document: dict[str, Any]):
    content = document["paths"]["/api/v1/chat"]["post"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/event-stream"}
    assert len(content["text/event-stream"]["x-events"]) == 19
    events = document["paths"]["/api/v1/models/download/events/{job_id}"]["get"]["responses"]["200"]["content"]
    assert set(events) == {"text/event-stream"}


def test_a_token_is_described_as_needed_where_it_is(document: dict[str, Any], make_gateway: GatewayMaker):
    assert document["security"] == [{}, {"bearer": []}, {"apiKey": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    with make_gateway(require_token=True) as closed:
        from roci.server.state.tokens import create_token

        token = create_token(closed.home, "test")
        told = closed.client.get("/openapi.json", headers={"x-api-key": token}).json()
    assert told["security"] == [{"bearer": []}, {"apiKey": []}]


def test_strict_bodies_are_described_as_such(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    for path, name, entry in operations(document):
        if path.startswith("/api/v1/") and "requestBody" in entry:
            body = entry["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert schemas[body]["additionalProperties"] is False, (name, path)


def test_fields_are_described_by_what_stands_under_them(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    assert "null and -1 are no limit" in schemas["ChatRequest"]["properties"]["max_tokens"]["description"]
    # What a type has from the one beneath it.
    assert "Seconds" in schemas["MessagesRequest"]["properties"]["ttl"]["description"]


def test_options_names_every_method_of_a_path(lasting_gateway: Gateway):
    for path, names in methods(OPERATIONS).items():
        reply = lasting_gateway.client.options(path.replace("{", "").replace("}", ""))
        assert reply.status_code == 204
        assert set(reply.headers["allow"].split(", ")) == set(names), path
