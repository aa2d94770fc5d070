"""Which of a repository's files this machine should take, and why, in words. Decides; asks nobody."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import psutil

from roci.engine import cgroup
from roci.engine.hub.repository import RemoteFile, Repository, Variant
from roci.engine.memory import COMPUTE_BUFFER_BYTES, PROCESS_BYTES
from roci.engine.projector import PREFERENCE
from roci.errors import ModelNotFoundError, NotEnoughMemoryError
from roci.selector import nearest_names

FREE_SHARE: Final = 0.2
"""What stays free of a machine's memory beside a model: for its context, and for everything else."""
FULL_PRECISION: Final = re.compile(r"(?:bf|f|fp)(?:16|32)", re.IGNORECASE)
SHOWN: Final = 30


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A variant, and what goes with it."""

    variant: Variant
    projector: RemoteFile | None
    reason: str
    """Half a sentence, such as `Q4_K_M: the best of 7 that leaves 20 % of 24 GB free`."""


def machine_memory_bytes() -> int:
    """The memory of this machine, or of the container we are in."""
    limit = cgroup.memory_limit_bytes()
    total = psutil.virtual_memory().total
    return total if limit is None else min(total, limit)


def fits(size_bytes: int, memory_bytes: int) -> bool:
    """Whether a model with files of this size leaves 20 % of the memory free."""
    return size_bytes + PROCESS_BYTES + COMPUTE_BUFFER_BYTES <= memory_bytes * (1 - FREE_SHARE)


def variant_fits(variant: Variant, repository: Repository, memory_bytes: int) -> bool | None:
    """The same for a variant with the projector that goes with it; None where a size is not known."""
    size = _whole_size(variant, projector_of(repository))
    return None if size is None else fits(size, memory_bytes)


def choose(
    repository: Repository,
    memory_bytes: int,
    *,
    quantization: str = "",
    preferred: str = "",
    force: bool = False,
) -> Choice:
    """What to take of `repository`.

    Args:
        quantization: taken whatever its size.
        preferred: taken if it fits, before a better one.
        force: take the smallest where nothing fits.

    Raises:
        ModelNotFoundError: there is no such quantization, or no model at all; `available` says what there is.
        NotEnoughMemoryError: nothing fits.
    """
    projector = projector_of(repository)
    if not repository.variants:
        raise ModelNotFoundError(
            f"{repository.repo} holds no whole GGUF model.",
            key=repository.repo,
            status=404,
            code="model_not_found",
            hint=f"Others have often converted it: roci search {repository.repo.rpartition('/')[2]}",
        )
    if quantization:
        variant = _asked(repository, quantization)
        room = _room(variant_fits(variant, repository, memory_bytes), memory_bytes)
        return Choice(variant=variant, projector=projector, reason=f"{variant.quantization}: as asked{room}")
    good = [one for one in repository.variants if variant_fits(one, repository, memory_bytes)]
    for one in good:
        if preferred and one.quantization.lower() == preferred.lower():
            reason = f"{one.quantization}: the recommended one, which {_leaves(memory_bytes)}"
            return Choice(variant=one, projector=projector, reason=reason)
    if good:
        # 16 bits take twice the memory of 8, and nobody can tell the answers apart.
        compact = [one for one in good if not FULL_PRECISION.fullmatch(one.quantization)] or good
        best = max(compact, key=lambda one: one.size_bytes or 0)
        count = len(repository.variants)
        words = "the only one there is, and it" if count == 1 else f"the best of {count} that"
        reason = f"{best.quantization}: {words} {_leaves(memory_bytes)}"
        return Choice(variant=best, projector=projector, reason=reason)
    return _nothing_fits(repository, projector, memory_bytes, force)


def projector_of(repository: Repository) -> RemoteFile | None:
    """The projector to take along, which is also the one that is found beside the model later."""
    for precision in PREFERENCE:
        for file in repository.projectors:
            if re.search(rf"(?:^|[-_.]){precision}\.gguf$", file.name, re.IGNORECASE):
                return file
    return repository.projectors[0] if repository.projectors else None


def _asked(repository: Repository, quantization: str) -> Variant:
    names = tuple(one.quantization for one in repository.variants)
    for one in repository.variants:
        if one.quantization.lower() == quantization.lower():
            return one
    raise ModelNotFoundError(
        f"{repository.repo} has no {quantization}.",
        key=f"{repository.repo}@{quantization}",
        similar=tuple(f"{repository.repo}@{name}" for name in nearest_names(quantization, names)),
        available=tuple(f"{repository.repo}@{name}" for name in names),
        status=404,
        code="model_not_found",
        param="quantization",
        hint=f"There are: {', '.join(names[:SHOWN])}.",
    )


def _nothing_fits(repository: Repository, projector: RemoteFile | None, memory_bytes: int, force: bool) -> Choice:
    known = [(size, one) for one in repository.variants if (size := _whole_size(one, projector)) is not None]
    if not known:
        first = repository.variants[0]
        reason = f"{first.quantization}: the first of {len(repository.variants)}, whose sizes are not known"
        return Choice(variant=first, projector=projector, reason=reason)
    size, smallest = min(known, key=lambda pair: pair[0])
    if force:
        reason = f"{smallest.quantization}: the smallest, although it does not leave 20 % of memory free"
        return Choice(variant=smallest, projector=projector, reason=reason)
    raise NotEnoughMemoryError(
        f"No file of {repository.repo} {_leaves(memory_bytes)}: the smallest, {smallest.quantization}, "
        f"takes {gigabytes(size)}.",
        key=repository.repo,
        needed_bytes=size,
        free_bytes=int(memory_bytes * (1 - FREE_SHARE)),
        hint=f"Take it all the same with --force or as {repository.repo}@{smallest.quantization}, or look for a "
        f"smaller model: roci search WORDS --size '<{max(1, round(memory_bytes * (1 - FREE_SHARE) / 10**9))}GB'",
    )


def _whole_size(variant: Variant, projector: RemoteFile | None) -> int | None:
    extra = 0 if projector is None else projector.size_bytes
    return None if variant.size_bytes is None or extra is None else variant.size_bytes + extra


def _leaves(memory_bytes: int) -> str:
    return f"leaves {FREE_SHARE:.0%} of {gigabytes(memory_bytes)} free".replace("%", " %")


def _room(fits_here: bool | None, memory_bytes: int) -> str:
    return f"; it does not leave 20 % of {gigabytes(memory_bytes)} free" if fits_here is False else ""


def gigabytes(count: int) -> str:
    """Bytes for people: `98 MB`, `4.1 GB`, `24 GB`."""
    if count < 10**9:
        return f"{count / 10**6:.0f} MB"
    return f"{count / 10**9:.1f}".removesuffix(".0") + " GB"
