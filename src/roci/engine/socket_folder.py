"""The private folder in which a worker's socket lies, and the sweeping of folders that dead processes left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

import psutil

SOCKET_NAME: Final = "worker.sock"
ADDRESS_LIMIT_BYTES: Final = 100  # what every system's socket addresses can hold, with a little room
_NAME: Final = re.compile(r"roci-worker-(\d+)-\w+")


class SocketFolder:
    """A folder of mode 0700, locked while its owner lives."""

    def __init__(self) -> None:
        parent = _parent_folder()
        _sweep(parent)
        self.path = Path(tempfile.mkdtemp(prefix=f"roci-worker-{os.getpid()}-", dir=parent))
        self._lock: int | None = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @property
    def socket_path(self) -> Path:
        return self.path / SOCKET_NAME

    def remove(self) -> None:
        """Removes the folder with what is in it; again is harmless."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Gives up this process's hold, as a forked child has to."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            os.close(lock)


def _parent_folder() -> Path:
    folder = Path(tempfile.gettempdir())
    longest = folder / f"roci-worker-{2**22}-12345678" / SOCKET_NAME
    return folder if len(os.fsencode(longest)) <= ADDRESS_LIMIT_BYTES else Path("/tmp")  # noqa: S108


def _sweep(parent: Path) -> None:
    for folder in parent.glob("roci-worker-*"):
        match = _NAME.fullmatch(folder.name)
        if match and not psutil.pid_exists(int(match[1])):
            # Another user's folder, or one that another process sweeps at this moment.
            with contextlib.suppress(OSError):
                _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    if folder.lstat().st_uid != os.getuid():
        return
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        # An owner in another container has a pid that is unknown here, but it holds the lock.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
