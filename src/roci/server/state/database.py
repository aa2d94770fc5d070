"""The gateway's own database: one file, one connection, used on the event loop.

A small statement takes microseconds, less than a hop to a thread; what scans or deletes many rows belongs into one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

FILE_NAME: Final = "state.sqlite3"
_BUSY_MS: Final = 2000


class Database:
    """Opened when first used, so that a gateway which stores nothing leaves no file. Safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables: list[str] = []
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def declare(self, schema: str) -> None:
        """Adds `CREATE … IF NOT EXISTS` statements, run when the file is opened."""
        with self._lock:
            self._tables.append(schema)
            if self._connection is not None:
                self._connection.executescript(schema)

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs one statement, which is committed at once; gives its rows.

        Raises:
            sqlite3.Error: the file is damaged, or its disk is full.
        """
        with self._lock:
            return self._opened().execute(statement, values).fetchall()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            for schema in self._tables:
                connection.executescript(schema)
            self._path.chmod(0o600)  # conversations are nobody else's business
            self._connection = connection
        return self._connection
