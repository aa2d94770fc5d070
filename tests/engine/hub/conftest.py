"""A hub, a home, and downloads that lose no time between attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from roci.engine.hub.endpoint import Hub
from roci.engine.hub.fetching import fetch
from roci.engine.hub.planning import Plan, make_plan
from roci.engine.hub.progress import OnProgress, Progress
from roci.engine.hub.receiving import Patience
from roci.engine.hub.web import Web
from tests.support.fake_hub import FakeHub, fake_hub
from tests.support.tiny_gguf import gguf_bytes

GB = 10**9
QUICK = Patience(tries=4, first_wait_s=0.001, wait_cap_s=0.01, stall_s=0.3)
REPO = "maker/Tiny-GGUF"
FILE = "Tiny-Q4_K_M.gguf"
MODEL = gguf_bytes({"general.architecture": "llama", "general.name": "x" * 300_000})


class Downloader:
    """Plans and fetches from a hub into a home, as the command line does."""

    def __init__(self, hub: FakeHub, home: Path) -> None:
        self.hub = hub
        self.home = home
        self.token: str | None = None
        self.seen: list[Progress] = []

    def plan(self, name: str = REPO, **more: Any) -> Plan:
        async def planned() -> Plan:
            async with Web() as web:
                return await make_plan(web, self._hub(), self.home, name, **{"memory_bytes": 24 * GB, **more})

        return asyncio.run(planned())

    def get(self, name: str = REPO, on_progress: OnProgress | None = None, **more: Any) -> Path:
        return asyncio.run(self.fetched(name, on_progress, **more))

    async def fetched(self, name: str = REPO, on_progress: OnProgress | None = None, **more: Any) -> Path:
        async with Web() as web:
            plan = await make_plan(web, self._hub(), self.home, name, memory_bytes=24 * GB)
            return await fetch(plan, web, self._hub(), on_progress or self.seen.append, **{"patience": QUICK, **more})

    def files(self) -> list[str]:
        """All files in the home, by their paths in it."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def _hub(self) -> Hub:
        return Hub(endpoint=self.hub.url, token=self.token)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub with one small model."""
    with fake_hub() as running:
        running.add(REPO, {FILE: MODEL, "README.md": b"# Tiny"})
        yield running


@pytest.fixture
def downloader(hub: FakeHub, tmp_path: Path) -> Downloader:
    return Downloader(hub, tmp_path / "home")


@pytest.fixture
def part(downloader: Downloader) -> Callable[[bytes], Path]:
    """Lays down what came of the model earlier."""

    def lay(data: bytes) -> Path:
        path = downloader.home / "models" / "maker" / "Tiny-GGUF" / f"{FILE}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return lay
