"""What a refusal of `/api/v1/models` means: the error that the server itself met, where it says which."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from roci.errors import (
    DiskFullError,
    LoadFailedError,
    ModelNotFoundError,
    NotEnoughMemoryError,
    ReplyError,
    RociError,
    WorkerDiedError,
)
from roci.wire.lmstudio.errors import TEXTS
from roci.wire.openai.errors import WireError, read_error, reply_error


class _Facts(Struct):
    """What stands beside the message; all but `code` and `type` are roci's own."""

    code: str | int | None = None
    type: str | None = None
    needed_bytes: int | None = None
    free_bytes: int | None = None
    similar: tuple[str, ...] = ()
    exit_code: int | None = None


class _Envelope(Struct):
    error: _Facts | str | None = None


def refusal(body: bytes, *, status: int, path: str, key: str, headers: Mapping[str, str] | None = None) -> RociError:
    """The error that a reply or an event means.

    Args:
        key: the model, copy or job that it is about; empty where it is about none.
    """
    error = read_error(body)
    if error is None:
        text = body[:300].decode("utf-8", "replace").strip()
        text = "a web page" if text.startswith("<") else text
        error = WireError(message=f"status {status}: {text}" if text else f"status {status}")
    facts = _facts(body)
    message = error.message or ""
    match facts.code or facts.type:
        case "insufficient_memory":
            return NotEnoughMemoryError(message, key=key, needed_bytes=facts.needed_bytes, free_bytes=facts.free_bytes)
        case "load_failed":
            return LoadFailedError(message, key=key)
        case "worker_died":
            return WorkerDiedError(message, key=key, exit_code=facts.exit_code)
        case "insufficient_storage":
            return DiskFullError(message, needed_bytes=facts.needed_bytes or 0, free_bytes=facts.free_bytes or 0)
        case "job_not_found":
            return ReplyError(
                message, status=status, code="job_not_found", body=body[:10_000].decode("utf-8", "replace")
            )
        case _:
            pass
    found = reply_error(error, status=status, path=path, model=key, body=body, headers=headers, texts=TEXTS)
    if isinstance(found, ModelNotFoundError):
        found.similar = facts.similar
    return found


def _facts(body: bytes) -> _Facts:
    try:
        error = msgspec.json.decode(body, type=_Envelope).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Facts()
    return error if isinstance(error, _Facts) else _Facts()
