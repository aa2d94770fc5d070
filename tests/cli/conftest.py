"""Command lines with a home of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.canned_server import CannedServer, Reply, canned_server, chunk
from tests.support.command_line import CommandLine, lmstudio_routes, refused_url

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ANSWER = Reply.events(chunk("Hello"), chunk(" there."), chunk(finish="stop", usage=USAGE))
STANDING_STILL = Reply.events(chunk("Hello"), 600.0)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[CommandLine]:
    """Nothing answers at the configured address, and there is no model on this machine."""
    with refused_url() as url:
        yield CommandLine(tmp_path, url)


@pytest.fixture
def local(alone: CommandLine, starter_home: Path) -> CommandLine:
    """Nothing answers at the configured address; the starter model is on this machine."""
    home = alone.folder / "roci"
    home.mkdir(mode=0o700)
    (home / "models").symlink_to(starter_home / "models")
    return alone


@pytest.fixture
def server() -> Iterator[CannedServer]:
    """An LM Studio with the model `m` loaded, which answers `Hello there.`"""
    with canned_server(lmstudio_routes(ANSWER)) as running:
        yield running


@pytest.fixture
def served(tmp_path: Path) -> Callable[[CannedServer], CommandLine]:
    """A command line that is pointed at a server."""
    return lambda running: CommandLine(tmp_path, running.url)
