"""Models that are split into several files: `<name>-00001-of-00003.gguf` and so on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from roci.errors import BadModelFileError

SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})$")
SHARDS_LIMIT: Final = 1000


def shard_paths(path: Path) -> list[Path]:
    """All files of the model that begins with `path`, in order; just `path` for a model in one piece."""
    match = SHARD.search(path.stem)
    if not match:
        return [path]
    start = path.stem[: match.start()]
    count = min(int(match[2]), SHARDS_LIMIT)
    return [path.with_name(f"{start}-{number:05d}-of-{match[2]}.gguf") for number in range(1, count + 1)]


def size_bytes(path: Path) -> int:
    """What the model's files take on disk; files that are not there count nothing."""
    return sum(shard.stat().st_size for shard in shard_paths(path) if shard.is_file())


def check_shards(path: Path, key: str) -> None:
    """Raises `BadModelFileError` where a part of the model is not on disk."""
    for shard in shard_paths(path):
        if not shard.is_file():
            raise BadModelFileError(
                f"The model {key} is split into several files, and {shard} is not there.",
                path=str(shard),
                reason="missing",
                key=key,
                hint="Download the files that are missing into the same folder.",
            )
