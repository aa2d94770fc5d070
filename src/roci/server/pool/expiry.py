"""The pool's clock: tells when an idle instance has been idle for as long as it may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from roci.server.pool.events import Expired, InMemory


class Expiry:
    """One timer for each idle instance that has a ttl."""

    def __init__(self, tell: Callable[[Expired], None]) -> None:
        self._tell = tell
        self._timers: dict[Expired, asyncio.TimerHandle] = {}

    def follow(self, models: Mapping[str, InMemory], ttl_of: Callable[[str], float | None]) -> None:
        """Sets and drops timers, so that they are those of `models`. An instance that is used starts anew."""
        idle = {Expired(name, model.idle_since) for name, model in models.items() if model.is_idle and model.is_open}
        for expired in [expired for expired in self._timers if expired not in idle]:
            self._timers.pop(expired).cancel()
        for expired in idle.difference(self._timers):
            ttl_s = ttl_of(expired.id)
            if ttl_s is not None:
                self._timers[expired] = asyncio.get_running_loop().call_later(ttl_s, self._tell, expired)

    def remaining_s(self, name: str, model: InMemory) -> float | None:
        """Seconds until it is told of this instance; None where it will not be."""
        timer = self._timers.get(Expired(name, model.idle_since))
        return None if timer is None else max(0.0, timer.when() - asyncio.get_running_loop().time())

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
