"""Who waits for a load hears of it: begun once, a ratio that never falls, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from roci.wire.generation import LoadEnded, LoadEvent, LoadProgress, LoadStarted

OnLoad: TypeAlias = Callable[[LoadEvent], None]


class _Listener:
    def __init__(self, instance_id: str, tell: OnLoad) -> None:
        self.instance_id = instance_id
        self.tell = tell
        self.ratio: float | None = None


class LoadListeners:
    """Waiting requests that want to hear of the load which they wait for."""

    def __init__(self) -> None:
        self._by_request: dict[int, _Listener] = {}

    def add(self, request: int, instance_id: str, tell: OnLoad) -> None:
        self._by_request[request] = _Listener(instance_id, tell)

    def remove(self, request: int) -> None:
        self._by_request.pop(request, None)

    def progressed(self, instance_id: str, ratio: float) -> None:
        """The load is this far; to those who had not heard of it, it has begun."""
        for listener in self._of(instance_id):
            if listener.ratio is None:
                listener.ratio = 0.0
                listener.tell(LoadStarted())
            if ratio > listener.ratio:
                listener.ratio = ratio
                listener.tell(LoadProgress(ratio))

    def ended(self, instance_id: str, load_time_s: float) -> None:
        """The load is over and well."""
        self.progressed(instance_id, 1.0)
        for listener in self._of(instance_id):
            listener.tell(LoadEnded(load_time_s))
            listener.instance_id = ""  # what comes now is no load that it waits for

    def _of(self, instance_id: str) -> Iterator[_Listener]:
        return (listener for listener in list(self._by_request.values()) if listener.instance_id == instance_id)
