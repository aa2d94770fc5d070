"""Three clients that do the same: the floor, roci, and openai. Each is imported in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Literal, Protocol

Name = Literal["floor", "roci", "roci_selector", "openai"]


class SyncContestant(Protocol):
    def call(self, text: str) -> int:
        """The length of a plain reply to `text`."""
        ...

    def stream(self, text: str) -> int:
        """How many tokens a streamed reply to `text` had."""
        ...


class AsyncContestant(Protocol):
    async def call(self, text: str) -> int:
        """The length of a plain reply to `text`."""
        ...

    async def stream(self, text: str) -> int:
        """How many tokens a streamed reply to `text` had."""
        ...


def sync_contestant(name: Name) -> Callable[[str], SyncContestant]:
    """The class to call with the server's address."""
    return import_module(f"bench.contestants.{name}_client").Sync


def async_contestant(name: Name) -> Callable[[str], AsyncContestant]:
    """The class to call with the server's address."""
    return import_module(f"bench.contestants.{name}_client").Async
