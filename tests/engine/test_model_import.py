"""Bringing a file into roci's folder: whole or not at all, and never over something else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest

from roci.engine import model_import
from roci.engine.library import find_model
from roci.engine.model_import import ImportPlan, Way, plan_import, run_import
from roci.errors import BadModelFileError, LibraryError, UsageError
from tests.support.model_files import put_hugging_face, put_model, put_projector, put_split, tiny_bytes

WAYS: tuple[Way, ...] = get_args(Way)


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("way", WAYS)
def test_a_model_is_there_afterwards_and_its_file_is_where_the_way_leaves_it(home: Path, tmp_path: Path, way: Way):
    file = put_model(tmp_path / "downloads", "Some-7B-Q4_K_M.gguf")
    data = file.read_bytes()
    plan = plan_import(home, file, way=way)
    assert not home.exists()
    run_import(plan)
    found = find_model(home, "some-7b")
    assert (found.publisher, found.path, found.path.read_bytes()) == ("imported", plan.path, data)
    assert file.exists() is (way != "move")
    assert plan.path.is_symlink() is (way == "symbolic-link")
    assert (plan.path.stat().st_nlink == 2) is (way == "hard-link")


def test_parts_and_the_projector_come_along(home: Path, tmp_path: Path):
    parts = put_split(tmp_path / "in", "Big-Q8_0")
    put_projector(tmp_path / "in", "mmproj-Big-F16.gguf")
    run_import(plan_import(home, parts[1]))
    found = find_model(home, "big")
    assert (len(found.parts), found.has_vision) == (3, True)
    assert names_below(tmp_path / "in") == []


def test_a_projector_among_several_models_stays_where_it_is(home: Path, tmp_path: Path):
    file = put_model(tmp_path / "in", "one.gguf")
    put_model(tmp_path / "in", "two.gguf")
    put_projector(tmp_path / "in", "mmproj-two.gguf")
    run_import(plan_import(home, file))
    assert not find_model(home, "one").has_vision
    assert names_below(tmp_path / "in") == ["mmproj-two.gguf", "two.gguf"]


def test_a_projector_alone_needs_the_model_it_belongs_to(home: Path, tmp_path: Path):
    put_model(home / "models", "p/m/m-Q8_0.gguf")
    file = put_projector(tmp_path, "mmproj-m.gguf")
    with pytest.raises(UsageError, match="is a projector"):
        plan_import(home, file)
    run_import(plan_import(home, file, name="p/m"))
    assert find_model(home, "m").has_vision


@pytest.mark.parametrize(
    ("file", "header", "expected"),
    [
        ("Qwen3-4B-UD-Q4_K_XL.gguf", {"general.organization": "Qwen"}, ("Qwen", "Qwen3-4B")),
        ("my model (1).gguf", {}, ("imported", "my-model-1")),
        ("ggml-model-q4_0.gguf", {}, ("imported", "Tiny")),
        (f"sha256-{'a' * 64}.gguf", {"general.organization": "../evil"}, ("evil", "Tiny")),
        ("x-Q8_0.gguf", {"general.organization": "日本"}, ("imported", "x")),
    ],
)
def test_the_place_is_guessed_from_header_and_name(
    home: Path, tmp_path: Path, file: str, header: dict[str, str], expected: tuple[str, str]
):
    plan = plan_import(home, put_model(tmp_path, file, more=header))
    assert (plan.publisher, plan.model) == expected
    assert plan.path == home / "models" / expected[0] / expected[1] / file


@pytest.mark.parametrize("name", ["", "m", "a/b/c", "../m", "p/..", "p/.m", "/p/m", "p/", "p/m\n", "p/" + "m" * 200])
def test_a_place_that_is_no_folders_name_is_refused(home: Path, tmp_path: Path, name: str):
    file = put_model(tmp_path, "m.gguf")
    if not name:
        return
    with pytest.raises(UsageError, match="PUBLISHER/MODEL"):
        plan_import(home, file, name=name)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_overwritten(home: Path, tmp_path: Path, way: Way):
    old = put_model(home / "models", "p/m/m.gguf", name="old")
    file = put_model(tmp_path, "m.gguf", name="new")
    with pytest.raises(UsageError, match="is there already"):
        plan_import(home, file, name="p/m", way=way)
    plan = plan_import(home, file, name="p/other", way=way)
    taken = put_model(plan.path.parent, "m.gguf", name="taken")
    before = taken.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        run_import(plan)
    assert (taken.read_bytes(), file.exists(), old.exists()) == (before, True, True)


def test_a_file_that_is_no_model_or_not_whole_is_refused(home: Path, tmp_path: Path):
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html>")
    parts = put_split(tmp_path, "big", 3)
    parts[2].unlink()
    for file, reason in ((page, "not_gguf"), (parts[0], "missing"), (tmp_path / "none.gguf", "missing")):
        with pytest.raises(BadModelFileError) as caught:
            plan_import(home, file)
        assert caught.value.reason == reason
    with pytest.raises(UsageError, match="not a language model"):
        plan_import(home, put_model(tmp_path, "flux.gguf", architecture="flux"))
    assert not home.exists()


def test_what_belongs_to_another_program_is_not_moved(home: Path, users_home: Path, tmp_path: Path):
    theirs = put_model(users_home / ".lmstudio/models", "p/m/m.gguf")
    snapshot = put_hugging_face(users_home / ".cache/huggingface/hub", "o/n", {"n.gguf": tiny_bytes(tmp_path)})
    with pytest.raises(UsageError, match="belongs to another program"):
        plan_import(home, theirs)
    with pytest.raises(UsageError, match="symbolic link"):
        plan_import(home, snapshot / "n.gguf")
    run_import(plan_import(home, snapshot / "n.gguf", way="hard-link"))
    found = find_model(home, "n")
    assert (found.publisher, found.path.is_symlink()) == ("o", False)
    assert home in found.path.parents


@pytest.mark.parametrize("way", ["move", "copy", "hard-link"])
def test_an_import_that_fails_half_way_leaves_everything_as_it_was(home: Path, tmp_path: Path, way: Way):
    parts = put_split(tmp_path / "in", "Big-Q8_0")
    plan = plan_import(home, parts[0], way=way)
    parts[2].unlink()
    with pytest.raises(LibraryError):
        run_import(plan)
    assert names_below(tmp_path / "in") == [part.name for part in parts[:2]]
    assert not (home / "models").exists() or names_below(home / "models") == []


def as_from_another_disk(plan: ImportPlan) -> ImportPlan:
    """The plan of a move between disks: it copies, and removes the originals at the end."""
    return ImportPlan(
        home=plan.home,
        publisher=plan.publisher,
        model=plan.model,
        kind=plan.kind,
        way="move",
        files=plan.files,
        size_bytes=plan.size_bytes,
        copies=True,
    )


def test_a_move_between_disks_copies_with_progress_and_then_removes(home: Path, tmp_path: Path):
    parts = put_split(tmp_path / "in", "Big-Q8_0")
    told: list[tuple[int, int]] = []
    plan = as_from_another_disk(plan_import(home, parts[0]))
    run_import(plan, lambda done, total: told.append((done, total)))
    assert told[-1] == (plan.size_bytes, plan.size_bytes)
    assert len(told) == 3
    assert names_below(tmp_path / "in") == []
    assert len(find_model(home, "big").parts) == 3


def test_a_copy_that_is_interrupted_leaves_nothing_behind(home: Path, tmp_path: Path):
    parts = put_split(tmp_path / "in", "Big-Q8_0")

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_import(as_from_another_disk(plan_import(home, parts[0])), interrupt)
    assert names_below(tmp_path / "in") == [part.name for part in parts]
    assert names_below(home) == []


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no second disk")  # noqa: PTH112
def test_a_real_second_disk_is_noticed(home: Path, tmp_path: Path):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm is on the same disk")
        file = put_model(Path(folder), "m-Q8_0.gguf")
        with pytest.raises(UsageError, match="hard link"):
            run_import(plan_import(home, file, way="hard-link"))
        plan = plan_import(home, file)
        assert plan.copies
        run_import(plan)
        assert not file.exists()
    assert find_model(home, "m").state == "ok"


def test_a_disk_without_room_is_told_before_anything_is_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = put_model(tmp_path, "m-Q8_0.gguf")
    monkeypatch.setattr(model_import, "RESERVE_BYTES", 2**62)
    with pytest.raises(LibraryError, match="are free"):
        plan_import(home, file, way="copy")
    assert not plan_import(home, file, way="hard-link").copies
