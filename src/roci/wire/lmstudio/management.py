"""The client's side of `/api/v1/models`: bodies of loads and downloads, and what the replies mean.

The requests and replies themselves are described where the server reads and writes them: `load_requests.py`,
`downloads.py`, `model_lists.py`.

Source: LM Studio REST reference of `/api/v1/models`, read for 0.4.0; what roci adds is said there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal, NoReturn, get_args

import msgspec
from msgspec import UNSET, Struct

from roci.errors import DiskFullError, DownloadError, UsageError
from roci.types.management import DownloadStatus, LoadedModel, LoadOptions
from roci.wire.lmstudio.downloads import DownloadStatus as WireDownload
from roci.wire.lmstudio.load_requests import KvCacheType, LoadReply, LoadRequest, Speculation
from roci.wire.lmstudio.model_lists import DeletedModel
from roci.wire.lmstudio.types import Quantization
from roci.wire.openai.convert import decoded

LMSTUDIO_OPTIONS: Final = frozenset(
    {"context_length", "eval_batch_size", "flash_attention", "num_experts", "offload_kv_cache_to_gpu"}
)
"""The load options of LM Studio's REST API; all others are roci's own."""
_WIRE_NAMES: Final = {"ttl_s": "ttl"}
_CHOICES: Final = {"kv_cache_type": get_args(KvCacheType), "speculation": get_args(Speculation)}
_STORAGE_CODE: Final = "insufficient_storage"


class _Loading(Struct):
    id: str
    progress: float | None = None


class _Copy(Struct):
    """An entry of `loaded_instances`; all but `id` and `config` are roci's own."""

    id: str
    config: dict[str, Any] = {}
    loaded_at: int | None = None
    last_used_at: int | None = None
    ttl_seconds: float | None = None
    expires_at: int | None = None
    running: int | None = None
    queued: int | None = None
    is_on_demand: bool | None = None


class _Entry(Struct):
    """An entry of `GET /api/v1/models`, as far as it tells of copies in memory."""

    key: str
    type: str = "llm"
    display_name: str | None = None
    quantization: Quantization | None = None
    size_bytes: int | None = None
    loaded_instances: list[_Copy] = []
    loading: list[_Loading] = []


class _Entries(Struct):
    models: list[_Entry]


class _Status(Struct):
    status: str | None = None


class Health(Struct):
    """What only `roci serve` says at `/health`."""

    version: str
    can_load: bool
    status: str = "ok"
    queue_length: int | None = None


class Greeting(Struct):
    """`GET /lmstudio-greeting`."""

    lmstudio: bool = False


_decode_entries: Final = msgspec.json.Decoder(_Entries).decode
_decode_load: Final = msgspec.json.Decoder(LoadReply).decode
_decode_download: Final = msgspec.json.Decoder(WireDownload).decode
_decode_deleted: Final = msgspec.json.Decoder(DeletedModel).decode


def load_body(key: str, options: LoadOptions, *, stream: bool) -> bytes:
    """The body of a load. `echo_load_config` makes the reply tell what is in force.

    Raises:
        UsageError: an option is out of its range; `field` names it.
    """
    fields = {_WIRE_NAMES.get(name, name): value for name, value in options.given.items()}
    body = {"model": key, **fields, "echo_load_config": True} | ({"stream": True} if stream else {})
    try:
        msgspec.convert(body, LoadRequest)
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `$.")
        wire_name = place.rstrip("`")
        name = next((own for own, wire in _WIRE_NAMES.items() if wire == wire_name), wire_name)
        field = "key" if name == "model" else f"options.{name}"
        taken = f"it takes {', '.join(_CHOICES[name])}" if name in _CHOICES else detail
        raise UsageError(f"{field} is {body.get(wire_name)!r}: {taken}.", field=field) from error
    return msgspec.json.encode(body)


def loaded_models(body: bytes, content_type: str) -> list[LoadedModel]:
    """The copies in memory that a `GET /api/v1/models` tells of.

    Raises:
        UnexpectedReplyError: it is something else.
    """
    found: list[LoadedModel] = []
    for entry in decoded(body, content_type, _decode_entries).models:
        facts: dict[str, Any] = {
            "key": entry.key,
            "kind": "embedding" if entry.type.startswith("embedding") else "llm",
            "display_name": entry.display_name or "",
            "quantization": (entry.quantization and entry.quantization.name) or "",
            "size_bytes": entry.size_bytes,
        }
        found += [_copy(copy, facts) for copy in entry.loaded_instances]
        found += [LoadedModel(id=load.id, status="loading", progress=load.progress, **facts) for load in entry.loading]
    return found


def _copy(copy: _Copy, facts: dict[str, Any]) -> LoadedModel:
    status: Literal["loaded", "idle", "answering"] = "loaded"
    if copy.running is not None:
        status = "answering" if copy.running else "idle"
    return LoadedModel(
        id=copy.id,
        status=status,
        context_length=_count(copy.config.get("context_length")),
        parallel=_count(copy.config.get("parallel")),
        running=copy.running,
        queued=copy.queued,
        ttl_s=copy.ttl_seconds,
        expires_at=copy.expires_at,
        loaded_at=copy.loaded_at,
        last_used_at=copy.last_used_at,
        is_on_demand=copy.is_on_demand,
        config=copy.config,
        **facts,
    )


def new_copy(key: str, body: bytes, content_type: str) -> LoadedModel:
    """What the reply of a load tells of the new copy.

    Raises:
        UnexpectedReplyError: it is something else.
    """
    return copy_of(key, decoded(body, content_type, _decode_load))


def copy_of(key: str, reply: LoadReply) -> LoadedModel:
    config = {} if reply.load_config is UNSET else reply.load_config
    return LoadedModel(
        id=reply.instance_id,
        key=key,
        kind=reply.type,
        context_length=_count(config.get("context_length")),
        parallel=_count(config.get("parallel")),
        config=config,
        load_time_s=reply.load_time_seconds,
    )


def has_options(copy: LoadedModel, options: LoadOptions) -> bool:
    """Whether `copy` was loaded as `options` want it. What the server does not tell of it counts as different."""
    for name, value in options.given.items():
        if name == "identifier":
            agrees = copy.id == value
        elif name == "ttl_s":
            agrees = copy.ttl_s == value
        elif name == "parallel":
            # It is an upper limit, which the server lowers where memory is short.
            agrees = copy.parallel is not None and copy.parallel <= value
        else:
            agrees = copy.config.get(name) == value
        if not agrees:
            return False
    return True


def download_of(asked: str, job_id: str, body: bytes, content_type: str) -> DownloadStatus:
    """How far a download is.

    Raises:
        UnexpectedReplyError: it is something else.
        DownloadError: it has failed or was paused; `DiskFullError` where the server's disk is too full for it.
    """
    told = decoded(body, content_type, _decode_download)
    total, done = _known(told.total_size_bytes), _known(told.downloaded_bytes)
    rate = _known(told.bytes_per_second)
    if told.status in ("failed", "paused"):
        _raise_ended(told, asked, done or 0, total)
    status = DownloadStatus(
        job_id=_known(told.job_id) or job_id,
        model=_known(told.model) or asked,
        status=told.status,
        done_bytes=total if told.status == "completed" and done is None else done,
        total_bytes=total,
        bytes_per_second=rate,
        reason=_known(told.reason) or "",
        note=_known(told.note) or "",
    )
    return msgspec.structs.replace(status, time_left_s=_time_left_s(status, _known(told.estimated_completion)))


def tells_status(body: bytes) -> bool:
    """Whether `body` is an object with a `status`: a download that failed says why under `error`, and is no error."""
    try:
        return msgspec.json.decode(body, type=_Status).status is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def freed_bytes(body: bytes, content_type: str) -> int:
    """What the deletion of a model freed. Raises `UnexpectedReplyError` where the reply is something else."""
    return decoded(body, content_type, _decode_deleted).freed_bytes


def _raise_ended(told: WireDownload, asked: str, done: int, total: int | None) -> NoReturn:
    facts: dict[str, Any] = {"file": _known(told.model) or asked, "done_bytes": done, "total_bytes": total}
    if told.status == "paused":
        raise DownloadError(
            f"The server's download of {facts['file']} was paused.",
            hint="What has come is kept: ask for the same model again, and it goes on.",
            **facts,
        )
    words = _known(told.error) or f"The server could not download {facts['file']}; it does not say why."
    if told.error_code is not UNSET and told.error_code == _STORAGE_CODE:
        raise DiskFullError(
            words, needed_bytes=_known(told.needed_bytes) or 0, free_bytes=_known(told.free_bytes) or 0, **facts
        )
    raise DownloadError(words, **facts)


def _time_left_s(status: DownloadStatus, completion: str | None) -> float | None:
    if status.status != "downloading":
        return None
    if status.bytes_per_second and status.total_bytes is not None and status.done_bytes is not None:
        return max(0.0, (status.total_bytes - status.done_bytes) / status.bytes_per_second)
    if completion is None:
        return None
    try:
        end = datetime.fromisoformat(completion)
    except ValueError:
        return None
    return max(0.0, (end.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _known(value: Any) -> Any:
    return None if value is UNSET else value


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
