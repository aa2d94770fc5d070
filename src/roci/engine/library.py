"""The models on this machine, by the names that users ask for.

A model is a folder's worth of files; each of its variants, usually quantizations, is one file or one set of parts.
Where files lie is in `library_walk.py`, what they say of themselves in `model_facts.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from roci.engine.header_cache import HeaderCache
from roci.engine.library_groups import Group, Variant, groups
from roci.engine.library_walk import Walk, walk
from roci.engine.local_model import LocalModel
from roci.engine.model_facts import read_facts
from roci.engine.model_folders import ModelRoots, listed_folders, model_roots
from roci.engine.quantization_names import QUANTIZATION
from roci.engine.shards import size_bytes
from roci.engine.starter_model import STARTER_KEY
from roci.errors import BadModelFileError, ModelNotFoundError
from roci.selector import nearest_names

__all__ = ["QUANTIZATION", "Library", "LocalModel", "find_model", "models_on_disk", "scan"]


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """All models as one scan found them, those that cannot be loaded among them; sorted by key."""

    models: tuple[LocalModel, ...]
    by_name: dict[str, LocalModel]
    """Every name, in lower case."""
    walk: Walk
    headers_read: int
    """Files that were opened for this scan; the others were known."""

    @property
    def offered(self) -> list[LocalModel]:
        """Those that can be loaded."""
        return [model for model in self.models if model.state == "ok"]

    def variants(self, model_key: str) -> list[LocalModel]:
        """The variants of one model; the one that its plain key means first."""
        found = [model for model in self.models if model.model_key == model_key.lower()]
        return sorted(found, key=lambda model: model.key != model.model_key)

    def get(self, name: str) -> LocalModel:
        """The model called `name`, in whatever state it is; letter case does not count.

        Raises:
            ModelNotFoundError: with the nearest names there are.
        """
        model = self.by_name.get(name.lower())
        if model is None:
            raise _not_found(name, tuple(model.key for model in self.offered))
        return model

    def find(self, name: str) -> LocalModel:
        """The model called `name`, which can be loaded; letter case does not count.

        Raises:
            ModelNotFoundError: with the nearest names there are.
            BadModelFileError: its file is broken, or not all there.
        """
        return _loadable(self.get(name))


def scan(
    home: Path,
    folders: Iterable[Path] | None = None,
    *,
    cache: HeaderCache | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Library:
    """Looks through roci's own folder, LM Studio's, `folders` and the Hugging Face cache.

    A file that is in several of them counts where it was seen first. Headers are read once and kept in `home`.

    Args:
        folders: those of the setting `model_folders` where it is None.
        cache: where headers are kept for callers that scan often; read from `home` where there is none.
    """
    if folders is None:
        folders = listed_folders(home, environment)
    return scan_roots(model_roots(home, folders, environment), cache or HeaderCache(home))


def scan_roots(roots: ModelRoots, cache: HeaderCache) -> Library:
    """As `scan`, with what is to be looked through, and where headers are kept."""
    read_before = cache.headers_read
    walked = walk(roots)
    models = sorted(_named(groups(walked.files, cache)), key=lambda model: model.key)
    cache.save()
    by_name: dict[str, LocalModel] = {}
    # A key goes before another model's further names.
    for model in models:
        by_name.setdefault(model.key, model)
    for model in models:
        for name in model.other_keys:
            by_name.setdefault(name, model)
    return Library(models=tuple(models), by_name=by_name, walk=walked, headers_read=cache.headers_read - read_before)


def models_on_disk(home: Path, extra: Iterable[Path] | None = None) -> list[LocalModel]:
    """All models that can be loaded, by key, as `scan` finds them."""
    return scan(home, extra).offered


def find_model(home: Path, name: str, extra: Iterable[Path] | None = None, *, paths: bool = False) -> LocalModel:
    """The model called `name`; letter case does not count.

    Args:
        paths: whether `name` may also be the path of a GGUF file. Never for names that come over a network.

    Raises:
        ModelNotFoundError: with the nearest names there are.
        BadModelFileError: the file of that name is broken, or not all there.
    """
    if paths and name.lower().endswith(".gguf"):
        path = Path(name).expanduser()
        if path.is_file():
            return _of_path(path.resolve())
    return scan(home, extra).find(name)


def _of_path(path: Path) -> LocalModel:
    from roci.engine.library_groups import projector_beside

    facts = read_facts(path)
    return LocalModel(
        key=path.stem.lower(),
        publisher="",
        path=path,
        size_bytes=size_bytes(path),
        projector=projector_beside(path),
        state="broken" if facts.problem else "ok",
        problem=facts.problem,
        reason=facts.reason,
        hint=facts.hint,
        facts=facts,
    )


def _loadable(model: LocalModel) -> LocalModel:
    if model.state == "ok":
        return model
    raise BadModelFileError(
        model.problem,
        path=str(model.path),
        reason=model.reason,
        key=model.key,
        hint=model.hint,
    )


def _named(found: list[Group]) -> list[LocalModel]:
    short_names = Counter(group.model.lower() for group in found)
    models: list[LocalModel] = []
    for group in found:
        short = group.model.lower()
        full = f"{group.publisher}/{group.model}".lower() if group.publisher else short
        key = full if short_names[short] > 1 else short
        others = tuple({full: None} if key == short and full != key else {})
        models += [_local_model(group, variant, key, others, not place) for place, variant in enumerate(group.variants)]
    return models


def _local_model(group: Group, variant: Variant, key: str, others: tuple[str, ...], is_first: bool) -> LocalModel:
    names = tuple(f"{name}@{variant.name}" for name in (key, *others))
    names = (key, *others, *names) if is_first else names
    first = variant.parts[0]
    projector = group.projector_for(first)
    path = Path(first.path)
    return LocalModel(
        key=names[0],
        publisher=group.publisher,
        path=path,
        size_bytes=sum(part.size_bytes for part in variant.parts),
        other_keys=names[1:],
        model_key=key,
        name=group.model,
        variant=variant.name,
        parts=(path, *(Path(part.path) for part in variant.parts[1:])),
        projector=Path(projector.path) if projector else None,
        projector_size_bytes=projector.size_bytes if projector else 0,
        state=variant.state,
        problem=variant.problem,
        reason=variant.reason,
        hint=variant.hint,
        root=first.root,
        changed_s=max(part.mtime_ns for part in variant.parts) // 10**9,
        facts=variant.facts,
    )


def _not_found(name: str, available: tuple[str, ...]) -> ModelNotFoundError:
    similar = nearest_names(name, available)
    if name.lower() == STARTER_KEY:
        hint = f"Fetch it with: roci get {STARTER_KEY}"
    elif similar:
        hint = f"Did you mean {' or '.join(similar)}?"
    elif available:
        hint = f"There are: {', '.join(available[:10])}."
    else:
        hint = f"There is none yet. Fetch a small one with: roci get {STARTER_KEY}"
    return ModelNotFoundError(
        f"There is no model {name!r} on this machine.",
        key=name,
        similar=similar,
        available=available,
        status=404,
        code="model_not_found",
        param="model",
        hint=hint,
    )
