"""How much of a model fits into the memory that is free, before anything is loaded."""

from __future__ import annotations

from typing import Final

import msgspec

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


# What a value of the KV cache takes, as a share of 16 bits: a block of 32 values and its scale.
KV_SHARES: Final = {
    "f32": 2.0,
    "f16": 1.0,
    "bf16": 1.0,
    "q8_0": 34 / 64,
    "q5_1": 24 / 64,
    "q5_0": 22 / 64,
    "q4_1": 20 / 64,
    "q4_0": 18 / 64,
    "iq4_nl": 18 / 64,
}


class MemoryFit(msgspec.Struct, frozen=True, kw_only=True):
    """What to load a model with, and what it will take."""

    context_length: int
    """Tokens for each slot."""
    parallel: int
    needed_bytes: int


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """What a load takes besides the model's own file and a plain cache."""

    files_bytes: int = 0
    """The projector's and the draft model's files."""
    kv_cache_type: str | None = None
    draft: GgufHeader | None = None
    """The draft model, which has a cache of its own."""
    is_embedding: bool = False
    """Loaded to make vectors, although the model was not made for it."""


def fit(
    header: GgufHeader,
    file_size_bytes: int,
    free_bytes: int,
    context_length: int | None = None,
    parallel: int = 4,
    *,
    key: str = "",
    extras: Extras = Extras(),  # noqa: B008 - frozen
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
    usable = usable_bytes(free_bytes)
    contexts = [context]
    while context_length is None and contexts[-1] // 2 >= LEAST_CONTEXT_TOKENS:
        contexts.append(contexts[-1] // 2)
    # Fewer slots are given up before any context is.
    for context, slots in [(contexts[0], parallel - n) for n in range(parallel)] + [(c, 1) for c in contexts[1:]]:
        needed = needed_bytes(header, file_size_bytes, context, slots, extras)
        if needed <= usable:
            return MemoryFit(context_length=context, parallel=slots, needed_bytes=needed)
    needed = needed_bytes(header, file_size_bytes, contexts[-1], 1, extras)
    least = min(contexts[-1], LEAST_CONTEXT_TOKENS)
    would_fit = needed_bytes(header, file_size_bytes, least, 1, extras) <= usable
    raise NotEnoughMemoryError(
        f"The model {key or header.name or header.architecture} needs about {_size(needed)} of memory with a "
        f"context of {contexts[-1]:,} tokens. {_size(free_bytes)} are free, of which "
        f"{_size(free_bytes - usable)} are kept back.",
        needed_bytes=needed,
        free_bytes=free_bytes,
        key=key,
        hint=f"Ask for a shorter context, {least:,} tokens for instance, or close other programs."
        if would_fit and contexts[-1] > least
        else "Close other programs or unload other models, or take a smaller or more quantized model.",
    )


def needed_bytes(
    header: GgufHeader,
    file_size_bytes: int,
    context_length: int,
    parallel: int,
    extras: Extras = Extras(),  # noqa: B008
) -> int:
    """What a model takes with `parallel` slots of `context_length` tokens each; within 5 % where it was tried."""
    # Vectors are made of a whole context in one batch; other batches are of at most 512 tokens.
    is_embedding = header.is_embedding or extras.is_embedding
    batches = -(-context_length // COMPUTE_BUFFER_TOKENS) if is_embedding else 1
    token_bytes = header.kv_bytes_per_token * KV_SHARES[extras.kv_cache_type or "f16"]
    if extras.draft is not None:
        token_bytes += extras.draft.kv_bytes_per_token
        batches += 1
    files = file_size_bytes + extras.files_bytes
    return files + int(parallel * context_length * token_bytes) + PROCESS_BYTES + COMPUTE_BUFFER_BYTES * batches


def usable_bytes(free_bytes: int) -> int:
    """What may be taken of the memory that is free."""
    return free_bytes - max(LEAST_RESERVE_BYTES, int(free_bytes * RESERVE_SHARE))


def missing_bytes(error: NotEnoughMemoryError) -> int:
    """How much more memory would have to be free."""
    return max(0, (error.needed_bytes or 0) - usable_bytes(error.free_bytes or 0))


def free_memory_bytes() -> int:
    """Memory that a new process can have: what the machine has free, and what our control group leaves."""
    import psutil  # slow to import, and settings alone do not need it

    free = psutil.virtual_memory().available
    left = cgroup.memory_left_bytes()
    return free if left is None else min(free, left)


class Resident(msgspec.Struct, frozen=True):
    """A process's memory."""

    total_bytes: int
    mapped_bytes: int
    """Of files; the system counts it as free, because it could be read again. 0 where that is not known."""


def resident(pid: int) -> Resident | None:
    """None for a process that is gone, or not ours to look at."""
    import psutil

    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return None
    return Resident(memory.rss, getattr(memory, "shared", 0))


def claimed_bytes(needed: int, now: Resident, *, is_loaded: bool, weights_bytes: int) -> int:
    """What must not be given to another process, although the system says that it is free.

    Args:
        needed: what the process was thought to take.
        weights_bytes: its files, which it may have mapped.
    """
    if is_loaded:
        return min(now.mapped_bytes, weights_bytes)
    return max(0, needed - (now.total_bytes - now.mapped_bytes))


def _size(count: int) -> str:
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{count / 10**6:.0f} MB"
