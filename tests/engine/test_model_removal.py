"""Removing models: all that belongs to one, nothing else, and nothing outside roci's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from roci.engine.library import models_on_disk, scan
from roci.engine.model_removal import plan_removal, remove_model
from roci.errors import ModelNotFoundError, UsageError
from tests.support.model_files import put_model, put_projector, put_split


def test_a_model_goes_with_all_its_parts_its_projector_and_its_empty_folders(home: Path):
    parts = put_split(home / "models/p/big", "big-Q8_0")
    eyes = put_projector(home / "models", "p/big/mmproj-big.gguf")
    size = sum(path.stat().st_size for path in (*parts, eyes))
    removed = remove_model(home, "big")
    assert (removed.files, removed.freed_bytes) == ((*parts, eyes), size)
    assert list((home / "models").iterdir()) == []


def test_the_projector_stays_as_long_as_a_variant_needs_it(home: Path):
    put_model(home / "models", "p/m/m-Q4_0.gguf")
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    eyes = put_projector(home / "models", "p/m/mmproj-m.gguf")
    remove_model(home, "m@q8_0")
    assert [model.variant for model in models_on_disk(home)] == ["q4_0"]
    assert eyes.exists()
    remove_model(home, "m")
    assert not eyes.exists()


def test_a_plain_key_of_several_variants_is_refused_unless_all_are_meant(home: Path):
    put_model(home / "models", "p/m/m-Q4_0.gguf")
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    with pytest.raises(UsageError, match="m@q4_0, m@q8_0"):
        remove_model(home, "m")
    assert len(remove_model(home, "m", all_variants=True).files) == 2
    assert models_on_disk(home) == []


def test_other_files_of_a_folder_are_left_with_it(home: Path):
    put_model(home / "models", "p/m/m.gguf")
    (home / "models/p/m/notes.txt").write_text("mine")
    remove_model(home, "m")
    assert [path.name for path in (home / "models/p/m").iterdir()] == ["notes.txt"]


def test_a_broken_or_arriving_file_can_be_removed_too(home: Path):
    put_model(home / "models", "p/a/a.gguf").write_bytes(b"x")
    put_model(home / "models", "p/b/b.gguf").rename(home / "models/p/b/b.gguf.part")
    remove_model(home, "a")
    remove_model(home, "b")
    assert list((home / "models").iterdir()) == []


def test_a_plan_changes_nothing(home: Path):
    path = put_model(home / "models", "p/m/m.gguf")
    assert plan_removal(scan(home), home, "m").files == (path,)
    assert path.exists()


def test_a_model_in_a_folder_that_is_only_read_is_refused(home: Path, users_home: Path, tmp_path: Path):
    theirs = put_model(users_home / ".lmstudio/models", "p/theirs/x.gguf")
    listed = put_model(tmp_path / "listed", "p/listed/x.gguf")
    with pytest.raises(UsageError, match="which roci only reads") as caught:
        remove_model(home, "theirs")
    assert str(users_home / ".lmstudio/models") in caught.value.message
    with pytest.raises(UsageError, match="which roci only reads"):
        remove_model(home, "listed", [tmp_path / "listed"])
    assert theirs.exists()
    assert listed.exists()


def test_a_link_goes_and_what_it_leads_to_stays(home: Path, tmp_path: Path):
    real = put_model(tmp_path / "elsewhere", "m.gguf")
    link = home / "models/p/m/m.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    assert remove_model(home, "m").freed_bytes == 0
    assert (link.is_symlink(), real.exists()) == (False, True)


def test_a_hard_link_frees_nothing(home: Path, tmp_path: Path):
    real = put_model(tmp_path / "elsewhere", "m.gguf")
    link = home / "models/p/m/m.gguf"
    link.parent.mkdir(parents=True)
    link.hardlink_to(real)
    assert remove_model(home, "m").freed_bytes == 0
    assert real.exists()


@pytest.mark.parametrize("depth", ["p", "p/m"])
def test_a_folder_that_is_a_link_to_elsewhere_is_left_alone(home: Path, tmp_path: Path, depth: str):
    real = put_model(tmp_path / "elsewhere", "p/m/m.gguf")
    link = home / "models" / depth
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere" / depth)
    with pytest.raises(UsageError, match="symbolic link"):
        remove_model(home, "m")
    assert real.exists()


def test_a_folder_of_models_that_is_a_link_itself_is_roci_s_own(home: Path, tmp_path: Path):
    real = put_model(tmp_path / "big-disk", "p/m/m.gguf")
    home.mkdir()
    (home / "models").symlink_to(tmp_path / "big-disk")
    remove_model(home, "m")
    assert not real.exists()
    assert (home / "models").is_symlink()


@pytest.mark.parametrize("name", ["..", "../m", "p/../p/m", "/etc/passwd", "", "p/m/m.gguf", "m\0"])
def test_a_path_is_no_name(home: Path, name: str):
    path = put_model(home / "models", "p/m/m.gguf")
    with pytest.raises(ModelNotFoundError):
        remove_model(home, name)
    assert path.exists()
