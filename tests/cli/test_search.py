"""`roci search` and `roci models --recommended`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.command_line import CommandLine
from tests.support.fake_hub import FakeHub, fake_hub


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        running.add(
            "maker/Tiny-4B-GGUF",
            {"t-Q4_K_M.gguf": b"x", "t-Q8_0.gguf": b"x"},
            sizes={"t-Q4_K_M.gguf": 10**6, "t-Q8_0.gguf": 10**15},
            downloads=1234,
        )
        yield running


@pytest.fixture
def line(alone: CommandLine, hub: FakeHub) -> CommandLine:
    return alone.but(HF_ENDPOINT=hub.url)


def test_what_is_found_is_a_table_with_the_best_for_this_machine(line: CommandLine) -> None:
    done = line.run("search", "tiny", "4b")

    assert done.status == 0, done.err
    heading, row = done.out.splitlines()
    assert heading.split()[:2] == ["model", "params"]
    assert row.split() == ["maker/Tiny-4B-GGUF", "4.0B", "chat", "1,234", "Q4_K_M", "1", "MB", "Q8_0", "(too", "large)"]
    assert "roci get maker/Tiny-4B-GGUF" in done.err


def test_a_narrow_terminal_gets_lines(line: CommandLine) -> None:
    with line.but(COLUMNS="50").on_terminal("search", "tiny") as terminal:
        terminal.expect("maker/Tiny-4B-GGUF\r\n  4.0B, chat, 1,234, Q4_K_M")
        assert terminal.finish() == 0


def test_json_is_one_document(line: CommandLine) -> None:
    document = json.loads(line.run("search", "tiny", "--json").out)

    assert document["models"][0]["best"] == "Q4_K_M"
    assert [one["fits"] for one in document["models"][0]["quantizations"]] == [True, False]


def test_nothing_found_is_said(line: CommandLine) -> None:
    done = line.run("search", "nonesuch")

    assert (done.status, done.out) == (0, "")
    assert "Nothing was found" in done.err


def test_a_size_that_is_none_is_refused(line: CommandLine) -> None:
    done = line.run("search", "x", "--size", "big")

    assert done.status == 2
    assert "<8GB" in done.err


def test_without_a_network_it_says_what_to_check(alone: CommandLine) -> None:
    done = alone.but(HF_ENDPOINT=alone.environment["LMSTUDIO_BASE_URL"]).run("search", "x")

    assert (done.status, done.out) == (1, "")
    assert "Nothing answers at" in done.err


def test_the_recommended_models_are_listed_without_a_network_too(alone: CommandLine) -> None:
    done = alone.but(HF_ENDPOINT=alone.environment["LMSTUDIO_BASE_URL"]).run("models", "--recommended")

    assert done.status == 0
    assert len(done.out.splitlines()) == 7
    assert "~35.0 GB" in done.out
    assert "roci get phi-3-mini" in done.out
    assert "the hub, which knows better, did not say" in done.err


def test_the_recommended_models_are_one_json_document(alone: CommandLine) -> None:
    line = alone.but(HF_ENDPOINT=alone.environment["LMSTUDIO_BASE_URL"])
    document = json.loads(line.run("models", "--recommended", "--json").out)

    assert [model["title"] for model in document["models"]][-1] == "Phi-3-mini"
    assert all(model["size_origin"] == "stated" for model in document["models"])
