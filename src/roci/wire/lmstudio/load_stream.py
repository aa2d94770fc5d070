"""A load as the client reads it: events until the copy is there, or one whole reply."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from roci.errors import ConnectionLostError, RociError
from roci.types.management import LoadedModel, LoadProgress
from roci.wire.lmstudio.load_requests import LoadReply
from roci.wire.lmstudio.management import copy_of, new_copy
from roci.wire.lmstudio.management_errors import refusal
from roci.wire.openai.convert import decoded
from roci.wire.sse import SseDecoder, SseEvent


class _Event(Struct):
    """The fields of `model_load.start`, `model_load.progress` and `model_load.end`."""

    type: str = ""
    model_instance_id: str = ""
    progress: float | None = None
    result: LoadReply | None = None


_decode_event: Final = msgspec.json.Decoder(_Event).decode


class LoadDecoder:
    """Reads the events of one load.

    Args:
        key: the model that was asked for.
        path: where it was asked.
    """

    def __init__(self, key: str, path: str) -> None:
        self.failure: RociError | None = None
        self.is_done = False
        self.copy: LoadedModel | None = None
        """The copy, once it is there."""
        self._key = key
        self._path = path
        self._sse = SseDecoder()

    def take_whole(self, body: bytes, content_type: str) -> None:
        """Read a reply that is no stream."""
        self._take_copy(new_copy(self._key, body, content_type))

    def take_copy(self, copy: LoadedModel) -> None:
        """Nothing was asked for: `copy` was there."""
        self._take_copy(copy)

    def feed(self, data: bytes) -> list[LoadProgress]:
        return [progress for event in self._sse.feed(data) for progress in self._read(event)]

    def close(self) -> list[LoadProgress]:
        found = [progress for event in self._sse.close() for progress in self._read(event)]
        if self.copy is None and self.failure is None:
            self.failure = ConnectionLostError(
                f"The server's reply ended before {self._key} was loaded.",
                hint="The server may have been stopped: look at its log, then ask again.",
            )
        return found

    def loaded(self) -> LoadedModel:
        """The copy; what kept it from being loaded is raised."""
        if self.failure is not None:
            raise self.failure
        assert self.copy is not None, "close() was not called"
        return self.copy

    def _read(self, event: SseEvent) -> list[LoadProgress]:
        name, data = event
        if name == "error":
            self.failure = refusal(data, status=200, path=self._path, key=self._key)
            return []
        told = decoded(data, "text/event-stream", _decode_event)
        if told.type == "model_load.end" and told.result is not None:
            self._take_copy(copy_of(self._key, told.result))
            return [LoadProgress(key=self._key, instance_id=told.result.instance_id, ratio=1.0)]
        if told.type in ("model_load.start", "model_load.progress"):
            return [LoadProgress(key=self._key, instance_id=told.model_instance_id, ratio=told.progress or 0.0)]
        return []

    def _take_copy(self, copy: LoadedModel) -> None:
        self.copy = copy
        self.is_done = True
