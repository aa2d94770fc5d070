"""What a model file says of itself, as far as lists of models show it: small enough to be kept in a cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from roci.engine.gguf_header import GgufHeader, read_shard
from roci.engine.template_abilities import TemplateAbilities, template_abilities
from roci.errors import BadModelFileError

ModelKind = Literal["llm", "embedding", "reranker"]
FileKind = Literal["model", "projector", "other"]

# Files that hold weights, and no language model: pictures, films and speech.
OTHER_ARCHITECTURES: Final = frozenset(
    {
        "flux",
        "sd1",
        "sdxl",
        "sd3",
        "aura",
        "hidream",
        "lumina2",
        "qwen_image",
        "wan",
        "hyvid",
        "ltxv",
        "cosmos",
        "whisper",
    }
)
_SIZE_LABEL: Final = re.compile(r"\d+(?:x\d+)?(?:\.\d+)?[KMBT](?:-A\d+(?:\.\d+)?[KMBT])?", re.IGNORECASE)


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A file's facts; for a split model, of all its files together. Where `problem` is set, nothing else is."""

    problem: str = ""
    """Why it cannot be loaded, as a sentence; empty where it can."""
    reason: str = ""
    """As `BadModelFileError.reason`."""
    hint: str = ""
    file_kind: FileKind = "model"
    kind: ModelKind = "llm"
    architecture: str = ""
    name: str = ""
    organization: str = ""
    """Who made the model, as the header says."""
    quantization: str = ""
    parameter_count: int = 0
    expert_parameter_count: int = 0
    experts: int = 0
    experts_used: int = 0
    tensor_bytes: int = 0
    size_label: str = ""
    max_context_length: int | None = None
    """Tokens that the model was trained for; None where the file does not say."""
    embedding_length: int = 0
    """Numbers in one vector of an embedding model."""
    shards: int = 1
    abilities: TemplateAbilities = TemplateAbilities()

    @property
    def bits_per_weight(self) -> float | None:
        """Two digits behind the point; None where the file's types are not known."""
        if not self.parameter_count or not self.tensor_bytes:
            return None
        return round(self.tensor_bytes * 8 / self.parameter_count, 2)

    @property
    def params_string(self) -> str | None:
        """The size in words of the trade, `7B`; for a model of experts with what works on one token, `26B-A4B`."""
        if _SIZE_LABEL.fullmatch(self.size_label):
            return self.size_label
        if not self.parameter_count:
            return None
        total = _in_words(self.parameter_count)
        if not 0 < self.experts_used < self.experts:
            return total
        idle = self.expert_parameter_count * (self.experts - self.experts_used) // self.experts
        return f"{total}-A{_in_words(self.parameter_count - idle)}" if idle else total


def read_facts(path: Path) -> ModelFacts:
    """The facts of the GGUF file at `path`; one that cannot be used has its `problem` set."""
    try:
        header = read_shard(path)
    except BadModelFileError as error:
        return ModelFacts(problem=error.message, reason=error.reason, hint=error.hint)
    return _facts(header)


def read_sound_facts(path: Path) -> ModelFacts:
    """As `read_facts`, for callers that cannot go on without.

    Raises:
        BadModelFileError: the file cannot be used.
    """
    return _facts(read_shard(path))


def of_all_parts(parts: Sequence[ModelFacts]) -> ModelFacts:
    """The facts of a split model: the first file describes it, and each counts its own tensors."""
    bad = next((part for part in parts if part.problem), None)
    if bad is not None or len(parts) == 1:
        return bad or parts[0]
    return msgspec.structs.replace(
        parts[0],
        parameter_count=sum(part.parameter_count for part in parts),
        expert_parameter_count=sum(part.expert_parameter_count for part in parts),
        tensor_bytes=sum(part.tensor_bytes for part in parts),
    )


def _facts(header: GgufHeader) -> ModelFacts:
    abilities = template_abilities(header.chat_template)
    if header.tool_template is not None:
        abilities = msgspec.structs.replace(abilities, tools=True)
    return ModelFacts(
        file_kind=_file_kind(header),
        kind=_kind(header),
        architecture=header.architecture,
        name=header.name or "",
        organization=header.organization or "",
        quantization=header.quantization or "",
        parameter_count=header.parameter_count,
        expert_parameter_count=header.expert_parameter_count,
        experts=header.experts,
        experts_used=header.experts_used,
        tensor_bytes=header.tensor_bytes,
        size_label=header.size_label or "",
        max_context_length=header.context_limit_tokens,
        embedding_length=header.embedding_length,
        shards=header.shards,
        abilities=abilities,
    )


def _file_kind(header: GgufHeader) -> FileKind:
    if header.is_projector:
        return "projector"
    is_other = header.file_kind not in (None, "model") or header.architecture in OTHER_ARCHITECTURES
    return "other" if is_other else "model"


def _kind(header: GgufHeader) -> ModelKind:
    if header.pooling_type == "rank":
        return "reranker"
    return "embedding" if header.is_embedding else "llm"


def _in_words(count: int) -> str:
    for unit, word in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            value = count / unit
            return f"{value:.0f}{word}" if value >= 10 else f"{value:.1f}".removesuffix(".0") + word
    return str(count)
