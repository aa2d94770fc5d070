"""Downloads over `/api/v1/models`: what may be asked, what comes back, and the frames of a download's events.

Source: LM Studio REST reference, "Download a model" and "Get download status", read for 0.4.0. The list, the
cancelling, the events, the search and the fields said to be roci's own are not in it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from roci.wire.lmstudio.events import frame
from roci.wire.lmstudio.strict_body import decode_strict

Status = Literal["downloading", "paused", "completed", "failed"]


class DownloadRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/models/download`."""

    model: Annotated[str, Meta(min_length=1, max_length=4096)]
    """`owner/name`, a Hugging Face link; roci's own: a name of its catalog, or a link to a .gguf file."""
    quantization: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """`Q4_K_M` for instance; None: the best that fits this machine."""
    force: bool | None = None
    """Take the smallest file where none fits this machine. Roci's own."""


class DownloadStatus(Struct, kw_only=True):
    """A download, as it is now. What is not known is left out."""

    job_id: str | UnsetType = UNSET
    """Absent where there was nothing to do."""
    status: Status | Literal["already_downloaded"]
    """`paused`: the server was stopped meanwhile; asking for the same model again goes on."""
    total_size_bytes: int | UnsetType = UNSET
    downloaded_bytes: int | UnsetType = UNSET
    bytes_per_second: float | UnsetType = UNSET
    estimated_completion: str | UnsetType = UNSET
    """ISO 8601."""
    started_at: str | UnsetType = UNSET
    """ISO 8601."""
    completed_at: str | UnsetType = UNSET
    """ISO 8601."""
    model: str | UnsetType = UNSET
    """`owner/name@quantization`, or a link's file. Roci's own, as all that follows."""
    reason: str | UnsetType = UNSET
    """Why this quantization."""
    error: str | UnsetType = UNSET
    """Why it failed."""
    error_code: str | UnsetType = UNSET
    """`insufficient_storage`: the disk has too little room for it; otherwise absent."""
    needed_bytes: int | UnsetType = UNSET
    """With that code: what is still to come."""
    free_bytes: int | UnsetType = UNSET
    """With that code: what the disk had free."""
    note: str | UnsetType = UNSET
    """What holds it up at the moment."""


class DownloadList(Struct):
    """Every download that is remembered, the newest first."""

    downloads: list[DownloadStatus]


class CancelledDownload(Struct):
    """What had come of it is removed."""

    job_id: str
    status: Literal["cancelled"] = "cancelled"


class OfferEntry(Struct):
    """A quantization that can be had."""

    quantization: str
    size_bytes: int | None
    fits: bool | None
    """Whether it leaves 20 % of this machine's memory free; null where its size is not known."""


class FoundEntry(Struct):
    """A model on the hub."""

    name: str
    link: str
    downloads: int
    likes: int
    parameters: int | None
    max_context_length: int | None
    tasks: list[str]
    is_gated: bool
    quantizations: list[OfferEntry]
    best: str | None
    """The quantization that would be downloaded; null where nothing fits."""


class SearchReply(Struct):
    models: list[FoundEntry]
    memory_bytes: int
    """Of this machine."""


_decoder: Final = msgspec.json.Decoder(DownloadRequest)


def decode_download(body: bytes) -> DownloadRequest:
    """Raises `BadRequestError` with the field at fault."""
    return decode_strict(body, _decoder, {})


def download_progressed(status: DownloadStatus) -> bytes:
    return frame("download.progress", download=status)


def download_ended(status: DownloadStatus) -> bytes:
    """The last event: completed, failed, paused or cancelled."""
    return frame("download.end", download=status)
