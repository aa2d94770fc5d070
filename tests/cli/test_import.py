"""`roci import` and `roci rm`: what they say, ask and return."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.model_files import put_model, put_ollama, put_projector, tiny_bytes

MODEL_TYPE = "application/vnd.ollama.image.model"


@pytest.fixture
def models(alone: CommandLine) -> Path:
    """The folder of roci's models on that command line."""
    return alone.folder / "roci" / "models"


def test_a_file_is_moved_and_its_new_path_is_the_output(alone: CommandLine, models: Path) -> None:
    file = put_model(alone.folder / "downloads", "Some-7B-Q4_K_M.gguf")
    done = alone.run("import", "downloads/Some-7B-Q4_K_M.gguf")
    path = models / "imported/Some-7B/Some-7B-Q4_K_M.gguf"
    assert (done.status, done.out) == (0, f"{path}\n")
    assert "roci run -m local:imported/some-7b" in done.err
    assert (file.exists(), path.exists()) == (False, True)
    assert "local:some-7b" in alone.run("models").out


def test_a_dry_run_says_what_would_happen_and_does_nothing(alone: CommandLine, models: Path) -> None:
    file = put_model(alone.folder, "m.gguf")
    put_projector(alone.folder, "mmproj-m.gguf")
    done = alone.run("import", "--dry-run", "--json", "--as", "Me/Mine", "m.gguf")
    document = json.loads(done.out)
    assert (document["done"], document["way"], document["key"]) == (False, "move", "me/mine")
    assert [entry["to"] for entry in document["files"]] == [
        str(models / "Me/Mine/m.gguf"),
        str(models / "Me/Mine/mmproj-m.gguf"),
    ]
    assert (file.exists(), models.exists()) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("page.gguf",), 1, "web page"),
        (("a.gguf", "b.gguf"), 2, "Name one file"),
        (("--as", "../evil/x", "m.gguf"), 2, "PUBLISHER/MODEL"),
        (("--ollama",), 1, "OLLAMA_MODELS"),
    ],
)
def test_what_cannot_be_brought_is_an_error_in_words(
    alone: CommandLine, arguments: tuple[str, ...], status: int, words: str
) -> None:
    put_model(alone.folder, "m.gguf")
    (alone.folder / "page.gguf").write_bytes(b"<html>")
    done = alone.but(OLLAMA_MODELS=str(alone.folder / "no-store")).run("import", *arguments)
    assert (done.status, done.out) == (status, "")
    assert words in done.err
    assert "Traceback" not in done.err


def test_on_a_terminal_a_move_is_asked_for(alone: CommandLine, models: Path) -> None:
    file = put_model(alone.folder, "m.gguf")
    with alone.on_terminal("import", "m.gguf") as terminal:
        terminal.expect("[y/N]")
        terminal.type(b"n\n")
        assert terminal.finish() == 1
    assert file.exists()
    with alone.on_terminal("import", "m.gguf") as terminal:
        terminal.expect("[y/N]")
        terminal.type(b"y\n")
        assert terminal.finish() == 0
    assert (file.exists(), (models / "imported/m/m.gguf").exists()) == (False, True)


def test_ollamas_models_are_linked_and_those_that_cannot_be_are_named(alone: CommandLine, models: Path) -> None:
    store = alone.folder / ".ollama/models"
    put_ollama(store, "library/tiny:latest", {MODEL_TYPE: tiny_bytes(alone.folder)})
    put_ollama(store, "library/cloud:latest", {"text/license": b"x"})
    done = alone.run("import", "--ollama")
    assert done.status == 0
    assert "cloud:latest: skipped" in done.out
    assert f"tiny:latest: linked (hard) to {models}/ollama/tiny-latest/tiny-latest.gguf" in done.out
    assert alone.run("import", "--ollama", "cloud").status == 1
    document = json.loads(alone.run("import", "--ollama", "--json", "tiny").out)
    assert [model["outcome"] for model in document["models"]] == ["present"]


def test_a_model_is_removed_and_what_was_freed_is_told(alone: CommandLine, models: Path) -> None:
    path = put_model(models, "p/m/m-Q8_0.gguf")
    size = path.stat().st_size
    dry = alone.run("rm", "m", "--dry-run", "--json")
    assert (json.loads(dry.out)["freed_bytes"], path.exists()) == (size, True)
    done = alone.run("rm", "local:m", "--yes", "--json")
    document = json.loads(done.out)
    assert (done.status, document["removed"], document["files"]) == (0, True, [str(path)])
    assert list(models.iterdir()) == []


def test_without_a_terminal_nothing_is_removed_unasked(alone: CommandLine, models: Path) -> None:
    path = put_model(models, "p/m/m.gguf")
    done = alone.run("rm", "m", stdin=b"y\n")
    assert (done.status, done.out, path.exists()) == (2, "", True)
    assert "--yes" in done.err


def test_on_a_terminal_a_removal_is_asked_for(alone: CommandLine, models: Path) -> None:
    path = put_model(models, "p/m/m.gguf")
    for answer, status, stays in ((b"\n", 1, True), (b"yes\n", 0, False)):
        with alone.on_terminal("rm", "m") as terminal:
            terminal.expect("[y/N]")
            terminal.type(answer)
            assert terminal.finish() == status
        assert path.exists() is stays


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("theirs", 2, "which roci only reads"),
        ("two", 2, "two@q4_0, two@q8_0"),
    ],
)
def test_what_cannot_be_removed_is_an_error_in_words(
    alone: CommandLine, models: Path, key: str, status: int, words: str
) -> None:
    put_model(alone.folder / ".lmstudio/models", "p/theirs/x.gguf")
    put_model(models, "p/two/two-Q4_0.gguf")
    put_model(models, "p/two/two-Q8_0.gguf")
    done = alone.run("rm", "-y", key)
    assert (done.status, words in done.err) == (status, True)
    assert len(list(models.rglob("*.gguf"))) == 2
