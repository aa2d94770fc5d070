"""The server's downloads: one for each file at most, in threads of their own, remembered between runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from roci.engine.hub.choice import machine_memory_bytes
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.fetching import fetch, remove_parts
from roci.engine.hub.planning import Plan, make_plan
from roci.engine.hub.progress import Progress, Throttle
from roci.engine.hub.searching import Found, Query, search
from roci.engine.hub.starter_fetching import fetch_starter_here
from roci.engine.hub.web import Web
from roci.errors import BadRequestError, DiskFullError, ReplyError, RociError, ServerBusyError
from roci.server.hub_errors import as_our_own
from roci.server.own_loop import in_own_loop
from roci.server.settings import ServerSettings
from roci.server.state.database import Database
from roci.server.state.download_jobs import DownloadJobs, Job

_log = logging.getLogger(__name__)

AT_ONCE: Final = 3
WAITING_MOST: Final = 50
QUESTIONS_AT_ONCE: Final = 4
STORED_EVERY_S: Final = 5.0
KEEP_ALIVE_S: Final = 15.0


class _Running:
    """A download in progress."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self.job = job
        self.plan = plan
        self.changed = asyncio.Event()
        """Replaced by another each time it is set."""
        self.is_unwanted = False
        self.stored_at = 0.0
        self.task: asyncio.Task[None] | None = None


class Downloads:
    """For one event loop; closed once."""

    def __init__(self, database: Database, home: Path, settings: ServerSettings) -> None:
        self._jobs = DownloadJobs(database)
        self._home = home
        limit = settings.download_mb_per_s
        self._throttle = Throttle(None if limit is None else limit * 10**6)
        self._running: dict[str, _Running] = {}
        self._movers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download")
        self._askers = ThreadPoolExecutor(QUESTIONS_AT_ONCE, thread_name_prefix="hub")
        self._is_closing = False

    async def start(self, name: str, quantization: str | None = None, *, force: bool = False) -> Job | Plan:
        """Begins a download, or joins the one that brings the same; the plan alone where all of it is there.

        Raises:
            UsageError, ModelNotFoundError, NotEnoughMemoryError: as `make_plan`.
            ReplyError: the hub says no, or nothing.
            ServerBusyError: too many wait already, or the server is shutting down.
        """
        hub = Hub.from_env()

        async def planned() -> Plan:
            async with Web() as web:
                return await make_plan(
                    web,
                    hub,
                    self._home,
                    name,
                    memory_bytes=machine_memory_bytes(),
                    quantization=quantization,
                    force=force,
                )

        plan = await self._ask(planned)
        for running in self._running.values():
            if running.job.path == str(plan.path) and not running.is_unwanted:
                return running.job
        if plan.is_there:
            return plan
        if self._is_closing or len(self._running) >= WAITING_MOST:
            why = "The server is shutting down." if self._is_closing else "Too many downloads wait already."
            raise ServerBusyError(why, status=503, code="busy", hint="Try again later.")
        return self._begin(plan, hub)

    def status(self, job_id: str) -> Job:
        """Raises `ReplyError` with the code `job_not_found`."""
        running = self._running.get(job_id)
        if running is not None:
            return running.job
        job = self._jobs.get(job_id)
        if job is None:
            raise ReplyError(f"There is no download {job_id!r}.", status=404, code="job_not_found", param="job_id")
        return _at_rest(job)

    def list(self) -> list[Job]:
        """Every download that is remembered, the newest first."""
        return [
            self._running[job.job_id].job if job.job_id in self._running else _at_rest(job) for job in self._jobs.all()
        ]

    async def cancel(self, job_id: str) -> Job:
        """Ends a download, removes what has come of it, and forgets it.

        Raises:
            ReplyError: there is none, with the code `job_not_found`.
            BadRequestError: it is complete.
        """
        job = self.status(job_id)
        if job.status == "completed":
            raise BadRequestError(
                "This download is complete.",
                status=400,
                code="download_complete",
                param="job_id",
                hint="To remove the model: DELETE /api/v1/models/{key}",
            )
        running = self._running.get(job_id)
        if running is not None and running.task is not None:
            running.is_unwanted = True
            running.task.cancel()
            await asyncio.wait({running.task})
            self._running.pop(job_id, None)  # where its task had not begun
        await asyncio.to_thread(remove_parts, [Path(target) for target in job.targets])
        self._jobs.forget(job_id)
        return job

    async def watch(self, job_id: str) -> AsyncIterator[Job | None]:
        """The download as it is, and again each time it changes, until it ends; None now and then while nothing does.

        Raises `ReplyError` as `status`.
        """
        while True:
            running = self._running.get(job_id)
            if running is None:
                with contextlib.suppress(ReplyError):  # it was cancelled, and is forgotten
                    yield self.status(job_id)
                return
            changed = running.changed
            yield running.job
            try:
                await asyncio.wait_for(changed.wait(), KEEP_ALIVE_S)
            except TimeoutError:
                yield None

    async def search(self, query: Query) -> tuple[list[Found], int]:
        """What is found, and this machine's memory in bytes. Raises as `start`."""
        memory = machine_memory_bytes()

        async def found() -> list[Found]:
            async with Web() as web:
                return await search(web, Hub.from_env(), query, memory)

        return await self._ask(found), memory

    async def aclose(self) -> None:
        """Pauses every download; what has come is kept for the next run."""
        self._is_closing = True
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._movers.shutdown(wait=False)
        self._askers.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, make: Any) -> Any:
        try:
            return await in_own_loop(self._askers, make)
        except RociError as error:
            raise as_our_own(error) from error

    def _begin(self, plan: Plan, hub: Hub) -> Job:
        before = self._jobs.of_path(str(plan.path))
        again = before is not None and before.status != "completed"
        job = Job(
            job_id=before.job_id if before is not None and again else f"job_{secrets.token_hex(5)}",
            model=plan.title,
            path=str(plan.path),
            targets=tuple(str(file.target) for file in plan.files),
            reason=plan.reason,
            status="downloading",
            started_s=time.time(),
            total_bytes=plan.total_bytes,
            done_bytes=before.done_bytes if before is not None and again else 0,
        )
        running = self._running[job.job_id] = _Running(job, plan)
        self._store(job)
        running.task = asyncio.create_task(self._run(running, hub), name=f"download {job.job_id}")
        return job

    async def _run(self, running: _Running, hub: Hub) -> None:
        loop = asyncio.get_running_loop()

        def tell(progress: Progress) -> None:
            loop.call_soon_threadsafe(self._note, running, progress)

        async def fetched() -> None:
            if running.plan.is_starter:
                await fetch_starter_here(self._home, tell)
                return
            async with Web() as web:
                await fetch(running.plan, web, hub, tell, throttle=self._throttle)

        try:
            await in_own_loop(self._movers, fetched)
        except asyncio.CancelledError:
            self._end(running, status="paused")
            raise
        except RociError as error:
            self._end(running, status="failed", **_failure(error))
        except BaseException:
            self._end(running, status="failed", error="The server failed; its log says why.")
            raise
        else:
            total = running.job.total_bytes or running.job.done_bytes
            self._end(running, status="completed", completed_s=time.time(), done_bytes=total, total_bytes=total)

    def _note(self, running: _Running, progress: Progress) -> None:
        if running.job.job_id not in self._running:
            return  # it has ended meanwhile
        running.job = replace(
            running.job,
            done_bytes=progress.done_bytes,
            total_bytes=progress.total_bytes,
            bytes_per_second=progress.bytes_per_second,
            eta_s=progress.eta_s,
            note=progress.note or ("Another program fetches it." if progress.stage == "waiting" else ""),
        )
        now = time.monotonic()
        if now - running.stored_at >= STORED_EVERY_S:
            running.stored_at = now
            self._store(running.job)
        self._tell(running)

    def _end(self, running: _Running, **fields: Any) -> None:
        running.job = _at_rest(replace(running.job, **fields))
        del self._running[running.job.job_id]
        if not running.is_unwanted:
            self._store(running.job)
        self._tell(running)

    def _store(self, job: Job) -> None:
        try:
            self._jobs.put(job)
        except sqlite3.Error as error:
            # A full disk, most likely, which is no reason to end what still goes.
            _log.warning("The download %s cannot be remembered: %s", job.job_id, error)

    def _tell(self, running: _Running) -> None:
        running.changed.set()
        running.changed = asyncio.Event()


def _failure(error: RociError) -> dict[str, Any]:
    """What a job keeps of the error that ended it."""
    kept: dict[str, Any] = {"error": " ".join(filter(None, (error.message, error.hint)))}
    if isinstance(error, DiskFullError):
        kept |= {
            "error_code": "insufficient_storage",
            "needed_bytes": error.needed_bytes,
            "free_bytes": error.free_bytes,
        }
    return kept


def _at_rest(job: Job) -> Job:
    """A download that nobody works at: one that was running when the server ended is paused."""
    status = "paused" if job.status == "downloading" else job.status
    return replace(job, status=status, bytes_per_second=None, eta_s=None, note="")
