"""What is posted: how its body is read, and which of the server's paths are meant."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest

from roci.server.app import create_app
from roci.server.posts import PostRoute
from roci.server.routes import OPERATIONS, ROUTE_MODULES
from roci.server.settings import ServerSettings
from tests.server.conftest import Gateway, GatewayMaker, chat
from tests.support.serve import PATIENCE_S
from tests.support.workers import wait_until

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def connect(gateway: Gateway) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), PATIENCE_S)


def pieces(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * size


def test_every_post_of_the_description_has_a_route_and_the_framework_has_none(tmp_path):
    posts = {route.path for module in ROUTE_MODULES for route in module.HANDLERS if isinstance(route, PostRoute)}
    assert posts == {operation.path for operation in OPERATIONS if operation.method == "POST"}
    app = create_app(ServerSettings(), home=tmp_path)
    assert not [route.path for route in app.routes if "POST" in getattr(route, "methods", ())]


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions"])
def test_slashes_too_many_lead_to_the_same_route(lasting_gateway: Gateway, path: str):
    with connect(lasting_gateway) as client:
        body = msgspec.json.encode(chat())
        client.sendall(
            HEAD.replace(b"/v1/chat/completions", path.encode())
            + b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_errors_look_as_their_route_family_says_with_slashes_too_many(lasting_gateway: Gateway):
    assert lasting_gateway.client.post("/v1/messages/", content=b"{").json()["type"] == "error"


def test_a_body_in_pieces_is_read_to_its_end(lasting_gateway: Gateway):
    body = msgspec.json.encode(chat("in pieces"))
    reply = lasting_gateway.client.post("/v1/chat/completions", content=iter([body[:20], b"", body[20:]]))
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"]


def test_a_body_without_a_length_is_cut_at_the_limit(make_gateway: GatewayMaker):
    with make_gateway(max_body_mb=1) as gateway:
        reply = gateway.client.post("/v1/chat/completions", content=pieces(100_000, 12))
        assert reply.status_code == 413
        error = reply.json()["error"]
        assert error["code"] == "body_too_large"
        assert "max_body_mb" in error["message"]
        assert gateway.ask(chat()).status_code == 200


def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(make_gateway: GatewayMaker):
    with make_gateway(max_body_mb=1) as gateway, connect(gateway) as client:
        client.sendall(HEAD + b"content-length: 1000001\r\n\r\n{")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_before_its_body_is_there_asks_nothing(
    make_gateway: GatewayMaker, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "roci.server.request_log")
    with make_gateway(verbose=True) as gateway:
        with connect(gateway) as client:
            client.sendall(HEAD + b'content-length: 1000\r\n\r\n{"model": "first"')
        wait_until(lambda: "client left" in caplog.text, "a line in the log")
        assert gateway.health()["models"] == []
