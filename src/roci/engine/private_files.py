"""Small files of the user's own: written whole or not at all, readable by nobody else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replaces the file at `path` in one step, with mode 0600; folders that are missing are made with 0700.

    Where `path` is a link, the file that it leads to is replaced.

    Raises:
        OSError: the folder cannot be written to, or the disk is full. The old file is then as it was.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # mkstemp's mode is 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keeps other processes and threads that take the same lock out while a file in `folder` is read and rewritten."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
