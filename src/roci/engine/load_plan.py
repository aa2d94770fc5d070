"""All that is settled before a worker is started: its files, whether its options can hold, and what memory it gets."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from roci.engine.gguf_header import GgufHeader, read_header
from roci.engine.memory import Extras, MemoryFit, fit
from roci.engine.projector import find_projector
from roci.engine.shards import check_shards, size_bytes
from roci.engine.worker_options import WorkerOptions, check_options
from roci.errors import BadModelFileError


class LoadPlan(Struct, frozen=True, kw_only=True):
    """A model that can be loaded, as far as its files tell."""

    path: Path
    header: GgufHeader
    memory: MemoryFit
    projector: Path | None
    draft: Path | None
    pooling: str | None
    """How one vector is made of a text; None for a model that writes."""
    files_bytes: int
    """All files together."""


def plan_load(key: str, path: Path, options: WorkerOptions, free_bytes: int) -> LoadPlan:
    """Reads the headers and judges the memory.

    Raises:
        BadModelFileError: a file cannot be loaded; `path` names it.
        NotEnoughMemoryError: not even one slot fits into `free_bytes`.
        UsageError: options that exclude each other, or the engine does not have.
    """
    check_options(options)
    path = path.resolve()
    header = read_header(path, key=key)
    check_shards(path, key)
    projector = Path(options.mmproj).expanduser() if options.mmproj else find_projector(path)
    if projector is not None and not read_header(projector, key=key).is_projector:
        raise BadModelFileError(
            f"{projector} is not a projector.",
            path=str(projector),
            reason="not_a_projector",
            key=key,
            hint="A projector's file has mmproj in its name and comes with its model.",
        )
    draft = Path(options.draft_model).expanduser() if options.draft_model else None
    draft_header = read_header(draft, key=key) if draft is not None else None
    size = size_bytes(path)
    extras = Extras(
        files_bytes=sum(size_bytes(file) for file in (projector, draft) if file is not None),
        kv_cache_type=options.kv_cache_type,
        draft=draft_header,
        is_embedding=options.force_embedding,
    )
    return LoadPlan(
        path=path,
        header=header,
        memory=fit(header, size, free_bytes, options.context_length, options.parallel, key=key, extras=extras),
        projector=projector,
        draft=draft,
        pooling=_pooling(header, options),
        files_bytes=size + extras.files_bytes,
    )


def _pooling(header: GgufHeader, options: WorkerOptions) -> str | None:
    """The model's own way, else the mean: a text must become one vector, not one for each token."""
    if not header.is_embedding and not options.force_embedding:
        return None
    return header.pooling_type if header.pooling_type not in (None, "none") else "mean"
