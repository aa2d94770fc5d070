"""How much of a model fits into the memory that is free, before anything is loaded."""

from __future__ import annotations

from typing import Final

import msgspec
import psutil

from roci.engine import cgroup
from roci.engine.gguf_header import GgufHeader
from roci.errors import NotEnoughMemoryError

DEFAULT_CONTEXT_TOKENS: Final = 8192
LEAST_CONTEXT_TOKENS: Final = 2048
PROCESS_BYTES: Final = 70 * 10**6
COMPUTE_BUFFER_BYTES: Final = 20 * 10**6
COMPUTE_BUFFER_TOKENS: Final = 512
LEAST_RESERVE_BYTES: Final = 256 * 10**6
RESERVE_SHARE: Final = 0.1


class MemoryFit(msgspec.Struct, frozen=True, kw_only=True):
    """What to load a model with, and what it will take."""

    context_length: int
    """Tokens for each slot."""
    parallel: int
    needed_bytes: int


def fit(
    header: GgufHeader,
    file_size_bytes: int,
    free_bytes: int,
    context_length: int | None = None,
    parallel: int = 4,
    *,
    key: str = "",
) -> MemoryFit:
    """The most slots, at most `parallel`, that fit into `free_bytes` with a reserve left over.

    Args:
        context_length: tokens for each slot, clamped to the model's own limit. None: the model's limit, at most
            8,192, and halved down to 2,048 where not even one slot fits.

    Raises:
        NotEnoughMemoryError: not even one slot fits.
    """
    limit = header.context_limit_tokens or context_length or DEFAULT_CONTEXT_TOKENS
    context = min(context_length or DEFAULT_CONTEXT_TOKENS, limit)
    reserve = max(LEAST_RESERVE_BYTES, int(free_bytes * RESERVE_SHARE))
    usable = free_bytes - reserve
    contexts = [context]
    while context_length is None and contexts[-1] // 2 >= LEAST_CONTEXT_TOKENS:
        contexts.append(contexts[-1] // 2)
    # Fewer slots are given up before any context is.
    for context, slots in [(contexts[0], parallel - n) for n in range(parallel)] + [(c, 1) for c in contexts[1:]]:
        needed = _needed_bytes(header, file_size_bytes, context, slots)
        if needed <= usable:
            return MemoryFit(context_length=context, parallel=slots, needed_bytes=needed)
    needed = _needed_bytes(header, file_size_bytes, contexts[-1], 1)
    raise NotEnoughMemoryError(
        f"The model {key or header.name or header.architecture} needs about {_size(needed)} of memory with a "
        f"context of {contexts[-1]:,} tokens. {_size(free_bytes)} are free, of which {_size(reserve)} are kept back.",
        needed_bytes=needed,
        free_bytes=free_bytes,
        key=key,
        hint=_hint(header, file_size_bytes, contexts[-1], usable),
    )


def free_memory_bytes() -> int:
    """Memory that a new process can have: what the machine has free, and what our control group leaves."""
    free = psutil.virtual_memory().available
    left = cgroup.memory_left_bytes()
    return free if left is None else min(free, left)


def _needed_bytes(header: GgufHeader, file_size_bytes: int, context: int, parallel: int) -> int:
    # An embedding model computes a whole context in one batch; others at most 512 tokens.
    batches = -(-context // COMPUTE_BUFFER_TOKENS) if header.is_embedding else 1
    keys_and_values = parallel * context * header.kv_bytes_per_token
    return file_size_bytes + keys_and_values + PROCESS_BYTES + COMPUTE_BUFFER_BYTES * batches


def _hint(header: GgufHeader, file_size_bytes: int, context: int, usable: int) -> str:
    least = min(context, LEAST_CONTEXT_TOKENS)
    if context > least and _needed_bytes(header, file_size_bytes, least, 1) <= usable:
        return f"Ask for a shorter context, {least:,} tokens for instance, or close other programs."
    return "Close other programs or unload other models, or take a smaller or more quantized model."


def _size(count: int) -> str:
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{count / 10**6:.0f} MB"
