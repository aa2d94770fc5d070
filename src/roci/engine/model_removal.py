"""Removing models from roci's own folder, and from nowhere else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from roci.engine.library import Library, scan
from roci.engine.local_model import LocalModel
from roci.errors import LibraryError, UsageError


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What removing a model takes away."""

    key: str
    files: tuple[Path, ...]
    """Every part of every variant, and the projector where no variant is left that it belongs to."""
    freed_bytes: int
    """What the disk gets back; links to files that stay elsewhere free nothing."""
    folder: Path
    """roci's models; folders below it that become empty go too."""


def plan_removal(library: Library, home: Path, name: str, *, all_variants: bool = False) -> Removal:
    """What `remove` would take away for the model called `name`, in whatever state it is.

    Args:
        all_variants: whether a plain key means every variant of its model rather than being refused.

    Raises:
        ModelNotFoundError: with the nearest names.
        UsageError: the model lies in a folder that roci only reads, or the name means several variants.
    """
    model = library.get(name)
    going = [model]
    variants = library.variants(model.model_key)
    if "@" not in name and len(variants) > 1:
        if not all_variants:
            raise _several(model, variants)
        going = variants
    folder = home / "models"
    files: list[Path] = []
    for variant in going:
        _check_place(variant, folder)
        files += variant.parts
    staying = [other for other in library.models if other not in going]
    for variant in going:
        projectors = _projectors_without_a_model(variant, staying)
        files += [path for path in projectors if path not in files]
    return Removal(
        key=model.model_key if len(going) > 1 else model.key,
        files=tuple(files),
        freed_bytes=sum(_freed_bytes(path) for path in files),
        folder=folder,
    )


def remove(removal: Removal) -> None:
    """Take away what was planned. A symbolic link is removed, never what it points to.

    Raises:
        LibraryError: the folder does not allow it.
    """
    for path in removal.files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise LibraryError(
                f"{path} could not be removed: {error.strerror}.",
                path=str(path),
                hint="Check who may write to its folder.",
            ) from error
        _remove_empty_folders(path.parent, removal.folder)


def remove_model(home: Path, key: str, folders: Iterable[Path] | None = None, *, all_variants: bool = False) -> Removal:
    """Remove the model called `key` from roci's folder; gives what was removed. Whether it is loaded is not asked.

    Raises:
        ModelNotFoundError: with the nearest names.
        UsageError: it lies in a folder that roci only reads, or the name means several variants.
        LibraryError: the folder does not allow it.
    """
    removal = plan_removal(scan(home, folders), home, key, all_variants=all_variants)
    remove(removal)
    return removal


def _several(model: LocalModel, variants: list[LocalModel]) -> UsageError:
    names = [f"{model.model_key}@{variant.variant}" for variant in variants]
    return UsageError(
        f"{model.model_key} has {len(names)} variants: {', '.join(names)}.",
        field="model",
        hint="Name one of them, or say that all are meant.",
    )


def _check_place(model: LocalModel, folder: Path) -> None:
    if model.root is None or model.root.is_read_only:
        place = model.root.path if model.root else model.path.parent
        raise UsageError(
            f"{model.key} lies in {place}, which roci only reads.",
            field="model",
            hint="Remove it with the program that put it there.",
        )
    root = os.path.realpath(folder)
    for part in model.parts:
        there = os.path.realpath(part.parent)
        if os.path.commonpath((root, there)) != root:
            raise UsageError(
                f"{part} lies in {there}, to which a symbolic link leads: roci removes nothing there.",
                field="model",
                hint="Remove the link, or the files themselves.",
            )


def _projectors_without_a_model(model: LocalModel, staying: list[LocalModel]) -> list[Path]:
    """The projectors of a model's folder, if no other model lies there or below."""
    place = model.path.parent
    if any(place == other.path.parent or place in other.path.parents for other in staying):
        return []
    if model.projector is None or model.projector.parent != place:
        return []
    return sorted(path for path in place.iterdir() if path.suffix == ".gguf" and "mmproj" in path.name.lower())


def _freed_bytes(path: Path) -> int:
    try:
        about = path.lstat()
    except OSError:
        return 0
    return about.st_size if not path.is_symlink() and about.st_nlink == 1 else 0


def _remove_empty_folders(folder: Path, root: Path) -> None:
    while folder != root and root in folder.parents:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
            folder = folder.parent
            continue
        return
