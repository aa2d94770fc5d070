"""The recommended models as this machine sees them: how large they really are, and whether they fit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Literal

import msgspec

from roci.engine.hub.asking import read_hub
from roci.engine.hub.choice import fits
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.web import Web
from roci.engine.quantization_names import quantization_of
from roci.engine.recommended import RECOMMENDED, CatalogModel, Source, source_for
from roci.engine.shards import SHARD, size_bytes
from roci.errors import RociError
from roci.types.settings import Timeouts

# A list is shown also without a network, and soon.
TIMEOUTS: Final = Timeouts(connect_s=3, first_token_s=5, gap_s=5, total_s=8)

SizeOrigin = Literal["disk", "hub", "stated"]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A recommended model and what it means here."""

    name: str
    title: str
    role: str
    quantization: str
    size_bytes: int
    size_origin: SizeOrigin
    """`disk`: the files that are here; `hub`: the files that would come; `stated`: as the catalog says."""
    varies: bool
    """Which model it is depends on the machine."""
    repo: str
    fits: bool
    """Whether it leaves 20 % of this machine's memory free."""
    is_here: bool


async def judge(web: Web, hub: Hub, home: Path, memory_bytes: int) -> list[Judged]:
    """All recommended models. Where the hub does not answer, their stated sizes count."""
    return await asyncio.gather(*(_judge(web, hub, home, model, memory_bytes) for model in RECOMMENDED))


async def _judge(web: Web, hub: Hub, home: Path, model: CatalogModel, memory_bytes: int) -> Judged:
    source = source_for(model, memory_bytes)
    here = _size_on_disk(home, source, model.quantization)
    there = await _size_on_hub(web, hub, source, model.quantization) if here is None else None
    origin: SizeOrigin = "disk" if here is not None else "hub" if there is not None else "stated"
    size = here or there or model.size_bytes or source.size_bytes
    return Judged(
        name=model.name,
        title=model.title,
        role=model.role,
        quantization=model.quantization,
        size_bytes=size,
        size_origin=origin,
        varies=len(model.sources) > 1,
        repo=source.repo,
        fits=fits(size, memory_bytes),
        is_here=here is not None,
    )


def _size_on_disk(home: Path, source: Source, quantization: str) -> int | None:
    for path in sorted((home / "models" / source.repo).glob("*.gguf")):
        stem = SHARD.sub("", path.stem)
        if (quantization_of(stem) or "").lower() == quantization.lower() and "mmproj" not in stem.lower():
            return size_bytes(path)
    return None


async def _size_on_hub(web: Web, hub: Hub, source: Source, quantization: str) -> int | None:
    try:
        repository = await read_hub(web, hub, source.repo, nearest=False, timeouts=TIMEOUTS)
    except RociError:
        return None  # the stated size is good enough for a list
    for variant in repository.variants:
        if variant.quantization.lower() == quantization.lower():
            return variant.size_bytes
    return None
