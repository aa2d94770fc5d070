"""Only programs on this machine, and no web page of another site."""

from __future__ import annotations

import pytest

from roci.server.access import is_own_host, is_own_origin
from tests.server.conftest import Gateway, chat


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "127.0.0.1:80", "127.9.9.9:1", "[::1]", "[::1]:1234"]
)
def test_loopback_names_are_own_hosts(host: str):
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example:1234", "127.0.0.1.evil.example", "0.0.0.0", "10.0.0.1", "[::2]"]
    + ["localhost:port", "localhost:99999", "user@localhost", "localhost/x", "[::1", "127.1@evil.example"],
)
def test_other_names_are_not(host: str):
    assert not is_own_host(host)


@pytest.mark.parametrize("origin", ["null", "", "https://evil.example", "file://", "ftp://localhost", "localhost"])
def test_pages_of_others_are_not_own_origins(origin: str):
    assert not is_own_origin(origin)


def test_a_request_under_a_foreign_name_is_refused(gateway: Gateway):
    reply = gateway.client.get("/v1/models", headers={"host": "rebound.example:1234"})
    assert reply.status_code == 421
    assert reply.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_post_from_a_page_of_another_site_is_refused_and_not_run(gateway: Gateway, origin: str):
    reply = gateway.client.post("/v1/chat/completions", json=chat(), headers={"origin": origin})
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "origin_not_allowed"
    assert gateway.health()["models"] == []


def test_a_page_on_this_machine_may_post(gateway: Gateway):
    reply = gateway.client.post("/v1/chat/completions", json=chat(), headers={"origin": "http://localhost:3000"})
    assert reply.status_code == 200
