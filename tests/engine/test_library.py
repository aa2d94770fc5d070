"""Which models are on the disk, and which of them a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from roci.engine.library import find_model, models_on_disk, scan
from roci.errors import BadModelFileError, ConfigError, ModelNotFoundError
from tests.support.model_files import put_model, put_projector, put_split


def keys(home: Path, *extra: Path) -> list[str]:
    return [model.key for model in models_on_disk(home, extra)]


def test_an_empty_home_has_no_models(home: Path):
    assert models_on_disk(home) == []


def test_a_models_key_is_its_folders_name_in_lower_case(home: Path):
    path = put_model(home / "models", "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf")
    (model,) = models_on_disk(home)
    assert (model.key, model.publisher, model.path) == ("qwen3-4b-gguf", "Qwen", path)
    assert model.size_bytes == path.stat().st_size


@pytest.mark.parametrize("name", ["qwen3-4b-gguf", "QWEN3-4B-gguf", "qwen/qwen3-4b-gguf", "qwen3-4b-gguf@q4_k_m"])
def test_a_name_finds_its_model_in_any_case_with_publisher_and_with_quantization(home: Path, name: str):
    path = put_model(home / "models", "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf")
    assert find_model(home, name).path == path


def test_two_publishers_of_one_name_are_told_apart(home: Path):
    put_model(home / "models", "a/Same/x.gguf")
    put_model(home / "models", "b/same/x.gguf")
    assert keys(home) == ["a/same", "b/same"]
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(home, "same")
    assert set(caught.value.similar) == {"a/same", "b/same"}


def test_several_files_of_one_model_are_its_variants(home: Path):
    put_model(home / "models", "p/m/m-Q4_K_M.gguf")
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    assert keys(home) == ["m", "m@q8_0"]
    assert find_model(home, "m@q4_k_m").path.name == "m-Q4_K_M.gguf"
    assert find_model(home, "p/m@q8_0").path.name == "m-Q8_0.gguf"
    assert [model.variant for model in scan(home).variants("m")] == ["q4_k_m", "q8_0"]


def test_files_that_share_a_quantization_are_told_apart_by_their_names(home: Path):
    put_model(home / "models", "p/m/m-a-Q8_0.gguf")
    put_model(home / "models", "p/m/m-b-Q8_0.gguf")
    assert [model.variant for model in models_on_disk(home)] == ["m-a-q8_0", "m-b-q8_0"]


def test_a_plain_key_means_a_variant_that_can_be_loaded(home: Path):
    (home / "models/p/m").mkdir(parents=True)
    (home / "models/p/m/m-Q4_0.gguf").write_bytes(b"no model")
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    assert find_model(home, "m").variant == "q8_0"
    with pytest.raises(BadModelFileError, match="not a GGUF"):
        find_model(home, "m@q4_0")


def test_a_file_without_a_publisher_or_a_folder_is_a_model_too(home: Path, tmp_path: Path):
    put_model(tmp_path / "listed", "Loose-7B-Q4_0.gguf")
    put_model(tmp_path / "listed", "Folder/any.gguf")
    assert keys(home, tmp_path / "listed") == ["folder", "loose-7b"]


def test_a_projector_beside_a_model_is_its_eyes(home: Path):
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    put_projector(home / "models", "p/m/mmproj-m-BF16.gguf")
    eyes = put_projector(home / "models", "p/m/mmproj-m-F16.gguf")
    put_model(home / "models", "p/blind/blind-Q8_0.gguf")
    assert keys(home) == ["blind", "m"]
    assert find_model(home, "m").projector == eyes
    assert find_model(home, "m").size_bytes == find_model(home, "blind").size_bytes
    assert not find_model(home, "blind").has_vision


def test_a_projector_is_known_by_its_header_whatever_it_is_called(home: Path):
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    eyes = put_projector(home / "models", "p/m/vision.gguf")
    (model,) = models_on_disk(home)
    assert model.projector == eyes


def test_a_split_model_is_one_variant_of_all_its_parts(home: Path):
    parts = put_split(home / "models/p/big", "big-Q8_0")
    (model,) = models_on_disk(home)
    assert (model.key, model.path, list(model.parts)) == ("big", parts[0], parts)
    assert model.size_bytes == sum(part.stat().st_size for part in parts)
    assert model.facts.parameter_count == 3 * 64
    assert find_model(home, "big@q8_0") == model


def test_a_split_model_without_all_its_parts_is_incomplete_and_says_which_are_missing(home: Path):
    parts = put_split(home / "models/p/big", "big-Q8_0", 4)
    parts[1].unlink()
    parts[2].unlink()
    (model,) = scan(home).models
    assert (model.state, models_on_disk(home)) == ("incomplete", [])
    assert "4 files, and parts 2 and 3 are not there" in model.problem
    with pytest.raises(BadModelFileError) as caught:
        find_model(home, "big")
    assert caught.value.reason == "missing"


def test_a_part_under_a_name_of_its_own_is_incomplete(home: Path):
    parts = put_split(home / "models/p/big", "big-Q8_0", 2)
    parts[0].rename(parts[0].with_name("big.gguf"))
    parts[1].unlink()
    (model,) = scan(home).models
    assert (model.state, "one of 2 parts" in model.problem) == ("incomplete", True)


def test_files_that_cannot_be_loaded_are_listed_with_the_reason_and_not_offered(home: Path):
    whole = put_model(home / "models", "p/cut/cut.gguf")
    whole.write_bytes(whole.read_bytes()[:-100])
    (home / "models/p/page").mkdir()
    (home / "models/p/page/page.gguf").write_bytes(b"<html>")
    states = {model.key: (model.state, model.reason) for model in scan(home).models}
    assert states == {"cut": ("broken", "truncated"), "page": ("broken", "not_gguf")}
    assert models_on_disk(home) == []


@pytest.mark.parametrize("ending", [".part", ".incomplete"])
def test_a_file_that_is_still_being_downloaded_is_arriving(home: Path, ending: str):
    (home / "models/p/m").mkdir(parents=True)
    (home / f"models/p/m/m-Q8_0.gguf{ending}").write_bytes(b"GGUF and so on")
    (model,) = scan(home).models
    assert (model.key, model.state, model.size_bytes) == ("m", "arriving", 14)
    with pytest.raises(BadModelFileError, match="still being downloaded"):
        find_model(home, "m")


def test_a_split_model_with_a_part_on_its_way_is_arriving(home: Path):
    parts = put_split(home / "models/p/big", "big-Q8_0")
    parts[2].rename(f"{parts[2]}.part")
    (model,) = scan(home).models
    assert (model.state, len(model.parts)) == ("arriving", 3)


def test_a_whole_file_counts_more_than_one_that_is_arriving_again(home: Path):
    path = put_model(home / "models", "p/m/m-Q8_0.gguf")
    path.with_name("m-Q8_0.gguf.part").write_bytes(b"GGUF")
    (model,) = scan(home).models
    assert (model.state, model.path) == ("ok", path)


def test_hidden_files_adapters_and_other_things_are_no_models(home: Path):
    put_model(home / "models", "p/m/.hidden.gguf")
    put_model(home / "models", "p/m/lora.gguf", more={"general.type": "adapter"})
    put_model(home / "models", "p/m/picture.gguf", architecture="flux")
    (home / "models/p/m/readme.md").write_text("# M")
    assert scan(home).models == ()


def test_the_kind_comes_from_the_header_and_never_from_the_name(home: Path):
    put_model(home / "models", "p/nomic-embed/chat.gguf")
    put_model(home / "models", "p/chatty/x.gguf", architecture="bert", more={"bert.pooling_type": 1})
    put_model(home / "models", "p/judge/x.gguf", architecture="qwen3", more={"qwen3.pooling_type": 4})
    kinds = {model.key: model.kind for model in models_on_disk(home)}
    assert kinds == {"nomic-embed": "llm", "chatty": "embedding", "judge": "reranker"}


def test_listed_folders_are_read_too_and_the_setting_names_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_model(home / "models", "p/ours/x.gguf")
    put_model(tmp_path / "listed", "p/listed/x.gguf")
    assert keys(home, tmp_path / "listed") == ["listed", "ours"]
    (home / "server.json").write_text(f'{{"model_folders": ["{tmp_path}/listed"]}}')
    assert [model.key for model in models_on_disk(home)] == ["listed", "ours"]
    monkeypatch.setenv("ROCI_MODEL_FOLDERS", str(tmp_path / "elsewhere"))
    assert [model.key for model in models_on_disk(home)] == ["ours"]
    monkeypatch.delenv("ROCI_MODEL_FOLDERS")
    (home / "server.json").write_text('{"model_folders": 5}')
    with pytest.raises(ConfigError, match="model_folders"):
        models_on_disk(home)


def test_a_model_in_two_folders_counts_once_and_ours_first(home: Path, tmp_path: Path):
    path = put_model(home / "models", "p/m/x.gguf")
    put_model(tmp_path / "listed", "P/M/x.gguf")
    (model,) = models_on_disk(home, [tmp_path / "listed", home / "models"])
    assert (model.path, model.root is not None and model.root.is_read_only) == (path, False)


def test_folders_that_are_links_in_a_circle_end(home: Path):
    put_model(home / "models", "p/m/x.gguf")
    (home / "models/p/m/again").symlink_to(home / "models")
    assert "m" in keys(home)


def test_an_unknown_name_gets_the_nearest_ones_and_all_there_are(home: Path):
    put_model(home / "models", "p/llama3.3/x.gguf")
    put_model(home / "models", "p/mistral/x.gguf")
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
    path = put_model(tmp_path, "My-Model.gguf")
    eyes = put_projector(tmp_path, "mmproj-My-Model.gguf")
    found = find_model(home, str(path), paths=True)
    assert (found.key, found.projector) == ("my-model", eyes)
    with pytest.raises(ModelNotFoundError):
        find_model(home, str(path))
