"""Facts of model files, kept between scans and between processes by the file's path, size and time of change.

One file in roci's home, replaced as a whole, so that every reader sees a whole one. Processes that write at the same
time may lose each other's news, which are then read again. A cache that is damaged or of another version is begun anew.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

import msgspec

from roci.engine.model_facts import ModelFacts, read_facts
from roci.engine.private_files import write_private

CACHE_NAME: Final = "model-headers.cache"
FORMAT: Final = 1
"""Raised with every change of `ModelFacts` or of how they are judged."""
ENTRIES_LIMIT: Final = 10_000
SIZE_LIMIT_BYTES: Final = 64 * 2**20
_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    size_bytes: int
    mtime_ns: int
    facts: ModelFacts


class _Document(msgspec.Struct, frozen=True, array_like=True):
    format: int
    files: dict[str, _Kept]


class HeaderCache:
    """Facts of files, read once as long as a file stays as it is. Safe to use in several threads."""

    def __init__(self, home: Path) -> None:
        self._path = home / CACHE_NAME
        self._lock = threading.Lock()
        self._files: dict[str, _Kept] | None = None
        self._has_news = False
        self.headers_read = 0
        """How many files were opened so far."""

    def facts(self, path: str, size_bytes: int, mtime_ns: int) -> ModelFacts:
        """The facts of the file at `path`, which has this size and time of change."""
        with self._lock:
            if self._files is None:
                self._files = self._load()
            kept = self._files.get(path)
        if kept is not None and (kept.size_bytes, kept.mtime_ns) == (size_bytes, mtime_ns):
            return kept.facts
        facts = read_facts(Path(path))
        with self._lock:
            self.headers_read += 1
            # A file that could not be opened may be readable tomorrow without a change of its time.
            if facts.reason != "missing":
                self._files.pop(path, None)  # the youngest stand last
                self._files[path] = _Kept(size_bytes, mtime_ns, facts)
                self._has_news = True
        return facts

    def save(self) -> None:
        """Write what is new. A disk that cannot be written to makes the next scan slower and nothing else."""
        with self._lock:
            if not self._has_news or self._files is None:
                return
            for path in list(self._files)[: max(0, len(self._files) - ENTRIES_LIMIT)]:
                del self._files[path]
            document = msgspec.msgpack.encode(_Document(FORMAT, self._files))
            self._has_news = False
        try:
            write_private(self._path, document)
        except OSError as error:
            _log.debug("The cache of model headers was not written to %s: %s", self._path, error)

    def _load(self) -> dict[str, _Kept]:
        try:
            with self._path.open("rb") as file:
                data = file.read(SIZE_LIMIT_BYTES + 1)
            if len(data) > SIZE_LIMIT_BYTES:
                return {}
            document = msgspec.msgpack.decode(data, type=_Document)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            _log.debug("The cache of model headers at %s is begun anew: %s", self._path, error)
            return {}
        return document.files if document.format == FORMAT else {}
