"""Runs the checks of one client in an environment of its own, where neither roci nor pytest is installed.

A script beside this file holds a client's checks: its functions `check_…`, each of which is handed the `Server`. The
outcome of each is told as a line of JSON on standard output. Nothing but this machine may be asked: an attempt to
reach another is refused, and fails the last check, `STAYS_HERE`, which every script has.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ipaddress
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STAYS_HERE = "nothing_but_this_machine_is_asked"
PATIENCE_S = 120.0


class ModelCannotError(Exception):
    """A model this small does not do what the check is about; the text says what it did instead."""


class NotHereError(Exception):
    """What the check needs is not on this machine; the text says what."""


@dataclass(frozen=True)
class Server:
    url: str
    model: str
    embedding_model: str
    """Empty where there is none."""

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"


def needs_embeddings(check: Callable[[Server], Any]) -> Callable[[Server], Any]:
    """Leaves a check out, in plain sight, where there is no embedding model."""

    def checked(server: Server) -> Any:
        if not server.embedding_model:
            raise NotHereError("there is no embedding model on this machine")
        return check(server)

    return checked


def run(functions: dict[str, Any]) -> None:
    """Runs every check among `functions`, in order, against the server that the command line names."""
    strays: list[str] = []
    sys.addaudithook(lambda event, arguments: _refuse_strangers(event, arguments, strays))
    server = Server(*sys.argv[1:4])
    for name, check in functions.items():
        if name.startswith("check_"):
            _tell(name.removeprefix("check_"), *_outcome(check, server))
    _tell(STAYS_HERE, "failed" if strays else "passed", ", ".join(strays))


def _outcome(check: Callable[[Server], Any], server: Server) -> tuple[str, str]:
    # What a client prints is no outcome.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            made = check(server)
            if inspect.isawaitable(made):
                asyncio.run(_awaited(made))
        except ModelCannotError as reason:
            return "cannot", str(reason)
        except NotHereError as reason:
            return "missing", str(reason)
        except Exception:  # noqa: BLE001 -- told to the test that started this process
            return "failed", traceback.format_exc()
    return "passed", ""


async def _awaited(made: Any) -> None:
    await made


def _tell(name: str, outcome: str, words: str) -> None:
    print(json.dumps({"check": name, "outcome": outcome, "words": words}), flush=True)


def _refuse_strangers(event: str, arguments: tuple[Any, ...], strays: list[str]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host is None or _is_here(host):
        return
    strays.append(str(host))
    raise ConnectionRefusedError(f"{host} is not this machine")


def _is_here(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
