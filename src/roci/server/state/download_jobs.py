"""Downloads that are remembered between runs of the server."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from roci.server.state.database import Database

JobStatus = Literal["downloading", "paused", "completed", "failed"]
REMEMBERED: Final = 200

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS downloads (
    job_id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    started_s REAL NOT NULL,
    job BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS downloads_by_age ON downloads (started_s);
"""


class Job(Struct, frozen=True, kw_only=True):
    """A download, as it was when it was last looked at."""

    job_id: str
    model: str
    """As users write it."""
    path: str
    """The file that the model will be opened by: no two downloads at once bring the same."""
    targets: tuple[str, ...]
    """All its files."""
    reason: str
    status: JobStatus
    started_s: float
    """Seconds since 1970, as all times here."""
    total_bytes: int | None = None
    done_bytes: int = 0
    completed_s: float | None = None
    error: str = ""
    error_code: str = ""
    needed_bytes: int | None = None
    """Where the disk was too full for it, as `free_bytes`."""
    free_bytes: int | None = None
    bytes_per_second: float | None = None
    eta_s: float | None = None
    note: str = ""


class DownloadJobs:
    """The table of downloads. The oldest are forgotten when there are more than 200."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.declare(_SCHEMA)

    def put(self, job: Job) -> None:
        self._database.run(
            "INSERT OR REPLACE INTO downloads (job_id, path, started_s, job) VALUES (?, ?, ?, ?)",
            (job.job_id, job.path, job.started_s, msgspec.json.encode(job)),
        )
        self._database.run(
            "DELETE FROM downloads WHERE job_id IN (SELECT job_id FROM downloads ORDER BY started_s DESC LIMIT -1 "
            "OFFSET ?)",
            (REMEMBERED,),
        )

    def get(self, job_id: str) -> Job | None:
        return _first(self._database.run("SELECT job FROM downloads WHERE job_id = ?", (job_id,)))

    def of_path(self, path: str) -> Job | None:
        """The newest download that brings this file."""
        return _first(
            self._database.run("SELECT job FROM downloads WHERE path = ? ORDER BY started_s DESC LIMIT 1", (path,))
        )

    def all(self) -> list[Job]:
        """The newest first."""
        rows = self._database.run("SELECT job FROM downloads ORDER BY started_s DESC")
        return [job for job in map(_decoded, rows) if job is not None]

    def forget(self, job_id: str) -> None:
        self._database.run("DELETE FROM downloads WHERE job_id = ?", (job_id,))


def _first(rows: list[tuple[Any, ...]]) -> Job | None:
    return _decoded(rows[0]) if rows else None


def _decoded(row: tuple[Any, ...]) -> Job | None:
    try:
        return msgspec.json.decode(row[0], type=Job)
    except msgspec.DecodeError:
        return None  # written by another version: what it brought lies on the disk all the same
