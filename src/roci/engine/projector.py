"""The file beside a model that gives it eyes: llama.cpp's `mmproj`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# The precision that costs nothing worth the name comes first.
PREFERENCE: Final = ("f16", "bf16", "q8_0", "f32")


def find_projector(model: Path) -> Path | None:
    """The projector in the folder of `model`; the one of 16 bits where there are several."""
    found = [
        path
        for path in model.parent.glob("*.[gG][gG][uU][fF]")
        if "mmproj" in path.name.lower() and not path.name.startswith(".") and path != model and path.is_file()
    ]
    return min(found, key=_rank, default=None)


def _rank(path: Path) -> tuple[int, str]:
    words = re.split(r"[-_.]", path.stem.lower().replace("q8_0", "q8·0"))
    ranks = [position for position, name in enumerate(PREFERENCE) if name.replace("_", "·") in words]
    return (ranks[0] if ranks else len(PREFERENCE), path.name)
