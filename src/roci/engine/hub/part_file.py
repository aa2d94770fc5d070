"""A file that is still coming: `<name>.part`, locked against other programs, and hashed as it grows."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

PIECE_BYTES: Final = 4 * 2**20


def part_of(target: Path) -> Path:
    """Where what has come of `target` lies."""
    return target.with_name(f"{target.name}.part")


class PartFile:
    """What has come of one file. It becomes the file at once, when it is whole; until then nobody takes it for one."""

    def __init__(self, target: Path, descriptor: int) -> None:
        self.target = target
        self.path = part_of(target)
        self.size_bytes = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._is_open = True

    @classmethod
    def open(cls, target: Path) -> Self | None:
        """The part of `target`, made if need be; None where another program has it."""
        path = part_of(target)
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            except FileNotFoundError:
                continue  # another program has just tidied the empty folder away
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            # Whoever held it may have made it the file, or removed it, since we opened it.
            if _is_same(descriptor, path):
                return cls(target, descriptor)
            os.close(descriptor)

    def reread(self) -> Iterator[int]:
        """Hashes what is there already; yields how much of it is done, every few megabytes."""
        self._digest = hashlib.sha256()
        done = 0
        while done < self.size_bytes:
            piece = os.pread(self._descriptor, min(PIECE_BYTES, self.size_bytes - done), done)
            if not piece:  # somebody else has cut it
                self.size_bytes = done
                return
            self._digest.update(piece)
            done += len(piece)
            yield done

    def append(self, data: bytes) -> None:
        """Raises OSError: the disk takes no more; what it took is counted the next time the part is opened."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self.size_bytes)
            self._digest.update(view[:written])
            self.size_bytes += written
            view = view[written:]

    def restart(self) -> None:
        """Forgets what has come."""
        os.ftruncate(self._descriptor, 0)
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def sha256(self) -> str:
        """In hex, of all that has come."""
        return self._digest.hexdigest()

    def publish(self) -> None:
        """Makes it the file it is a part of; whoever looks sees the old state or the new one, also after a crash."""
        os.fsync(self._descriptor)
        self.path.replace(self.target)
        folder = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Lets go of it and removes it, unless it has become the file."""
        if _is_same(self._descriptor, self.path):
            self.remove()
        self.close()

    def close(self) -> None:
        """Lets go of it; an empty part is removed, for there is nothing to go on from."""
        if self._is_open:
            self._is_open = False
            if self.size_bytes == 0 and _is_same(self._descriptor, self.path):
                self.remove()
            os.close(self._descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
