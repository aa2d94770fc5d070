"""Moving a model's files here: resumed, checked, and visible only when all of it is there.

It reads and writes the disk as it goes, which stops its event loop for moments: give it a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from roci.engine.hub.choice import gigabytes
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.part_file import PartFile, part_of
from roci.engine.hub.planning import Plan, PlannedFile
from roci.engine.hub.progress import OnProgress, Reporter, Throttle
from roci.engine.hub.receiving import KEPT, Patience, Receiver
from roci.engine.hub.web import Web
from roci.errors import DiskFullError, DownloadError, RociError

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOCK_POLL_S: Final = 0.3


def free_disk_bytes(folder: Path) -> int:
    """What the disk of `folder`, which need not exist, has free."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


async def fetch(
    plan: Plan,
    web: Web,
    hub: Hub,
    on_progress: OnProgress | None = None,
    *,
    patience: Patience | None = None,
    throttle: Throttle | None = None,
    free_bytes: Callable[[Path], int] = free_disk_bytes,
) -> Path:
    """Brings all files of `plan`; gives the path that the model is opened by.

    Cancelling it keeps what has come, to go on from the next time. Where another program fetches the same file, it
    waits for that.

    Args:
        on_progress: called some ten times a second.
        throttle: keeps it, and others with the same one, below a speed.
        free_bytes: what a folder's disk has free.

    Raises:
        DiskFullError: before anything is fetched, or on the way.
        CorruptDownloadError: what came is not what was announced; it is removed.
        BadModelFileError: what a plain link brought is no model; it is removed.
        DownloadError: the line is too bad.
        AccessDeniedError, ModelNotFoundError, ServerBusyError, ServerFailedError: the server said no.
    """
    reporter = Reporter(on_progress, plan.total_bytes)
    job = _Fetching(plan, reporter, free_bytes)

    def receiver(file: PlannedFile, part: PartFile) -> Receiver:
        return Receiver(
            file.remote,
            part,
            web=web,
            hub=hub,
            repo=plan.repo,
            patience=patience or Patience(),
            throttle=throttle or Throttle(),
            reporter=reporter,
            on_size=job.note_size,
        )

    try:
        await job.run(receiver)
    except RociError:
        raise  # some are OSErrors too
    except OSError as error:
        raise job.disk_error(error) from error
    finally:
        _remove_empty_folders(plan.path)
    return plan.path


def remove_parts(targets: Iterable[Path]) -> None:
    """Removes what has come of files that nobody wants any more; what another program fetches is left alone.

    Raises:
        DownloadError: the folder cannot be written to.
    """
    for target in targets:
        try:
            part = PartFile.open(target) if part_of(target).exists() else None
        except OSError as error:
            raise DownloadError(f"{target.parent} cannot be written to: {error.strerror}.") from error
        if part is not None:
            part.drop()
        _remove_empty_folders(target)


def _remove_empty_folders(target: Path) -> None:
    """The model's own and its publisher's, if nothing lies there."""
    with contextlib.suppress(OSError):  # they are not empty, or were never made
        target.parent.rmdir()
        target.parent.parent.rmdir()


class _Fetching:
    """One run of `fetch`."""

    def __init__(self, plan: Plan, reporter: Reporter, free_bytes: Callable[[Path], int]) -> None:
        self.plan = plan
        self.reporter = reporter
        self.free_bytes = free_bytes
        self.part: PartFile | None = None
        """The file of the moment."""

    async def run(self, receiver: Callable[[PlannedFile, PartFile], Receiver]) -> None:
        self._check_disk()
        home = self.plan.path.parents[3]
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole: list[PartFile] = []
        with ExitStack() as held:
            for file in self.plan.files:
                part = await self._locked(file)
                if part is not None:
                    # Without a checksum nobody could tell later what it is a part of.
                    held.callback(part.close if file.remote.sha256 else part.drop)
                    self.part = part
                    await receiver(file, part).bring()
                    whole.append(part)
                    self.reporter.finished_bytes += part.size_bytes
                else:
                    self.reporter.finished_bytes += file.target.stat().st_size
            # What the model is opened by appears last: until then there is no model.
            for part in reversed(whole):
                part.publish()
        self.reporter.total_bytes = self.reporter.finished_bytes
        self.reporter.tell("done", self.plan.path.name, 0)

    def disk_error(self, error: OSError) -> DownloadError:
        part, done = self.part, 0 if self.part is None else self.part.size_bytes
        where = self.plan.path.parent
        if error.errno not in DISK_FULL:
            return DownloadError(
                f"{where} cannot be written to: {error.strerror or error}.",
                file=self.plan.path.name,
                hint="Name a folder that can be written to in ROCI_HOME.",
            )
        total = self.reporter.total_bytes
        missing = None if total is None else total - self.reporter.finished_bytes - done
        needs = "" if missing is None else f": {gigabytes(missing)} are still missing"
        return DiskFullError(
            f"The disk is full{needs}.",
            needed_bytes=missing or 0,
            free_bytes=self.free_bytes(where),
            file="" if part is None else part.target.name,
            done_bytes=done,
            total_bytes=total,
            hint=f"Make room on the disk of {where}. {KEPT}",
        )

    def note_size(self, size_bytes: int) -> None:
        """The size of a file that only its server knew. Raises `DiskFullError` where it has no room."""
        if len(self.plan.files) == 1:
            self.reporter.total_bytes = size_bytes
        self._need_disk(size_bytes)

    def _check_disk(self) -> None:
        missing = 0
        for file in self.plan.files:
            size = file.remote.size_bytes
            if size is None or (file.target.is_file() and file.target.stat().st_size == size):
                continue
            part = part_of(file.target)
            missing += max(0, size - (part.stat().st_size if part.is_file() else 0))
        self._need_disk(missing)

    def _need_disk(self, missing: int) -> None:
        folder = self.plan.path.parent
        free = self.free_bytes(folder)
        if missing > free:
            raise DiskFullError(
                f"{self.plan.title} takes {gigabytes(missing)} more on the disk of {folder}, and "
                f"{gigabytes(free)} are free.",
                needed_bytes=missing,
                free_bytes=free,
                file=self.plan.path.name,
                total_bytes=self.plan.total_bytes,
                hint="Make room, or name a folder on another disk in ROCI_HOME.",
            )

    async def _locked(self, file: PlannedFile) -> PartFile | None:
        """The part of `file`, ours alone; None where the file is there already."""
        while True:
            size = file.remote.size_bytes
            if file.target.is_file() and (size is None or file.target.stat().st_size == size):
                return None
            part = PartFile.open(file.target)
            if part is not None:
                return part
            self.reporter.tell("waiting", file.remote.name, 0)
            await asyncio.sleep(LOCK_POLL_S)
