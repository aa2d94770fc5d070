"""`roci doctor`: each line ok, warning or failure, with what to do, and an exit status for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.canned_server import CannedServer, Reply, canned_server, chunk
from tests.support.command_line import CommandLine, Finished, lmstudio_routes

from .conftest import ANSWER

Served = Callable[[CannedServer], CommandLine]
CHECKS = [
    "python",
    "configuration",
    "settings",
    "server",
    "models",
    "answer",
    "engine",
    "starter model",
    "gpu",
    "memory",
    "disk",
]


def checks(done: Finished) -> dict[str, dict[str, Any]]:
    assert done.err == ""
    return {check["check"]: check for check in json.loads(done.out)["checks"]}


def test_a_loaded_model_that_answers_is_well(server: CannedServer, served: Served) -> None:
    done = served(server).run("doctor")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("ok       python         roci ")
    assert f"ok       server         LM Studio answers at {server.url} (from LMSTUDIO_BASE_URL)" in lines
    assert "ok       models         2 models, loaded: m" in lines
    assert any(line.startswith("ok       answer         lmstudio:m answers within ") for line in lines)
    assert "\x1b" not in done.out


def test_json_has_every_check_in_order(server: CannedServer, served: Served) -> None:
    done = served(server).run("doctor", "--json")
    found = checks(done)
    assert list(found) == CHECKS
    assert found["server"]["facts"]["kind"] == "lmstudio"
    assert found["models"]["facts"] == {"available": ["m", "other"], "loaded": ["m"]}
    assert found["answer"]["status"] == "ok"
    assert found["memory"]["facts"]["free_bytes"] > 0
    assert found["disk"]["facts"]["free_bytes"] > 0
    statuses = {check["status"] for check in found.values()}
    assert json.loads(done.out)["status"] == ("warning" if "warning" in statuses else "ok")


def test_one_token_is_asked_for(server: CannedServer, served: Served) -> None:
    served(server).run("doctor")
    asked = [request.json() for request in server.requests if request.method == "POST"]
    assert [(body["model"], body["max_tokens"]) for body in asked] == [("m", 1)]


def test_roci_serve_is_told_from_lm_studio(served: Served) -> None:
    health = Reply.json({"status": "ok", "version": "0.1.0", "models": [], "queue_length": 0, "can_load": True})
    with canned_server(lmstudio_routes(ANSWER) | {"GET /health": health}) as server:
        done = served(server).run("doctor")
    assert "roci serve answers at" in done.out


def test_a_plain_v1_is_asked_too(served: Served) -> None:
    plain = {"GET /v1/models": Reply.json({"data": [{"id": "m"}]}), "POST /v1/chat/completions": ANSWER}
    with canned_server(plain) as server:
        found = checks(served(server).run("doctor", "--json"))
    assert found["server"]["message"].startswith("A server that speaks /v1 answers")
    assert found["answer"]["status"] == "ok"


def test_nothing_is_loaded_for_it_unless_a_model_is_named(served: Served) -> None:
    with canned_server(lmstudio_routes(ANSWER, loaded=())) as server:
        line = served(server)
        done = line.run("doctor", "--json")
        found = checks(done)
        assert done.status == 0
        assert (found["models"]["status"], found["answer"]["status"]) == ("warning", "warning")
        assert "lms load m" in found["models"]["advice"]
        assert not any(request.method == "POST" for request in server.requests)
        named = checks(line.run("doctor", "--json", "-m", "lmstudio:m"))
        assert named["answer"]["status"] == "ok"


def test_nothing_that_can_answer_is_a_failure(alone: CommandLine) -> None:
    done = alone.run("doctor", "--json")
    found = checks(done)
    assert done.status == 1
    assert found["server"]["status"] == "failure"
    assert alone.environment["LMSTUDIO_BASE_URL"] in found["server"]["message"]
    assert "LMSTUDIO_BASE_URL" in found["server"]["message"]
    assert "Check these four" in found["server"]["advice"]
    assert "roci get" in found["starter model"]["advice"]


def test_a_refused_token_says_that_the_server_is_alive(served: Served) -> None:
    refusal = Reply.json({"error": {"message": "no", "code": "invalid_api_key"}}, 401)
    with canned_server({"GET /api/v1/models": refusal}) as server:
        without = served(server).run("doctor")
        wrong = served(server).but(LM_API_TOKEN="very-secret").run("doctor")
    assert (without.status, wrong.status) == (1, 1)
    assert "is alive and wants a token, and none is set" in without.out
    assert "refuses the token from LM_API_TOKEN" in wrong.out
    assert "very-secret" not in wrong.out + wrong.err


def test_a_web_page_at_the_configured_address_is_a_failure(served: Served) -> None:
    page = Reply.text("<html>Welcome</html>")
    with canned_server({f"GET {path}/models": page for path in ("/api/v1", "/api/v0", "/v1")}) as server:
        done = served(server).run("doctor", "--json")
    assert done.status == 1
    assert "web page" in checks(done)["server"]["message"]


def test_a_model_that_does_not_answer_is_a_failure_with_its_reason(served: Served) -> None:
    for reply in (
        Reply.json({"error": {"message": "The model has crashed", "code": "x"}}, 500),
        Reply.events(chunk("He"), done=False, cut=True),
    ):
        with canned_server(lmstudio_routes(reply)) as server:
            done = served(server).run("doctor", "--json")
        assert done.status == 1
        assert checks(done)["answer"]["message"].startswith("lmstudio:m does not answer: ")


@pytest.mark.parametrize(
    ("name", "value"), [("LMSTUDIO_BASE_URL", "nowhere"), ("ROCI_MODEL", "llama3.3"), ("ROCI_TIMEOUT_GAP_S", "soon")]
)
def test_a_bad_setting_is_a_failure_and_the_rest_is_checked_all_the_same(
    alone: CommandLine, name: str, value: str
) -> None:
    done = alone.but(**{name: value}).run("doctor", "--json")
    found = checks(done)
    assert done.status == 1
    assert found["configuration"]["status"] == "failure"
    assert value in found["configuration"]["message"]
    assert found["memory"]["status"] in ("ok", "warning")


def test_a_wrong_selector_is_told_in_the_answers_line(server: CannedServer, served: Served) -> None:
    found = checks(served(server).run("doctor", "--json", "-m", "llama3.3"))
    assert found["answer"]["status"] == "failure"
    assert "lmstudio:llama3.3" in found["answer"]["advice"]


def test_a_terminal_gets_colours_and_narrow_lines(server: CannedServer, served: Served) -> None:
    with served(server).but(COLUMNS="40").on_terminal("doctor") as terminal:
        assert terminal.finish() == 0
    assert b"\x1b[32mok" in terminal.shown
    plain = terminal.shown.decode().replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "")
    words = [line for line in plain.splitlines() if " " in line.strip()]
    assert max(map(len, words)) <= 40
