"""`roci ps`, `load`, `unload`, `status`, `get --server`, `rm --server` and shell completion."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.canned_server import CannedServer, Reply, canned_server
from tests.support.command_line import CommandLine, lmstudio_routes
from tests.support.fake_hub import fake_hub
from tests.support.serve import Served, serve
from tests.support.tiny_gguf import gguf_bytes, write_tiny_gguf
from tests.support.workers import FAKE_WORKER

CommandLines = Callable[[CannedServer], CommandLine]
MODEL = gguf_bytes({"general.architecture": "llama", "general.name": "x" * 3000})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    for key in ("first", "second", "slowload"):
        write_tiny_gguf(home / "models" / "tests" / key / f"{key}.gguf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with serve(home, worker_command=FAKE_WORKER, parallel=2, max_loaded=4) as running:
            yield running


@pytest.fixture
def line(gateway: Served, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, gateway.url)


def documents(line: CommandLine, *arguments: str) -> Any:
    done = line.run(*arguments, "--json")
    assert (done.status, done.err) == (0, ""), done.err
    return json.loads(done.out)


def test_a_model_is_loaded_listed_and_unloaded(line: CommandLine) -> None:
    assert line.run("ps").out == ""
    loaded = line.run("load", "first", "--identifier", "mine", "--ttl", "600", "--parallel", "2")
    assert (loaded.status, loaded.out) == (0, "mine\n"), loaded.err
    assert "Loaded first in" in loaded.err
    again = line.run("load", "first", "--identifier", "mine")
    assert (again.out, again.err) == ("mine\n", "mine is loaded already.\n")

    heading, row = line.run("ps").out.splitlines()
    assert heading.split() == ["identifier", "status", "size", "context", "parallel", "ttl", "queue"]
    assert row.split()[:2] == ["mine", "idle"]
    (copy,) = documents(line, "ps")
    assert (copy["id"], copy["key"], copy["ttl_s"]) == ("mine", "first", 600)
    assert documents(line, "unload", "first") == {"unloaded": ["mine"]}
    assert "No model is loaded" in line.run("unload", "--all").err


def test_unload_without_a_name_takes_the_only_one_and_asks_where_there_are_more(line: CommandLine) -> None:
    line.run("load", "first")
    line.run("load", "second")
    unclear = line.run("unload")
    assert unclear.status == 2
    assert "Loaded are: first, second." in unclear.err
    assert line.run("unload", "second").err == "Unloaded second.\n"
    assert line.run("unload").err == "Unloaded first.\n"


def test_a_load_on_a_terminal_shows_a_bar(line: CommandLine) -> None:
    with line.but(COLUMNS="60").on_terminal("load", "slowload") as terminal:
        assert terminal.finish() == 0
    assert b"Loading slowload" in terminal.shown
    assert b"Loaded slowload" in terminal.shown
    line.run("unload", "--all")


def test_a_narrow_terminal_shows_what_is_loaded_on_two_lines(line: CommandLine) -> None:
    line.run("load", "first")
    with line.but(COLUMNS="30").on_terminal("ps") as terminal:
        assert terminal.finish() == 0
    assert terminal.shown.decode().replace("\r\n", "\n").startswith("first\n  idle, size 0 MB, context")
    line.run("unload", "--all")


def test_an_unknown_model_and_a_wrong_option_are_told_in_a_line(line: CommandLine) -> None:
    unknown = line.run("load", "frst")
    assert (unknown.status, unknown.out) == (1, "")
    assert "first" in unknown.err
    wrong = line.run("load", "first", "--parallel", "0")
    assert wrong.status == 2
    assert "options.parallel" in wrong.err


def test_the_server_downloads_and_deletes(line: CommandLine, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN_PATH", "/nonexistent")
    with fake_hub() as hub:
        hub.add("maker/Tiny-GGUF", {"Tiny-Q4_K_M.gguf": MODEL})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        done = line.run("get", "maker/Tiny-GGUF", "--server", gateway.url)
        again = documents(line, "get", "maker/Tiny-GGUF", "--server", gateway.url)
    assert (done.status, done.out) == (0, ""), done.err
    assert "is there: 0 MB." in done.err
    assert again["status"] == "already_downloaded"

    assert line.run("rm", "tiny-gguf", "--server", gateway.url).status == 2  # nobody is there to ask
    removed = line.run("rm", "tiny-gguf", "--yes", "--server", gateway.url)
    assert removed.status == 0, removed.err
    assert "Removed tiny-gguf" in removed.err


def test_status_asks_the_port(line: CommandLine, alone: CommandLine, gateway: Served) -> None:
    """Users' complaint 36."""
    done = line.run("status")
    assert done.status == 0
    assert done.out.startswith("roci serve ")
    assert f"is running at {gateway.url}" in done.out
    assert documents(line, "status")["state"] == "running"

    nobody = alone.run("status")
    assert nobody.status == 1
    assert nobody.out.startswith("No server answers at ")
    gone = alone.run("load", "m")
    assert (gone.status, gone.out) == (1, "")
    assert "Nothing answers at" in gone.err


def test_status_of_a_server_that_wants_a_token_is_alive(served: CommandLines) -> None:
    """Users' complaint 42."""
    denied = Reply.json({"error": {"message": "An API token is required.", "type": "invalid_request"}}, 401)
    with canned_server(lmstudio_routes(**{"GET /api/v1/models": denied})) as server:
        done = served(server).run("status")
    assert done.status == 0
    assert done.out.startswith("LM Studio is running at ")
    assert "wants a token" in done.err


def test_lm_studio_says_what_it_cannot(server: CannedServer, served: CommandLines) -> None:
    line = served(server)
    assert line.run("ps").out.splitlines()[1].split()[:2] == ["m", "loaded"]
    refused = line.run("load", "other", "--ttl", "60")
    assert refused.status == 2
    assert "LM Studio cannot be told ttl_s" in refused.err
    assert line.run("rm", "m", "--yes", "--server", server.url).status == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_written(alone: CommandLine, shell: str) -> None:
    done = alone.run("completion", shell)
    assert (done.status, done.err) == (0, "")
    assert f"_ROCI_COMPLETE={shell}_complete" in done.out


def completed(line: CommandLine, *words: str) -> list[str]:
    typed = {"_ROCI_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["roci", *words]), "COMP_CWORD": str(len(words))}
    return [found.partition(",")[2] for found in line.but(**typed).run().out.splitlines() if found]


def test_commands_models_and_copies_are_completed(line: CommandLine, alone: CommandLine) -> None:
    assert completed(line, "unl") == ["unload"]
    assert completed(line, "load", "f") == ["first"]
    line.run("load", "second")
    assert completed(line, "unload", "s") == ["second"]
    line.run("unload", "--all")
    assert completed(alone, "load", "f") == []


def test_completing_imports_nothing_that_takes_long(gateway: Served, tmp_path: Path) -> None:
    code = """if 1:
        import sys
        from roci.cli.command_line import run
        run([])
        print([name for name in ("rich", "httpx2", "asyncio") if name in sys.modules])
    """
    line = CommandLine(tmp_path, gateway.url, _ROCI_COMPLETE="bash_complete", COMP_WORDS="roci load f", COMP_CWORD="2")
    done = subprocess.run(
        [sys.executable, "-c", code], env=line.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "plain,first\n[]\n"


def test_models_is_another_name_for_ls_and_is_not_listed_twice(line: CommandLine) -> None:
    assert line.run("ls").out == line.run("models").out
    assert "\n  models" not in line.run().out
