"""The folders of other programs: where they are, how they are laid out, and that nothing is written there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roci.engine.library import find_model, models_on_disk, scan
from roci.engine.model_folders import hugging_face_folder, lmstudio_folder
from tests.support.model_files import put_hugging_face, put_model, put_split, tiny_bytes

OTHER_REVISION = "f" * 40


def keys(home: Path) -> list[str]:
    return [model.key for model in models_on_disk(home)]


def test_lm_studios_own_folder_is_read(home: Path, users_home: Path):
    put_model(users_home / ".lmstudio/models", "p/theirs/x.gguf")
    (model,) = models_on_disk(home)
    assert model.root is not None
    assert (model.key, model.root.kind, model.root.is_read_only) == ("theirs", "lmstudio", True)


def test_its_older_home_goes_before_the_usual_one(home: Path, users_home: Path):
    put_model(users_home / ".lmstudio/models", "p/usual/x.gguf")
    put_model(users_home / ".cache/lm-studio/models", "p/older/x.gguf")
    assert keys(home) == ["older"]


def test_the_pointer_goes_before_both(home: Path, users_home: Path, tmp_path: Path):
    put_model(users_home / ".cache/lm-studio/models", "p/older/x.gguf")
    put_model(tmp_path / "moved/models", "p/pointed/x.gguf")
    (users_home / ".lmstudio-home-pointer").write_text(f"{tmp_path}/moved\n")
    assert keys(home) == ["pointed"]


def test_its_settings_can_move_the_models(home: Path, users_home: Path, tmp_path: Path):
    put_model(tmp_path / "disk", "p/moved/x.gguf")
    (users_home / ".lmstudio").mkdir(parents=True)
    (users_home / ".lmstudio/settings.json").write_text(f'{{"downloadsFolder": "{tmp_path}/disk", "other": 1}}')
    assert keys(home) == ["moved"]


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"downloadsFolder": 5}', '{"downloadsFolder": "a\\u0000b"}'])
def test_settings_that_say_nothing_leave_the_models_where_they_are(home: Path, users_home: Path, text: str):
    (users_home / ".lmstudio").mkdir(parents=True)
    (users_home / ".lmstudio/settings.json").write_text(text)
    assert lmstudio_folder()[0] == users_home / ".lmstudio/models"


def test_the_hugging_face_cache_is_where_its_tools_look(users_home: Path):
    assert hugging_face_folder({}) == users_home / ".cache/huggingface/hub"
    assert hugging_face_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")
    assert hugging_face_folder({"XDG_CACHE_HOME": "/c", "HF_HOME": "/h"}) == Path("/h/hub")
    assert hugging_face_folder({"HF_HOME": "/h", "HF_HUB_CACHE": "/b"}) == Path("/b")


def test_models_of_the_hugging_face_cache_are_found_by_their_links(home: Path, users_home: Path, tmp_path: Path):
    hub = users_home / ".cache/huggingface/hub"
    data = tiny_bytes(tmp_path)
    snapshot = put_hugging_face(hub, "Qwen/Qwen3-4B-GGUF", {"Qwen3-4B-Q4_K_M.gguf": data, "README.md": b"# Hi"})
    put_hugging_face(hub, "openai/whisper", {"model.safetensors": b"x"})
    (model,) = models_on_disk(home)
    assert (model.key, model.publisher) == ("qwen3-4b-gguf", "Qwen")
    assert (model.path, model.size_bytes) == (snapshot / "Qwen3-4B-Q4_K_M.gguf", len(data))
    assert model.root is not None
    assert model.root.is_read_only


def test_of_several_revisions_the_newest_counts_and_older_ones_add_what_it_lacks(
    home: Path, users_home: Path, tmp_path: Path
):
    hub = users_home / ".cache/huggingface/hub"
    old, new = tiny_bytes(tmp_path, name="old"), tiny_bytes(tmp_path, name="new")
    put_hugging_face(hub, "o/m", {"m-Q8_0.gguf": old, "m-Q4_0.gguf": old}, revision=OTHER_REVISION, ref=None)
    put_hugging_face(hub, "o/m", {"m-Q8_0.gguf": new})
    assert find_model(home, "m@q8_0").facts.name == "new"
    assert find_model(home, "m@q4_0").facts.name == "old"


def test_folders_inside_a_repository_are_searched(home: Path, users_home: Path):
    hub = users_home / ".cache/huggingface/hub/models--o--big/snapshots/abc"
    put_split(hub / "Q8_0", "big-Q8_0", 2)
    (model,) = models_on_disk(home)
    assert (model.key, len(model.parts)) == ("big", 2)


def test_a_link_whose_blob_is_gone_is_broken(home: Path, users_home: Path, tmp_path: Path):
    hub = users_home / ".cache/huggingface/hub"
    snapshot = put_hugging_face(hub, "o/m", {"m-Q8_0.gguf": tiny_bytes(tmp_path)})
    Path(os.path.realpath(snapshot / "m-Q8_0.gguf")).unlink()
    (model,) = scan(home).models
    assert (model.state, model.reason) == ("broken", "missing")


def test_a_blob_that_is_still_being_downloaded_is_arriving(home: Path, users_home: Path):
    blobs = users_home / ".cache/huggingface/hub/models--o--m/blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(b"GGUF...")
    (blobs / "def.incomplete").write_bytes(b"{}")
    (model,) = scan(home).models
    assert (model.key, model.state, model.size_bytes) == ("m", "arriving", 7)


def test_a_scan_writes_nowhere_but_into_its_own_home(home: Path, users_home: Path, tmp_path: Path):
    put_model(users_home / ".lmstudio/models", "p/m/x.gguf")
    put_hugging_face(users_home / ".cache/huggingface/hub", "o/n", {"n.gguf": tiny_bytes(tmp_path)})
    before = sorted(users_home.rglob("*"))
    assert keys(home) == ["m", "n"]
    assert sorted(users_home.rglob("*")) == before
