"""Which models are on the disk, and which of them a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from roci.engine.library import find_model, models_on_disk
from roci.errors import ModelNotFoundError


@pytest.fixture(autouse=True)
def users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, empty: LM Studio's own models on this machine do not count here."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "roci"


def put(folder: Path, name: str, data: bytes = b"12345") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def keys(home: Path, *extra: Path) -> list[str]:
    return [model.key for model in models_on_disk(home, extra)]


def test_an_empty_home_has_no_models(home: Path):
    assert models_on_disk(home) == []


def test_a_models_key_is_its_folders_name_in_lower_case(home: Path):
    path = put(home / "models", "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf")
    (model,) = models_on_disk(home)
    assert (model.key, model.publisher, model.path, model.size_bytes) == ("qwen3-4b-gguf", "Qwen", path, 5)


def test_a_name_finds_its_model_in_any_case_with_publisher_and_with_quantization(home: Path):
    path = put(home / "models", "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf")
    for name in ("qwen3-4b-gguf", "QWEN3-4B-gguf", "qwen/qwen3-4b-gguf", "qwen3-4b-gguf@q4_k_m"):
        assert find_model(home, name).path == path


def test_two_publishers_of_one_name_are_told_apart(home: Path):
    put(home / "models", "a/Same/x.gguf")
    put(home / "models", "b/same/x.gguf")
    assert keys(home) == ["a/same", "b/same"]
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(home, "same")
    assert set(caught.value.similar) == {"a/same", "b/same"}


def test_several_files_of_one_model_are_told_apart_by_quantization(home: Path):
    put(home / "models", "p/m/m-Q4_K_M.gguf")
    put(home / "models", "p/m/m-Q8_0.gguf")
    assert keys(home) == ["m", "m@q8_0"]
    assert find_model(home, "m@q4_k_m").path.name == "m-Q4_K_M.gguf"
    assert find_model(home, "p/m@q8_0").path.name == "m-Q8_0.gguf"


def test_projectors_unfinished_downloads_and_further_shards_are_no_models(home: Path):
    for name in ("mmproj-m-f16.gguf", "m-Q8_0.gguf.part", "readme.md", ".hidden.gguf"):
        put(home / "models", f"p/m/{name}")
    put(home / "models", "p/big/big-Q8_0-00001-of-00002.gguf")
    put(home / "models", "p/big/big-Q8_0-00002-of-00002.gguf")
    (model,) = models_on_disk(home)
    assert (model.key, model.size_bytes) == ("big", 10)
    assert find_model(home, "big@q8_0") == model


def test_lm_studios_own_folder_and_listed_ones_are_read_too(home: Path, users_home: Path, tmp_path: Path):
    put(home / "models", "p/ours/x.gguf")
    put(users_home / ".lmstudio" / "models", "p/theirs/x.gguf")
    put(tmp_path / "listed", "p/listed/x.gguf")
    assert keys(home, tmp_path / "listed") == ["listed", "ours", "theirs"]


def test_a_model_in_two_folders_counts_once_and_ours_first(home: Path, users_home: Path):
    path = put(home / "models", "p/m/x.gguf")
    put(users_home / ".lmstudio" / "models", "p/m/x.gguf")
    (model,) = models_on_disk(home)
    assert model.path == path


def test_an_unknown_name_gets_the_nearest_ones_and_all_there_are(home: Path):
    put(home / "models", "p/llama3.3/x.gguf")
    put(home / "models", "p/mistral/x.gguf")
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(home, "lama3.3")
    error = caught.value
    assert (error.key, error.status, error.code) == ("lama3.3", 404, "model_not_found")
    assert error.similar == ("llama3.3",)
    assert error.available == ("llama3.3", "mistral")
    assert "llama3.3" in error.hint


def test_without_any_model_the_hint_is_how_to_get_one(home: Path):
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(home, "llama3.3")
    assert "roci get smollm2-135m-instruct" in caught.value.hint


def test_a_path_is_a_model_only_where_paths_are_allowed(home: Path, tmp_path: Path):
    path = put(tmp_path, "My-Model.gguf")
    assert find_model(home, str(path), paths=True).key == "my-model"
    with pytest.raises(ModelNotFoundError):
        find_model(home, str(path))
