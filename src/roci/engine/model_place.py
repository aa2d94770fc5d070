"""Where a model that is brought here belongs: the names of its two folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from roci.engine.library_walk import REPOSITORY
from roci.engine.model_facts import ModelFacts
from roci.engine.quantization_names import without_quantization
from roci.engine.shards import SHARD
from roci.errors import UsageError

NO_PUBLISHER: Final = "imported"
"""The publisher of a file that names none."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][\w.+ -]{0,127}", re.ASCII)
_SAYS_NOTHING: Final = re.compile(r"(?:ggml-)?model|ggml|gguf|sha256-[0-9a-f]+|[0-9a-f]{16,}|\d+", re.IGNORECASE)


def split_name(name: str) -> tuple[str, str]:
    """(publisher, model) of `publisher/model`.

    Raises:
        UsageError: one of the two cannot be a folder's name.
    """
    publisher, slash, model = name.partition("/")
    if not slash or not _NAME.fullmatch(publisher) or not _NAME.fullmatch(model):
        raise UsageError(
            f"{name!r} is not PUBLISHER/MODEL.",
            field="name",
            hint="Write letters, digits, '.', '_', '-' and '+', for instance Qwen/Qwen3-4B.",
        )
    return publisher, model


def guess_name(source: Path, facts: ModelFacts) -> tuple[str, str]:
    """(publisher, model) for the file at `source`: by its repository in the cache of Hugging Face's tools, by
    its own name where that says something, else by its header."""
    repository = next((parent.name for parent in source.parents if parent.name.startswith(REPOSITORY)), "")
    owner, _, name = (_as_folder(word) for word in repository.removeprefix(REPOSITORY).rpartition("--"))
    if owner and name:
        return owner, name
    stem = SHARD.sub("", source.name.removesuffix(".gguf"))
    model = without_quantization(stem)
    if _SAYS_NOTHING.fullmatch(model) and facts.name:
        model = facts.name
    return _as_folder(facts.organization) or NO_PUBLISHER, _as_folder(model) or "model"


def _as_folder(text: str) -> str:
    words = re.sub(r"[^\w.+-]+", "-", text, flags=re.ASCII).strip("-.")[:128]
    return words if _NAME.fullmatch(words) else ""
