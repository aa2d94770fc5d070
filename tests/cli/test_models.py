"""`roci models`: what the server has, and what lies on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.canned_server import CannedServer, Reply, canned_server
from tests.support.command_line import CommandLine, lmstudio_routes
from tests.support.tiny_gguf import write_tiny_gguf

Served = Callable[[CannedServer], CommandLine]


def put_model(line: CommandLine, name: str) -> Path:
    folder = line.folder / "roci" / "models" / "somebody" / name
    folder.mkdir(parents=True)
    path = folder / f"{name}-Q4_0.gguf"
    write_tiny_gguf(path)
    return path


def test_both_tables_give_names_that_can_be_asked_for(server: CannedServer, served: Served) -> None:
    line = served(server)
    put_model(line, "Tiny")
    done = line.run("models")
    assert done.status == 0
    rows = [row.split() for row in done.out.splitlines()]
    assert rows[0] == ["key", "kind", "params", "size", "quantization", "context", "abilities", "state"]
    assert rows[1] == ["lmstudio:m", "llm", "2.5", "GB", "Q4_K_M", "4,096", "loaded"]
    assert rows[2] == ["lmstudio:other", "llm", "2.5", "GB", "Q4_K_M", "40,960"]
    assert rows[-1] == ["local:tiny", "llm", "64", "0", "MB", "Q8_0", "2,048"]
    assert f"At {server.url} (from LMSTUDIO_BASE_URL)" in done.err
    assert "\x1b" not in done.out


def test_where_there_is_no_model_it_says_how_to_get_the_first(alone: CommandLine) -> None:
    done = alone.run("models")
    assert (done.status, done.out) == (0, "")
    assert f"No server answers at {alone.environment['LMSTUDIO_BASE_URL']}" in done.err
    assert "roci get smollm2-135m-instruct" in done.err


def test_json_is_one_document_and_nothing_else(server: CannedServer, served: Served) -> None:
    line = served(server)
    path = put_model(line, "Tiny")
    done = line.run("models", "--json")
    assert done.err == ""
    document = json.loads(done.out)
    assert [model["key"] for model in document["server"]["models"]] == ["m", "other"]
    assert [model["is_loaded"] for model in document["server"]["models"]] == [True, False]
    assert document["server"]["error"] is None
    assert [(model["key"], model["source"]) for model in document["local"]] == [("tiny", str(path))]


def test_a_file_that_is_no_model_is_listed_as_broken_with_the_reason(alone: CommandLine) -> None:
    put_model(alone, "Tiny").write_bytes(b"not a model")
    done = alone.run("models")
    row = done.out.splitlines()[-1].split()
    assert (row[0], row[-1]) == ("local:tiny", "broken")
    assert "local:tiny" not in done.err
    assert "tiny: The model file" in done.err
    (model,) = json.loads(alone.run("models", "--json").out)["local"]
    assert (model["state"], model["kind"], "is not a GGUF model" in model["problem"]) == ("broken", "unknown", True)


def test_abilities_come_from_the_file(alone: CommandLine) -> None:
    folder = alone.folder / "roci/models/p/able"
    template = "{{ tools }}{% if enable_thinking is defined and enable_thinking is false %}x{% endif %}"
    write_tiny_gguf(folder / "able-Q8_0.gguf", chat_template=template)
    write_tiny_gguf(folder / "mmproj-able.gguf", architecture="clip")
    assert "tools, vision, reasoning" in alone.run("models").out
    (model,) = json.loads(alone.run("models", "--json").out)["local"]
    assert (model["vision"], model["trained_for_tool_use"]) == (True, True)
    assert (model["reasoning_options"], model["reasoning_default"]) == (["off", "on"], "on")


def test_another_server_can_be_named(server: CannedServer, alone: CommandLine) -> None:
    done = alone.run("models", "--server", f"{server.url}/v1/")
    assert "lmstudio:m" in done.out
    assert f"At {server.url} (from --server)" in done.err


def test_a_named_server_that_is_not_there_is_an_error(alone: CommandLine) -> None:
    done = alone.run("models", "--server", alone.environment["LMSTUDIO_BASE_URL"])
    assert (done.status, done.out) == (1, "")
    assert "Check these four" in done.err


def test_a_named_server_without_a_scheme_is_a_usage_error(alone: CommandLine) -> None:
    done = alone.run("models", "--server", "localhost:1234")
    assert done.status == 2
    assert "--server" in done.err


def test_a_configured_server_that_is_no_model_server_is_told_and_passed_over(served: Served) -> None:
    page = Reply.text("<html>Welcome</html>")
    with canned_server({f"GET {path}/models": page for path in ("/api/v1", "/api/v0", "/v1")}) as server:
        done = served(server).run("models")
    assert done.status == 0
    assert "cannot be used" in done.err
    assert "Traceback" not in done.err


def test_a_narrow_terminal_shows_whole_names(served: Served) -> None:
    name = "a-model-with-a-name-longer-than-the-window-is-wide"
    routes = lmstudio_routes() | {"GET /api/v1/models": Reply.json({"models": [{"key": name, "size_bytes": 10**9}]})}
    with canned_server(routes) as server:
        with served(server).but(COLUMNS="40").on_terminal("models") as terminal:
            assert terminal.finish() == 0
    shown = terminal.shown.decode().replace("\r\n", "\n")
    assert f"lmstudio:{name}\n  llm, 1.0 GB\n" in shown


def test_a_server_cannot_command_the_terminal_by_a_models_name(served: Served) -> None:
    routes = lmstudio_routes() | {"GET /api/v1/models": Reply.json({"models": [{"key": "x\x1b[2J[red]y[/red]"}]})}
    with canned_server(routes) as server:
        with served(server).but(NO_COLOR="1").on_terminal("models") as terminal:
            assert terminal.finish() == 0
    assert b"\x1b[2J" not in terminal.shown
    assert "x\N{REPLACEMENT CHARACTER}[2J[red]y[/red]" in terminal.shown.decode()
