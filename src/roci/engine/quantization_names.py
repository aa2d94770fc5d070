"""How files of models are called: the quantization at the end of a name."""

from __future__ import annotations

import re
from typing import Final

QUANTIZATION: Final = re.compile(
    r"(?:^|[-_.])((?:i?q\d\w*|tq\d_\d|mxfp4\w*|nvfp4|bf16|f16|f32|fp16|fp32))$", re.IGNORECASE
)
# Marks of how a quantization was made, which stand before it.
_MADE_BY: Final = re.compile(r"(?:[-_.](?:ud|imat|i1))$", re.IGNORECASE)


def quantization_of(stem: str) -> str | None:
    """The quantization that a file's name ends with, as it is written there: `Q4_K_M`."""
    match = QUANTIZATION.search(stem)
    return match[1] if match else None


def without_quantization(stem: str) -> str:
    """A file's name without the quantization at its end; the whole name where nothing else would be left."""
    match = QUANTIZATION.search(stem)
    if match is None:
        return stem
    return _MADE_BY.sub("", stem[: match.start()]) or stem
