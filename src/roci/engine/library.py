"""The models on this disk, by the names that users ask for.

Layout, as LM Studio's: `<folder>/<publisher>/<model>/<file>.gguf`. Nothing is opened here; see `gguf_header.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from roci.engine.shards import SHARD, size_bytes
from roci.engine.starter_model import STARTER_KEY
from roci.errors import ModelNotFoundError
from roci.selector import nearest_names

QUANTIZATION: Final = re.compile(
    r"(?:^|[-_.])((?:i?q\d\w*|tq\d_\d|mxfp4\w*|nvfp4|bf16|f16|f32|fp16|fp32))$", re.IGNORECASE
)


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model file on this disk; the first of several where the model is split."""

    key: str
    """The lower-case name to ask for: the model's folder, with `publisher/` or `@quantization` only if needed."""
    publisher: str
    path: Path
    size_bytes: int
    other_keys: tuple[str, ...] = ()
    """Names that mean this model as well."""


def models_on_disk(home: Path, extra: Iterable[Path] = ()) -> list[LocalModel]:
    """All models in `<home>/models`, LM Studio's own folder and the folders `extra`, sorted by key.

    A file that is in several folders counts where it was seen first.
    """
    files: dict[tuple[str, str], dict[str, Path]] = {}
    for folder in (home / "models", Path.home() / ".lmstudio" / "models", *extra):
        for path in _model_files(folder):
            group = files.setdefault((path.parent.parent.name, path.parent.name), {})
            group.setdefault(path.name, path)
    publishers = Counter(model.lower() for _, model in files)
    models: list[LocalModel] = []
    for (publisher, model), paths in files.items():
        short, full = model.lower(), f"{publisher}/{model}".lower()
        key, other = (full, ()) if publishers[short] > 1 else (short, (full,))
        models += _models_of_folder(publisher, key, other, sorted(paths.values()))
    return sorted(models, key=lambda model: model.key)


def find_model(home: Path, name: str, extra: Iterable[Path] = (), *, paths: bool = False) -> LocalModel:
    """The model called `name`; letter case does not count.

    Args:
        paths: whether `name` may also be the path of a GGUF file. Never for names that come over a network.

    Raises:
        ModelNotFoundError: with the nearest names there are.
    """
    if paths and name.lower().endswith(".gguf"):
        path = Path(name).expanduser()
        if path.is_file():
            return LocalModel(key=path.stem.lower(), publisher="", path=path.resolve(), size_bytes=size_bytes(path))
    models = models_on_disk(home, extra)
    wanted = name.lower()
    for model in models:
        if wanted == model.key or wanted in model.other_keys:
            return model
    raise _not_found(name, tuple(model.key for model in models))


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


def _model_files(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*/*/*"):
        name = path.name.lower()
        shard = SHARD.search(path.stem)
        # A projector only adds eyes to the model beside it; a split model is opened by its first file.
        if not name.endswith(".gguf") or "mmproj" in name or name.startswith(".") or (shard and int(shard[1]) > 1):
            continue
        if path.is_file():
            yield path


def _models_of_folder(publisher: str, key: str, other: tuple[str, ...], paths: list[Path]) -> Iterator[LocalModel]:
    variants = _variants(paths)
    for position, path in enumerate(paths):
        names = tuple(f"{name}@{variants[path]}" for name in (key, *other))
        names = (key, *other, *names) if position == 0 else names
        yield LocalModel(
            key=names[0], publisher=publisher, path=path, size_bytes=size_bytes(path), other_keys=names[1:]
        )


def _variants(paths: list[Path]) -> dict[Path, str]:
    """What tells the files of one folder apart: the quantization, or the whole name where that is not enough."""
    found: dict[Path, str] = {}
    for path in paths:
        stem = SHARD.sub("", path.stem).lower()
        match = QUANTIZATION.search(stem)
        found[path] = match[1] if match else stem
    counts = Counter(found.values())
    return {path: name if counts[name] == 1 else path.stem.lower() for path, name in found.items()}
