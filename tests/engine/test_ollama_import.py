"""Ollama's models, taken over by link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roci.engine import ollama_import
from roci.engine.library import find_model
from roci.engine.ollama_import import MODEL_TYPE, PROJECTOR_TYPE, chosen, link_model, ollama_models, ollama_store
from roci.errors import LibraryError, ModelNotFoundError
from tests.support.model_files import put_ollama, tiny_bytes


@pytest.fixture
def store(users_home: Path) -> Path:
    return users_home / ".ollama/models"


def test_a_model_is_linked_hard_with_its_projector_and_can_be_found(home: Path, store: Path, tmp_path: Path):
    eyes = tiny_bytes(tmp_path, architecture="clip")
    data = tiny_bytes(tmp_path)
    blob = put_ollama(store, "library/llava:7b", {MODEL_TYPE: data, PROJECTOR_TYPE: eyes, "text/license": b"Free"})
    (model,) = ollama_models(ollama_store())
    result = link_model(home, model)
    assert (result.name, result.outcome, result.link) == ("llava:7b", "linked", "hard")
    found = find_model(home, "llava-7b")
    assert (found.publisher, found.has_vision, found.path.samefile(blob)) == ("ollama", True, True)
    assert found.path == home / "models/ollama/llava-7b/llava-7b.gguf"
    assert link_model(home, model).outcome == "present"


def test_a_store_on_another_disk_is_linked_by_name(
    home: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_ollama(store, "library/tiny:latest", {MODEL_TYPE: tiny_bytes(tmp_path)})

    def no_hard_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_hard_link)
    result = link_model(home, ollama_models(store)[0])
    assert result.link == "symbolic"
    assert find_model(home, "tiny-latest").path.is_symlink()


def test_names_are_as_ollama_lists_them_and_latest_is_meant_without_a_tag(store: Path, tmp_path: Path):
    data = tiny_bytes(tmp_path)
    for name in ("library/llama3.2:latest", "library/llama3.2:1b", "somebody/mix:q4"):
        put_ollama(store, name, {MODEL_TYPE: data})
    models = ollama_models(store)
    assert [model.name for model in models] == ["llama3.2:1b", "llama3.2:latest", "somebody/mix:q4"]
    assert [model.name for model in chosen(models, ["llama3.2", "Somebody/Mix:q4"])] == [
        "llama3.2:latest",
        "somebody/mix:q4",
    ]
    assert chosen(models, []) == models
    with pytest.raises(ModelNotFoundError, match="lama3:latest") as caught:
        chosen(models, ["lama3:latest"])
    assert "llama3.2:latest" in caught.value.similar


def test_what_cannot_be_taken_over_is_skipped_with_the_reason(home: Path, store: Path, tmp_path: Path):
    put_ollama(store, "library/cloud:latest", {"text/license": b"x"})
    put_ollama(store, "library/gone:latest", {MODEL_TYPE: tiny_bytes(tmp_path)}).unlink()
    put_ollama(store, "library/old:latest", {MODEL_TYPE: b"lmgg old format"})
    put_ollama(store, "library/evil:latest", {MODEL_TYPE: b"GGUF"})
    manifest = store / "manifests/host.example/library/evil/latest"
    manifest.write_text(
        f'{{"layers": [{{"mediaType": "{MODEL_TYPE}", "digest": "sha256:../../../etc/passwd", "size": 4}}]}}'
    )
    (store / "manifests/host.example/library/torn").mkdir()
    (store / "manifests/host.example/library/torn/latest").write_text("{")
    results = {result.name: result for result in (link_model(home, model) for model in ollama_models(store))}
    assert {result.outcome for result in results.values()} == {"skipped"}
    assert "no file in GGUF" in results["cloud:latest"].problem
    assert "not there" in results["gone:latest"].problem
    assert "old GGML format" in results["old:latest"].problem
    assert "not there" in results["evil:latest"].problem
    assert "cannot be read" in results["torn:latest"].problem
    assert not home.exists()


def test_another_file_of_that_name_is_not_replaced_and_a_dead_link_is(home: Path, store: Path, tmp_path: Path):
    put_ollama(store, "library/tiny:latest", {MODEL_TYPE: tiny_bytes(tmp_path)})
    (model,) = ollama_models(store)
    target = home / "models/ollama/tiny-latest/tiny-latest.gguf"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    result = link_model(home, model)
    assert (result.outcome, "roci rm tiny-latest" in result.problem) == ("skipped", True)
    assert target.read_bytes() == b"mine"
    target.unlink()
    target.symlink_to(tmp_path / "gone")
    assert link_model(home, model).outcome == "linked"


def test_a_dry_run_writes_nothing(home: Path, store: Path, tmp_path: Path):
    put_ollama(store, "library/tiny:latest", {MODEL_TYPE: tiny_bytes(tmp_path)})
    assert link_model(home, ollama_models(store)[0], dry_run=True).outcome == "linked"
    assert not home.exists()


def test_the_store_is_where_the_variable_says(
    users_home: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_ollama(tmp_path / "named", "library/tiny:latest", {MODEL_TYPE: tiny_bytes(tmp_path)})
    assert ollama_store({"OLLAMA_MODELS": str(tmp_path / "named")}) == tmp_path / "named"
    monkeypatch.setattr(ollama_import, "_SERVICE_FOLDERS", ())
    with pytest.raises(LibraryError, match="no store of Ollama's"):
        ollama_store({})
