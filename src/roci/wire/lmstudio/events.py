"""The frames of `/api/v1`'s streams, and those of a load, which is roci's own use of the chat's load events."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from roci.wire.lmstudio.error_shape import native_error
from roci.wire.lmstudio.load_requests import LoadReply
from roci.wire.reply_writer import Failure

_encode: Final = msgspec.json.Encoder().encode


def frame(name: str, **fields: Any) -> bytes:
    """One event; the JSON repeats its type, as LM Studio's does."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _encode({"type": name, **fields}))


def load_started(instance_id: str) -> bytes:
    return frame("model_load.start", model_instance_id=instance_id)


def load_progressed(instance_id: str, ratio: float) -> bytes:
    return frame("model_load.progress", model_instance_id=instance_id, progress=ratio)


def load_ended(instance_id: str, load_time_s: float) -> bytes:
    """The load's end inside a chat."""
    return frame("model_load.end", model_instance_id=instance_id, load_time_seconds=load_time_s)


def load_replied(reply: LoadReply) -> bytes:
    """The last event of a load that was streamed."""
    return frame(
        "model_load.end",
        model_instance_id=reply.instance_id,
        load_time_seconds=reply.load_time_seconds,
        result=reply,
    )


def error_event(failure: Failure) -> bytes:
    return frame("error", error=native_error(failure))
