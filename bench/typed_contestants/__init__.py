"""Clients that do the same: read an answer into a type of the user's, and run a tool that the model calls.

Each is imported in a process of its own, some by an interpreter that has only that client.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def typed_contestant(name: str, mode: str) -> Any:
    """The class to call with the server's address.

    Its objects have `object()`, which gives name, country, population and landmarks, and `tools()`, which gives the
    text after a round with a tool; one of them may be missing. Both are async in the mode `async`.
    """
    module = import_module(f"bench.typed_contestants.{name}_client")
    return module.Sync if mode == "sync" else module.Async
