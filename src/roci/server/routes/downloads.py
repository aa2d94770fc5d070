"""Downloads and the search on the hub, beneath `/api/v1/models`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from litestar.types import ASGIApp
from msgspec import UNSET, UnsetType

from roci.engine.hub.searching import LIMIT, MOST, TASKS, Query, Task, parse_size
from roci.server.downloads import Downloads
from roci.server.gateway import Gateway
from roci.server.openapi import BUSY, REFUSED, Operation, path_parameter, query_parameter
from roci.server.posts import post
from roci.server.state.download_jobs import Job
from roci.server.whole_reply import WholeReply
from roci.wire.lmstudio.downloads import (
    CancelledDownload,
    DownloadList,
    DownloadRequest,
    DownloadStatus,
    FoundEntry,
    SearchReply,
    decode_download,
    download_ended,
    download_progressed,
)
from roci.wire.lmstudio.error_shape import NativeErrorBody
from roci.wire.openai.request_faults import invalid

_ID: Final = path_parameter("job_id", "As the start of the download gave it.")


@post("/api/v1/models/download")
async def start_download(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = decode_download(body)
    return WholeReply(lambda: _started(gateway.downloads, asked))


@get("/api/v1/models/download")
async def list_downloads(gateway: NamedDependency[Gateway]) -> DownloadList:
    return DownloadList(downloads=[_told(job) for job in gateway.downloads.list()])


@get("/api/v1/models/download/status/{job_id:str}")
async def download_status(gateway: NamedDependency[Gateway], job_id: FromPath[str]) -> DownloadStatus:
    return _told(gateway.downloads.status(job_id))


@delete("/api/v1/models/download/{job_id:str}", status_code=200)
async def cancel_download(gateway: NamedDependency[Gateway], job_id: FromPath[str]) -> CancelledDownload:
    """Goes on although its client leaves: what is half removed is of no use."""
    return CancelledDownload(job_id=(await gateway.downloads.cancel(job_id)).job_id)


@get("/api/v1/models/download/events/{job_id:str}")
async def download_events(gateway: NamedDependency[Gateway], job_id: FromPath[str]) -> Stream:
    gateway.downloads.status(job_id)  # an unknown one is refused before the stream's head is sent
    return Stream(_frames(gateway.downloads, job_id), media_type="text/event-stream")


@get("/api/v1/models/search")
async def search_models(
    gateway: NamedDependency[Gateway],
    q: FromQuery[str | None] = None,
    size: FromQuery[str | None] = None,
    task: FromQuery[str | None] = None,
    quantization: FromQuery[str | None] = None,
    limit: FromQuery[str | None] = None,
) -> SearchReply:
    query = Query(
        words=q or "",
        size=parse_size(size) if size else None,
        task=_task(task),
        quantization=quantization or "",
        limit=_limit(limit),
    )
    found, memory = await gateway.downloads.search(query)
    return SearchReply(models=msgspec.convert(found, list[FoundEntry], from_attributes=True), memory_bytes=memory)


async def _started(downloads: Downloads, asked: DownloadRequest) -> DownloadStatus:
    """The hub is asked first, which is given up when the client leaves."""
    job = await downloads.start(asked.model, asked.quantization, force=bool(asked.force))
    return _told(job) if isinstance(job, Job) else DownloadStatus(status="already_downloaded")


async def _frames(downloads: Downloads, job_id: str) -> AsyncIterator[bytes]:
    last = DownloadStatus(job_id=job_id, status="failed", error="It was cancelled.")
    async for job in downloads.watch(job_id):
        if job is None:
            yield b": still there\n\n"
        elif job.status == "downloading":
            yield download_progressed(_told(job))
        else:
            last = _told(job)
    yield download_ended(last)


def _told(job: Job) -> DownloadStatus:
    now = datetime.now(UTC)
    return DownloadStatus(
        job_id=job.job_id,
        status=job.status,
        total_size_bytes=UNSET if job.total_bytes is None else job.total_bytes,
        downloaded_bytes=job.done_bytes,
        bytes_per_second=UNSET if job.bytes_per_second is None else round(job.bytes_per_second),
        estimated_completion=UNSET if job.eta_s is None else _iso(now.timestamp() + job.eta_s),
        started_at=_iso(job.started_s),
        completed_at=UNSET if job.completed_s is None else _iso(job.completed_s),
        model=job.model,
        reason=job.reason,
        error=job.error or UNSET,
        error_code=job.error_code or UNSET,
        needed_bytes=UNSET if job.needed_bytes is None else job.needed_bytes,
        free_bytes=UNSET if job.free_bytes is None else job.free_bytes,
        note=job.note or UNSET,
    )


def _iso(seconds: float) -> str | UnsetType:
    """Nothing for a time beyond the calendar: of a download that hardly moves."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return UNSET


def _task(text: str | None) -> Task | None:
    for task in TASKS:
        if text == task:
            return task
    if text:
        raise invalid(f"task is {text!r}; it takes {', '.join(TASKS)}.", "task")
    return None


def _limit(text: str | None) -> int:
    if not text:
        return LIMIT
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST:
        raise invalid(f"limit is {text!r}; it takes 1 to {MOST}.", "limit")
    return int(text)


HANDLERS: Final = (
    start_download,
    list_downloads,
    download_status,
    cancel_download,
    download_events,
    search_models,
)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/models/download",
        summary="Download a model; whoever asks for one that is on its way joins that download.",
        description="Of several quantizations the best that leaves 20 % of this machine's memory free is taken. "
        "A model that is there is `already_downloaded`, without a job. One that was paused, or failed, goes on.",
        request=DownloadRequest,
        reply=DownloadStatus,
        statuses=(*REFUSED, "502", *BUSY),
        errors=NativeErrorBody,
    ),
    Operation(
        method="GET",
        path="/api/v1/models/download",
        summary="Every download that is remembered, the newest first.",
        reply=DownloadList,
        errors=NativeErrorBody,
    ),
    Operation(
        method="GET",
        path="/api/v1/models/download/status/{job_id}",
        summary="How far a download is.",
        reply=DownloadStatus,
        parameters=(_ID,),
        errors=NativeErrorBody,
    ),
    Operation(
        method="DELETE",
        path="/api/v1/models/download/{job_id}",
        summary="End a download, remove what has come of it, and forget it; not for one that is complete.",
        reply=CancelledDownload,
        parameters=(_ID,),
        errors=NativeErrorBody,
    ),
    Operation(
        method="GET",
        path="/api/v1/models/download/events/{job_id}",
        summary="How far a download is, as events: `download.progress` until `download.end`.",
        is_stream=True,
        events=("download.progress", "download.end"),
        parameters=(_ID,),
        errors=NativeErrorBody,
    ),
    Operation(
        method="GET",
        path="/api/v1/models/search",
        summary="Models on the hub, the most downloaded first, with what fits this machine marked.",
        reply=SearchReply,
        parameters=(
            query_parameter("q", "Words that the name holds.", {"type": "string", "maxLength": 200}),
            query_parameter("size", "`4b`, `<8b` parameters, or files of `<8GB`.", {"type": "string"}),
            query_parameter("task", "What the model is for.", {"enum": list(TASKS)}),
            query_parameter("quantization", "Only models that offer it.", {"type": "string"}),
            query_parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": MOST}),
        ),
        statuses=(*REFUSED, "502", *BUSY),
        errors=NativeErrorBody,
    ),
)
