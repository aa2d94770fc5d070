"""Only those who may: by Host, by Origin, by token. What is refused is not run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from roci.server.access import LACKS_TOKEN, AccessGuard, is_own_host, is_own_origin
from roci.server.settings import ServerSettings
from roci.server.state.tokens import create_token, remove_token

APP = "https://app.example"
EVIL = "https://evil.example"


class Guarded:
    """An application behind the guard, asked as a server asks it, and what came of it."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.guard = AccessGuard(self._app, ServerSettings(**settings), home)
        self.ran = 0
        self.state: dict[str, Any] = {}

    async def _app(self, scope: Any, _: Any, send: Any) -> None:
        self.ran += 1
        self.state = scope["state"]
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"run", "more_body": False})

    def ask(self, method: str = "GET", path: str = "/v1/models", *, kind: str = "http", **headers: str) -> Reply:
        raw = {"host": "localhost:1234"} | {name.replace("_", "-"): value for name, value in headers.items()}
        scope: Any = {
            "type": kind,
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in raw.items()],
            "state": {},
        }
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        asyncio.run(self.guard(scope, receive, send))
        return Reply(messages)


class Reply:
    def __init__(self, messages: list[Any]) -> None:
        self.first = messages[0]
        self.status: int = self.first.get("status", 0)
        self.headers = [(name.decode(), value.decode("latin-1")) for name, value in self.first.get("headers", [])]
        self.body = b"".join(message.get("body", b"") for message in messages)

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    def header(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) < 2, found
        return found[0] if found else None

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.body)["error"]


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


@pytest.mark.parametrize("origin", ["null", "", EVIL, "file://", "ftp://localhost", "localhost", "http://0.0.0.0:1234"])
def test_pages_of_others_are_not_own_origins(origin: str):
    assert not is_own_origin(origin)


def test_a_request_under_a_foreign_name_is_refused(tmp_path: Path):
    guarded = Guarded(tmp_path)
    reply = guarded.ask(host="rebound.example:1234")
    assert (reply.status, reply.error["code"], guarded.ran) == (421, "host_not_allowed", 0)


def test_names_that_are_listed_and_the_address_that_is_bound_are_own(tmp_path: Path):
    guarded = Guarded(tmp_path, host="192.168.1.5", allow_open=True, allowed_hosts=("Box.local",))
    for host in ("box.local:1234", "BOX.LOCAL", "192.168.1.5:1234", "localhost"):
        assert guarded.ask(host=host).status == 200, host
    for host in ("other.local", "192.168.1.6", "sub.box.local"):
        assert guarded.ask(host=host).status == 421, host


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_a_server_on_all_addresses_answers_to_any_address_but_to_no_foreign_name(tmp_path: Path, bound: str):
    guarded = Guarded(tmp_path, host=bound, allow_open=True)
    assert guarded.ask(host="10.1.2.3:1234").status == 200
    assert guarded.ask(host="[fe80::1]:1234").status == 200
    assert guarded.ask(host="rebound.example").status == 421


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PUT", "OPTIONS"])
@pytest.mark.parametrize("origin", [EVIL, "null", "http://10.1.2.3"])
def test_what_a_page_of_another_site_could_do_harm_with_is_not_run(tmp_path: Path, method: str, origin: str):
    guarded = Guarded(tmp_path, host="0.0.0.0", allow_open=True)
    reply = guarded.ask(method, origin=origin)
    assert (reply.status, reply.error["code"], guarded.ran) == (403, "origin_not_allowed", 0)
    assert reply.header("access-control-allow-origin") is None


def test_pages_of_this_machine_and_of_this_server_may_post_without_cors(tmp_path: Path):
    guarded = Guarded(tmp_path, host="0.0.0.0", allow_open=True)
    assert guarded.ask("POST", origin="http://localhost:3000").status == 200
    assert guarded.ask("POST", host="10.1.2.3:1234", origin="http://10.1.2.3:1234").status == 200
    assert guarded.ask("OPTIONS", origin="http://localhost:3000").body == b"run"


def test_without_cors_no_page_is_told_that_it_may_read(tmp_path: Path):
    reply = Guarded(tmp_path).ask(origin="http://localhost:3000")
    assert reply.status == 200
    assert (reply.header("access-control-allow-origin"), reply.header("vary")) == (None, None)


@pytest.mark.parametrize("cors", [True, (APP,)])
def test_a_page_that_may_ask_gets_its_answer_with_its_own_origin_and_never_a_star(tmp_path: Path, cors: Any):
    guarded = Guarded(tmp_path, cors=cors)
    reply = guarded.ask("POST", origin=APP)
    assert (reply.status, guarded.ran) == (200, 1)
    assert reply.header("access-control-allow-origin") == APP
    assert reply.header("vary") == "Origin"
    assert "retry-after" in (reply.header("access-control-expose-headers") or "")
    assert reply.header("access-control-allow-credentials") is None
    assert reply.header("content-type") == "text/plain"


def test_answers_that_differ_by_origin_say_so_to_caches(tmp_path: Path):
    reply = Guarded(tmp_path, cors=(APP,)).ask()
    assert (reply.header("vary"), reply.header("access-control-allow-origin")) == ("Origin", None)


@pytest.mark.parametrize("cors", [True, (APP,)])
def test_a_preflight_is_answered_here(tmp_path: Path, cors: Any):
    guarded = Guarded(tmp_path, cors=cors, require_token=True)
    reply = guarded.ask(
        "OPTIONS",
        "/v1/chat/completions",
        origin=APP,
        access_control_request_method="POST",
        access_control_request_headers="authorization, content-type",
    )
    assert (reply.status, reply.body, guarded.ran) == (204, b"", 0)
    assert reply.header("access-control-allow-origin") == APP
    assert "DELETE" in (reply.header("access-control-allow-methods") or "")
    assert reply.header("access-control-allow-headers") == "authorization, content-type"
    assert (reply.header("vary") or "").startswith("Origin")
    assert reply.header("access-control-allow-private-network") is None


def test_a_preflight_into_the_private_network_is_answered_as_browsers_want(tmp_path: Path):
    asked = {"access_control_request_method": "POST", "access_control_request_private_network": "true"}
    reply = Guarded(tmp_path, cors=(APP,)).ask("OPTIONS", origin=APP, **asked)
    assert reply.header("access-control-allow-private-network") == "true"


def test_the_preflight_of_another_page_is_refused_with_a_reason(tmp_path: Path):
    guarded = Guarded(tmp_path, cors=(APP,))
    reply = guarded.ask("OPTIONS", origin=EVIL, access_control_request_method="POST")
    assert (reply.status, guarded.ran) == (403, 0)
    assert "cors" in reply.error["message"]
    assert reply.header("access-control-allow-origin") is None
    assert guarded.ask("POST", origin=EVIL).status == 403
    assert guarded.ran == 0


def test_cors_does_not_open_the_door_to_foreign_names(tmp_path: Path):
    guarded = Guarded(tmp_path, cors=True)
    asked = {"origin": APP, "host": "rebound.example"}
    assert guarded.ask("OPTIONS", access_control_request_method="POST", **asked).status == 421
    assert guarded.ask("POST", **asked).status == 421
    assert guarded.ran == 0


def test_a_websocket_of_another_page_is_not_opened(tmp_path: Path):
    guarded = Guarded(tmp_path)
    assert guarded.ask(kind="websocket", origin=EVIL).first["type"] == "websocket.close"
    assert guarded.ask(kind="websocket", host="rebound.example").first["type"] == "websocket.close"
    assert guarded.ran == 0
    assert guarded.ask(kind="websocket").first["type"] == "websocket.accept"


def test_without_the_wish_for_tokens_any_or_none_is_accepted(tmp_path: Path):
    guarded = Guarded(tmp_path)
    assert guarded.ask("POST").status == 200
    assert guarded.ask("POST", authorization="Bearer lm-studio").status == 200


def test_a_known_token_lets_in_by_either_header(tmp_path: Path):
    token = create_token(tmp_path, "laptop")
    guarded = Guarded(tmp_path, require_token=True)
    assert guarded.ask("POST", authorization=f"Bearer {token}").status == 200
    assert guarded.ask("POST", authorization=f"bearer  {token} ").status == 200
    assert guarded.ask("POST", "/v1/messages", x_api_key=token).status == 200
    assert guarded.ask("POST", authorization="Bearer not-needed", x_api_key=token).status == 200
    remove_token(tmp_path, "laptop")
    assert guarded.ask("POST", authorization=f"Bearer {token}").status == 401
    assert guarded.ran == 4


FAULTS = {
    "wants an API token": {},
    "malformed": {"authorization": "Bearer lm-studio"},
    "is malformed": {"authorization": "Basic c2stbG06eA=="},
    "token is malformed": {"x_api_key": "secret"},
    "not known": {"authorization": "Bearer sk-lm-AAAAAAAA:BBBBBBBBBBBBBBBBBBBB"},
}


@pytest.mark.parametrize(("words", "headers"), FAULTS.items(), ids=list(FAULTS))
def test_missing_malformed_and_unknown_tokens_are_told_apart(tmp_path: Path, words: str, headers: dict[str, str]):
    create_token(tmp_path, "laptop")
    guarded = Guarded(tmp_path, require_token=True)
    reply = guarded.ask("POST", "/v1/chat/completions", **headers)
    assert (reply.status, guarded.ran) == (401, 0)
    assert words in reply.error["message"]
    assert (reply.header("www-authenticate") or "").startswith("Bearer ")
    assert not any(value.split()[-1] in reply.body.decode() for value in headers.values())


def test_a_refusal_has_the_shape_of_its_family(tmp_path: Path):
    guarded = Guarded(tmp_path, require_token=True)
    openai = guarded.ask("POST", "/v1/chat/completions").error
    assert (openai["type"], openai["code"], openai["param"]) == ("invalid_request_error", "invalid_api_key", None)
    native = guarded.ask("GET", "/api/v1/models").error
    assert (native["type"], native["code"]) == ("invalid_request", "invalid_api_key")
    messages = json.loads(guarded.ask("POST", "/v1/messages").body)
    assert (messages["type"], messages["error"]["type"]) == ("error", "authentication_error")


def test_a_page_that_may_ask_can_read_why_it_was_refused(tmp_path: Path):
    reply = Guarded(tmp_path, cors=(APP,), require_token=True).ask("POST", origin=APP)
    assert (reply.status, reply.header("access-control-allow-origin")) == (401, APP)


@pytest.mark.parametrize("path", ["/lmstudio-greeting", "/health"])
def test_everybody_may_see_that_a_server_is_there(tmp_path: Path, path: str):
    guarded = Guarded(tmp_path, require_token=True)
    assert guarded.ask("GET", path).status == 200
    assert guarded.state == {LACKS_TOKEN: True}
    assert guarded.ask("POST", path).status == 401
    assert guarded.ask("GET", f"{path}/x").status == 401
    token = create_token(tmp_path, "laptop")
    assert guarded.ask("GET", path, authorization=f"Bearer {token}").status == 200
    assert guarded.state == {}
