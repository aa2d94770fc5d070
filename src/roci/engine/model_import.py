"""Bringing a model file into roci's folder: moved, copied or linked, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from roci.engine.library_groups import projector_beside
from roci.engine.model_facts import ModelFacts, ModelKind, read_facts
from roci.engine.model_folders import listed_folders, model_roots
from roci.engine.model_place import guess_name, split_name
from roci.engine.shards import SHARD, check_shards, shard_paths
from roci.errors import BadModelFileError, LibraryError, UsageError

Way = Literal["move", "copy", "hard-link", "symbolic-link"]
OnProgress = Callable[[int, int], None]
"""Called with the bytes that were copied and those there are, for ways that copy."""

RESERVE_BYTES: Final = 256 * 2**20
"""What a copy leaves free on the disk."""
_PIECE_BYTES: Final = 4 * 2**20


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which files go where."""

    home: Path
    publisher: str
    model: str
    kind: ModelKind
    way: Way
    files: tuple[tuple[Path, Path], ...]
    """(from, to), for the parts in order and then the projector."""
    size_bytes: int
    copies: bool
    """Whether bytes are written: a copy, or a move from another disk."""

    @property
    def path(self) -> Path:
        """Where the model, or its first part, will be."""
        return self.files[0][1]


def plan_import(home: Path, file: Path, *, name: str | None = None, way: Way = "move") -> ImportPlan:
    """Checks the file's header and its parts, and finds it a place; nothing is written.

    Args:
        name: `publisher/model`; guessed from the header and the file's name where it is None.

    Raises:
        BadModelFileError: it is no model that could be loaded, or a part of it is missing.
        UsageError: the name cannot be a folder's, the place is taken, or the file must not be moved.
        LibraryError: the disk has too little room.
    """
    source = Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 - links stay links
    parts = _parts(source)
    facts = _checked(parts)
    publisher, model = split_name(name) if name else guess_name(source, facts)
    projector = None if facts.file_kind == "projector" else projector_beside(source)
    if facts.file_kind == "projector" and not name:
        raise UsageError(
            f"{source} is a projector: it gives eyes to a model, and is none itself.",
            field="file",
            hint="Import the model that lies beside it, or name the model it belongs to with --as.",
        )
    if way == "move":
        _check_movable(home, [*parts, *([projector] if projector else [])])
    folder = home / "models" / publisher / model
    files = [(part, folder / _file_name(part)) for part in parts]
    if projector is not None and not (folder / projector.name).exists():
        files.append((projector, folder / projector.name))
    _check_free(files)
    size_bytes = sum(part.stat().st_size for part, _ in files)
    copies = way == "copy" or (way == "move" and _device(home) != parts[0].stat().st_dev)
    if copies:
        _check_disk(home, size_bytes)
    return ImportPlan(
        home=home,
        publisher=publisher,
        model=model,
        kind=facts.kind,
        way=way,
        files=tuple(files),
        size_bytes=size_bytes,
        copies=copies,
    )


def run_import(plan: ImportPlan, on_progress: OnProgress | None = None) -> None:
    """Does what was planned. Whatever ends it early leaves everything as it was.

    Raises:
        UsageError: a place has been taken meanwhile, or the two disks allow no hard link.
        LibraryError: the disk is full, or a folder does not allow it.
    """
    done: list[tuple[Path, Path]] = []
    copied = 0

    def report(count: int) -> None:
        nonlocal copied
        copied += count
        if on_progress is not None:
            on_progress(copied, plan.size_bytes)

    try:
        plan.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        plan.path.parent.mkdir(parents=True, exist_ok=True)
        for source, target in plan.files:
            _check_free([(source, target)])
            _bring(source, target, plan, report)
            done.append((source, target))
        if plan.way == "move" and plan.copies:
            for source, _ in plan.files:
                source.unlink()
    except BaseException as error:
        _undo(plan, done)
        if isinstance(error, OSError):
            raise _failure(plan, error) from error
        raise


def _bring(source: Path, target: Path, plan: ImportPlan, report: Callable[[int], None]) -> None:
    if plan.copies:
        _copy(source, target, report)
    elif plan.way == "move":
        source.rename(target)
    elif plan.way == "hard-link":
        os.link(os.path.realpath(source), target)
    else:
        target.symlink_to(os.path.realpath(source))


def _copy(source: Path, target: Path, report: Callable[[int], None]) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        with source.open("rb") as reading, part.open("xb") as writing:
            while piece := reading.read(_PIECE_BYTES):
                writing.write(piece)
                report(len(piece))
            writing.flush()
            os.fsync(writing.fileno())
        shutil.copystat(source, part)
        part.rename(target)
    except FileExistsError:
        raise UsageError(f"{part} is there: something is writing to it.", field="file") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _undo(plan: ImportPlan, done: list[tuple[Path, Path]]) -> None:
    for source, target in done:
        with contextlib.suppress(OSError):
            if plan.way == "move" and not os.path.lexists(source):
                target.rename(source)
            else:
                target.unlink()
    for folder in (plan.path.parent, plan.path.parent.parent):
        with contextlib.suppress(OSError):  # something else is in it
            folder.rmdir()


def _failure(plan: ImportPlan, error: OSError) -> LibraryError | UsageError:
    path = str(error.filename or plan.path)
    if plan.way == "hard-link" and error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
        return UsageError(
            f"{plan.files[0][0]} cannot have a hard link in {plan.path.parent}: {error.strerror}.",
            field="way",
            hint="Take --symbolic-link or --copy.",
        )
    return LibraryError(
        f"The model could not be brought to {plan.path.parent}: {error.strerror or error}.",
        path=path,
        hint="Nothing was changed. Check the room on the disk, and who may write to the folder.",
    )


def _parts(source: Path) -> list[Path]:
    if not source.is_file():
        raise BadModelFileError(
            f"There is no file {source}.",
            path=str(source),
            reason="missing",
            key=source.name,
            hint="Name the .gguf file itself.",
        )
    match = SHARD.search(source.stem)
    if match is None:
        return [source]
    first = source.with_name(f"{source.stem[: match.start()]}-00001-of-{match[2]}.gguf")
    check_shards(first, source.name)
    return shard_paths(first)


def _checked(parts: list[Path]) -> ModelFacts:
    found = [read_facts(part) for part in parts]
    for part, facts in zip(parts, found, strict=True):
        if facts.problem:
            raise BadModelFileError(facts.problem, path=str(part), reason=facts.reason, key=part.name, hint=facts.hint)
    if found[0].file_kind == "other":
        raise UsageError(f"{parts[0]} is a GGUF file, but not a language model.", field="file")
    if found[0].shards != len(parts):
        raise BadModelFileError(
            f"{parts[0]} is one of {found[0].shards} parts of a model, and its name does not say which.",
            path=str(parts[0]),
            reason="missing",
            key=parts[0].name,
            hint="Give all parts the names that they were published under: NAME-00001-of-00003.gguf.",
        )
    return found[0]


def _file_name(part: Path) -> str:
    """The file's own name; one that lists of models would pass over is mended."""
    name = part.name.lstrip(".")
    return name if name.lower().endswith(".gguf") else f"{name}.gguf"


def _check_movable(home: Path, files: list[Path]) -> None:
    for file in files:
        if file.is_symlink():
            raise UsageError(
                f"{file} is a symbolic link; moving it would leave the model where it is.",
                field="file",
                hint="Take --symbolic-link, --hard-link or --copy.",
            )
        for root in model_roots(home, listed_folders(home)).roots:
            if root.is_read_only and root.path in file.parents:
                raise UsageError(
                    f"{file} lies in {root.path}, which belongs to another program and is read anyway.",
                    field="file",
                    hint="It can be used where it is: roci models. To have it here as well: --hard-link or --copy.",
                )


def _check_free(files: list[tuple[Path, Path]]) -> None:
    for _, target in files:
        if os.path.lexists(target):
            raise _taken(target)


def _taken(target: Path) -> UsageError:
    return UsageError(
        f"{target} is there already.",
        field="file",
        hint="Name another place with --as PUBLISHER/MODEL, or remove it first: roci rm.",
    )


def _check_disk(home: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(_nearest_there(home)).free
    if free < size_bytes + RESERVE_BYTES:
        raise LibraryError(
            f"The copy takes {size_bytes / 10**9:.1f} GB on the disk of {home}, and {free / 10**9:.1f} GB are free.",
            path=str(home),
            hint="Make room, or take --symbolic-link, which copies nothing.",
        )


def _device(home: Path) -> int:
    return _nearest_there(home / "models").stat().st_dev


def _nearest_there(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
