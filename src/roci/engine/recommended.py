"""The built-in catalog: models that have a short name here, what they are good for, and where they come from."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from roci.engine.hub.choice import fits
from roci.engine.starter_model import STARTER_KEY, STARTER_SIZE_BYTES

GB: Final = 10**9

Role = Literal["chat and reasoning", "light", "code", "versatile", "reasoning", "ultra-light", "starter", "embedding"]


class Source(msgspec.Struct, frozen=True):
    """A repository that offers a model."""

    repo: str
    size_bytes: int
    """About what the stated quantization takes there."""


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with a short name."""

    name: str
    title: str
    role: Role
    quantization: str
    size_bytes: int | None
    """As stated; None where it depends on the machine. A file's real size counts more where it is known."""
    sources: tuple[Source, ...] = ()
    """Largest first; several where the machine decides. Empty for the model that comes through pip."""
    is_recommended: bool = False


def _of(repo: str, gigabytes: float) -> Source:
    return Source(repo, int(gigabytes * GB))


CATALOG: Final = (
    CatalogModel(
        name="llama-3.3-70b",
        title="Llama-3.3-70B",
        role="chat and reasoning",
        quantization="Q4_K_M",
        size_bytes=35 * GB,
        sources=(_of("bartowski/Llama-3.3-70B-Instruct-GGUF", 42.5),),
        is_recommended=True,
    ),
    CatalogModel(
        name="mistral-7b",
        title="Mistral-7B",
        role="light",
        quantization="Q8_0",
        size_bytes=4 * GB,
        sources=(_of("bartowski/Mistral-7B-Instruct-v0.3-GGUF", 7.7),),
        is_recommended=True,
    ),
    CatalogModel(
        name="codellama-34b",
        title="CodeLlama-34B",
        role="code",
        quantization="Q5_K_M",
        size_bytes=20 * GB,
        sources=(_of("TheBloke/CodeLlama-34B-Instruct-GGUF", 23.8),),
        is_recommended=True,
    ),
    CatalogModel(
        name="mixtral-8x7b",
        title="Mixtral-8x7B",
        role="versatile",
        quantization="Q4_K_S",
        size_bytes=24 * GB,
        sources=(_of("TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF", 26.4),),
        is_recommended=True,
    ),
    CatalogModel(
        name="deepseek-r1",
        title="DeepSeek-R1",
        role="reasoning",
        quantization="Q4_K_M",
        size_bytes=None,
        sources=(
            _of("bartowski/DeepSeek-R1-Distill-Llama-70B-GGUF", 42.5),
            _of("bartowski/DeepSeek-R1-Distill-Qwen-32B-GGUF", 19.9),
            _of("bartowski/DeepSeek-R1-Distill-Qwen-14B-GGUF", 9.0),
            _of("bartowski/DeepSeek-R1-Distill-Llama-8B-GGUF", 4.9),
            _of("bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF", 1.1),
        ),
        is_recommended=True,
    ),
    CatalogModel(
        name="phi-3-mini",
        title="Phi-3-mini",
        role="ultra-light",
        quantization="Q4_K_M",
        size_bytes=2 * GB,
        sources=(_of("bartowski/Phi-3-mini-4k-instruct-GGUF", 2.4),),
        is_recommended=True,
    ),
    CatalogModel(
        name=STARTER_KEY,
        title="SmolLM2-135M-Instruct",
        role="starter",
        quantization="Q4_1",
        size_bytes=STARTER_SIZE_BYTES,
    ),
    CatalogModel(
        name="nomic-embed-text-v1.5",
        title="nomic-embed-text-v1.5",
        role="embedding",
        quantization="Q8_0",
        size_bytes=int(0.15 * GB),
        sources=(_of("nomic-ai/nomic-embed-text-v1.5-GGUF", 0.15),),
    ),
)
_BY_NAME: Final = {model.name: model for model in CATALOG} | {
    "huggingfacetb/smollm2-135m-instruct": next(model for model in CATALOG if model.name == STARTER_KEY)
}
RECOMMENDED: Final = tuple(model for model in CATALOG if model.is_recommended)
NAMES: Final = tuple(model.name for model in CATALOG)


def catalog_model(name: str) -> CatalogModel | None:
    """The model with this short name, in any letter case; None where there is none."""
    return _BY_NAME.get(name.strip().lower())


def source_for(model: CatalogModel, memory_bytes: int) -> Source:
    """Where to take `model` from on a machine with this memory: the largest that fits, else the smallest."""
    for source in model.sources:
        if fits(source.size_bytes, memory_bytes):
            return source
    return model.sources[-1]
