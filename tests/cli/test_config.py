"""`roci config` and `roci tokens`."""

from __future__ import annotations

import json
import re
import stat

import pytest

from tests.support.command_line import CommandLine
from tests.support.tiny_gguf import write_tiny_gguf

# To Python, a module that is None is one that is not installed.
HIDE = "import sys; sys.modules.update(dict.fromkeys(['litestar', 'uvicorn', 'xllamacpp']))"


@pytest.fixture
def bare(alone: CommandLine) -> CommandLine:
    """Without the server's packages, and with a model `tiny` on this machine."""
    folder = alone.folder / "startup"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDE)
    write_tiny_gguf(alone.folder / "roci" / "models" / "tests" / "tiny" / "tiny.gguf")
    return alone.but(PYTHONPATH=str(folder))


def shown(line: CommandLine, *key: str) -> dict[str, dict[str, object]]:
    done = line.run("config", "show", *key, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_the_servers_settings_are_set_shown_and_removed(bare: CommandLine) -> None:
    file = bare.folder / "roci" / "server.json"
    done = bare.run("config", "set", "port=8080", "cors=https://a.example,https://b.example", "ttl-s=never")
    assert (done.status, done.out) == (0, "")
    assert str(file) in done.err
    settings = {"port": 8080, "cors": ["https://a.example", "https://b.example"], "ttl_s": None}
    assert json.loads(file.read_text()) == settings
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with_variable = bare.but(ROCI_PORT="9000")
    assert shown(with_variable)["port"] == {"value": 9000, "origin": "ROCI_PORT"}
    assert shown(with_variable)["cors"] == {"value": settings["cors"], "origin": str(file)}
    lines = with_variable.run("config", "show", "--origin").out.splitlines()
    assert any(re.fullmatch(r"port +9000 +ROCI_PORT", line) for line in lines)
    assert any(re.fullmatch(r"host +127\.0\.0\.1 +default", line) for line in lines)
    assert "wins" in with_variable.run("config", "set", "port=8081").err
    assert bare.run("config", "unset", "port", "cors").status == 0
    assert json.loads(file.read_text()) == {"ttl_s": None}


def test_a_models_settings_are_set_shown_and_removed(bare: CommandLine) -> None:
    assert bare.run("config", "set", "--model", "TINY", "context_length=1024", "temperature=0.2").status == 0
    file = bare.run("config", "path", "--model", "tiny").out.rstrip("\n")
    assert file == str(bare.folder / "roci" / "model-settings" / "tiny.yaml")
    settings = shown(bare.but(ROCI_TOP_K="5"), "tiny")
    assert settings["temperature"] == {"value": 0.2, "origin": file}
    assert settings["context_length"] == {"value": 1024, "origin": file}
    assert settings["top_k"] == {"value": 5, "origin": "ROCI_TOP_K"}
    assert settings["use_mmap"]["origin"] == "default"
    assert bare.run("config", "unset", "--model", "tiny", "temperature").status == 0
    assert shown(bare, "tiny")["temperature"] == {"value": None, "origin": "default"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "prot=1"], "Did you mean port?"),
        (["set", "port=http"], "port is 'http'"),
        (["set", "port"], "'port' is not NAME=VALUE"),
        (["set", "cors=app.example"], "no origin"),
        (["set", "host=0.0.0.0"], "roci tokens create"),
        (["set", "allow_mcp_file=on"], "require_token"),
        (["set", "--model", "tiny", "port=1"], "There is no setting 'port'"),
        (["set", "--model", "tiny", "top_p=2"], "<= 1"),
        (["unset", "prot"], "Did you mean port?"),
    ],
)
def test_what_cannot_be_set_is_a_usage_error_and_writes_nothing(
    bare: CommandLine, arguments: list[str], words: str
) -> None:
    done = bare.run("config", *arguments)
    assert done.status == 2
    assert words in done.err
    assert not (bare.folder / "roci" / "server.json").exists()
    assert not (bare.folder / "roci" / "model-settings").exists()


def test_a_model_that_is_not_there_is_told_with_the_nearest(bare: CommandLine) -> None:
    done = bare.run("config", "set", "--model", "tinny", "top_k=1")
    assert done.status == 1
    assert "Did you mean tiny?" in done.err


def test_a_name_that_is_no_setting_can_be_got_rid_of(bare: CommandLine) -> None:
    file = bare.folder / "roci" / "server.json"
    file.write_text('{"max-loaded": 1, "port": 2}')
    assert "'max-loaded'" in bare.run("config", "show").err
    assert bare.run("config", "unset", "max-loaded").status == 0
    assert json.loads(file.read_text()) == {"port": 2}


def test_the_doctor_finds_settings_that_cannot_be_used_or_belong_to_nobody(bare: CommandLine) -> None:
    folder = bare.folder / "roci" / "model-settings"
    folder.mkdir()
    (folder / "tinny.yaml").write_text("top_k: 1\n")
    found = {check["check"]: check for check in json.loads(bare.run("doctor", "--json").out)["checks"]}
    assert found["settings"]["status"] == "warning"
    assert "tinny" in found["settings"]["message"]
    (folder / "tinny.yaml").write_text("topk: 1\n")
    found = {check["check"]: check for check in json.loads(bare.run("doctor", "--json").out)["checks"]}
    assert (found["settings"]["status"], found["settings"]["advice"]) == ("failure", "Did you mean top_k?")


def test_a_token_is_written_once_listed_by_name_and_removed(bare: CommandLine) -> None:
    made = bare.run("tokens", "create", "laptop")
    assert re.fullmatch(r"sk-lm-[A-Za-z0-9]{8}:[A-Za-z0-9]{20}\n", made.out)
    listed = bare.run("tokens", "list")
    assert re.fullmatch(rf"{made.out[6:14]}  \d{{4}}-\d\d-\d\d \d\d:\d\d  laptop\n", listed.out)
    assert json.loads(bare.run("tokens", "list", "--json").out)[0]["name"] == "laptop"
    again = bare.run("tokens", "create", "laptop")
    assert (again.status, again.out) == (2, "")
    assert bare.run("tokens", "rm", "labtop").status == 2
    assert bare.run("tokens", "rm", "laptop").status == 0
    assert bare.run("tokens", "list").out == ""
