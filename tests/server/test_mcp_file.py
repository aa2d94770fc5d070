"""The servers of `mcp.json`: programs and addresses that requests name, kept between them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from roci.errors import BadRequestError, ConfigError
from roci.server.mcp.file import server_in
from roci.server.state.tokens import create_token
from tests.server.conftest import Gateway, model_file
from tests.server.test_mcp import CALLS, SERVER, WEATHER, chat, events, last_request, native, refused, script
from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S, serve
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import FAKE_WORKER, is_running, wait_until

SECRET = "secret-of-the-program"


class Program:
    """The MCP server of the file, as its log tells of it."""

    def __init__(self, log: Path) -> None:
        self.log = log

    @property
    def pids(self) -> list[int]:
        words = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [int(pid) for word, pid in words if word == "started"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(tmp_path_factory.mktemp("mcp") / "log")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, program: Program) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    write_tiny_gguf(model_file(home, CALLS))
    env = {"MCP_LOG": str(program.log), "API_KEY": SECRET}
    servers: dict[str, Any] = {
        "tests": {"command": sys.executable, "args": [str(SERVER), "stdio"], "env": env},
        "missing": {"command": "/no/such/program", "env": {"API_KEY": SECRET}},
        "broken": {
            "command": sys.executable,
            "args": ["-c", "import os; raise SystemExit('no ' + os.environ['API_KEY'])"],
        }
        | {"env": {"API_KEY": SECRET}},
        "both": {"command": "x", "url": "http://127.0.0.1:9"},
    }
    (home / "mcp.json").write_text(json.dumps({"mcpServers": servers, "inputs": []}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        token = create_token(home, "tests")
        settings: Any = {"parallel": 2, "allow_mcp_file": True, "require_token": True}
        headers = {"authorization": f"Bearer {token}"}
        with (
            serve(home, worker_command=FAKE_WORKER, **settings) as served,
            httpx2.Client(base_url=served.url, headers=headers, timeout=PATIENCE_S) as client,
        ):
            yield Gateway(served, home, client)
    for pid in program.pids:
        assert not is_running(pid), "a server outlived the gateway"


def test_a_program_of_the_file_is_started_once_and_kept(gateway: Gateway, program: Program):
    for given in ("mcp/tests", {"type": "plugin", "id": "mcp/tests", "allowed_tools": ["get_weather"]}):
        reply = chat(gateway, native(script(WEATHER), given))
        assert reply["output"][0]["output"] == '[{"type":"text","text":"Sunny in Paris."}]'
        assert reply["output"][0]["provider_info"] == {"type": "plugin", "plugin_id": "mcp/tests"}
    assert len(program.pids) == 1
    assert is_running(program.pids[0])


def test_a_program_gets_little_of_the_servers_environment(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    names = last_request(chat(gateway, native(script([["variables", {}]]), "mcp/tests")))["messages"][-1]["content"]
    assert "API_KEY" in names.split()
    assert "PYTEST_CURRENT_TEST" not in names.split()


def test_a_program_that_died_is_an_error_once_and_then_started_anew(gateway: Gateway, program: Program):
    body = native(script([["die", {}]]), "mcp/tests", stream=True)
    told = events(gateway.client.post("/api/v1/chat", json=body).text)
    assert told[-2]["error"]["type"] == "plugin_connection_error"
    before = len(program.pids)
    assert chat(gateway, native(script(WEATHER), "mcp/tests"))["output"][0]["type"] == "tool_call"
    assert len(program.pids) == before + 1


def test_a_program_that_died_while_nobody_used_it_is_started_anew(gateway: Gateway, program: Program):
    chat(gateway, native("hi", "mcp/tests"))
    process = psutil.Process(program.pids[-1])
    process.kill()
    wait_until(lambda: not is_running(process.pid), "its end")
    assert chat(gateway, native(script(WEATHER), "mcp/tests"))["output"][0]["type"] == "tool_call"


def test_a_client_that_leaves_does_not_end_a_program_that_others_use(gateway: Gateway, program: Program):
    with gateway.client.stream("POST", "/api/v1/chat", json=native(script([["wait", {}]]), "mcp/tests", stream=True)):
        wait_until(lambda: "begun" in program.log.read_text(), "the call")
    wait_until(lambda: "cancelled" in program.log.read_text(), "its end")
    assert is_running(program.pids[-1])


@pytest.mark.parametrize(("name", "words"), [("missing", "there is no program"), ("broken", "closed the connection")])
def test_a_program_that_does_not_start_is_one_plain_error(
    gateway: Gateway, name: str, words: str, caplog: pytest.LogCaptureFixture
):
    error = refused(gateway, "/api/v1/chat", native("hi", f"mcp/{name}"), 502)
    assert (error["type"], error["param"]) == ("plugin_connection_error", "integrations[0]")
    assert words in error["message"]
    assert SECRET not in error["message"]
    assert words in caplog.text
    assert SECRET not in caplog.text


def test_a_name_that_is_not_in_the_file_is_refused_with_the_nearest(gateway: Gateway):
    error = refused(gateway, "/api/v1/chat", native("hi", "mcp/test"))
    assert error["param"] == "integrations[0]"
    assert "Did you mean 'tests'?" in error["message"]


def test_an_entry_that_cannot_be_used_is_the_servers_fault(gateway: Gateway):
    assert "mcpServers.both" in refused(gateway, "/api/v1/chat", native("hi", "mcp/both"), 500)["message"]


@compatible("POST /api/v1/chat", "plugins that are no MCP servers", "missing", "refused by name")
def test_a_plugin_that_is_none_of_the_file_is_refused(gateway: Gateway):
    assert refused(gateway, "/api/v1/chat", native("hi", "rag/v1"))["param"] == "integrations[0]"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be used"),
        ("[]", "cannot be used"),
        ('{"mcpServers": {"x": {"url": "file:///x"}}}', "$.mcpServers[...].url"),
        ('{"mcpServers": {"x": {"command": "a", "args": "b"}}}', "$.mcpServers[...].args"),
        ('{"mcpServers": {"x": {}}}', "mcpServers.x"),
        (" " * 1_000_001, "larger than a megabyte"),
        ("[" * 100_000, "cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, content: str, words: str):
    file = tmp_path / "mcp.json"
    file.write_text(content)
    with pytest.raises(ConfigError) as fault:
        server_in(file, "x", "here")
    assert words in fault.value.message
    assert str(file) in fault.value.message


def test_no_file_is_as_one_without_servers(tmp_path: Path):
    with pytest.raises(BadRequestError, match=r"no server of mcp\.json") as fault:
        server_in(tmp_path / "mcp.json", "x", "here")
    assert fault.value.param == "here"


def test_an_entry_with_an_address_keeps_its_headers(tmp_path: Path):
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"x": {"url": "https://x.test/mcp", "headers": {"A": "b"}, "type": "http"}}}')
    spec = server_in(file, "x", "here")
    assert (spec.url, spec.headers, spec.command) == ("https://x.test/mcp", {"A": "b"}, "")
