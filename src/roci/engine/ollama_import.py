"""Taking over the models of Ollama's store by link: its files stay where they are, and take no room twice.

Source: the store as Ollama 0.9 writes it: `manifests/<host>/<namespace>/<model>/<tag>` in JSON, `blobs/sha256-<hex>`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from roci.engine.model_facts import read_facts
from roci.errors import LibraryError, ModelNotFoundError
from roci.selector import nearest_names

MODEL_TYPE: Final = "application/vnd.ollama.image.model"
PROJECTOR_TYPE: Final = "application/vnd.ollama.image.projector"
PUBLISHER: Final = "ollama"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_MANIFEST_LIMIT_BYTES: Final = 2**20
_MANIFESTS_LIMIT: Final = 10_000
_OWN_NAMESPACE: Final = "library"
_SERVICE_FOLDERS: Final = ("/usr/share/ollama/.ollama/models", "/var/lib/ollama/models")
"""Where Ollama keeps models when it runs as a service on Linux."""


class _Layer(msgspec.Struct, rename="camel"):
    media_type: str
    digest: str
    size: int


class _Manifest(msgspec.Struct):
    layers: list[_Layer]


class OllamaModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the store."""

    name: str
    """As Ollama lists it, `llama3.2:latest`."""
    blobs: tuple[Path, ...] = ()
    """The model's file; several where Ollama keeps it in pieces."""
    projectors: tuple[Path, ...] = ()
    size_bytes: int = 0
    problem: str = ""
    """Why it cannot be taken over."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one model."""

    name: str
    outcome: Literal["linked", "present", "skipped"]
    path: Path | None = None
    link: Literal["hard", "symbolic"] | None = None
    size_bytes: int = 0
    problem: str = ""
    """Why it was skipped."""


def ollama_store(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder with Ollama's models.

    Raises:
        LibraryError: there is none.
    """
    named = environment.get("OLLAMA_MODELS")
    candidates = [Path(named).expanduser()] if named else [Path.home() / ".ollama" / "models"]
    if not named and sys.platform == "linux":
        candidates += [Path(folder) for folder in _SERVICE_FOLDERS]
    for folder in candidates:
        with contextlib.suppress(OSError):
            if (folder / "manifests").is_dir():
                return folder
    raise LibraryError(
        f"There is no store of Ollama's at {' or '.join(str(folder) for folder in candidates)}.",
        path=str(candidates[0]),
        hint="Name its folder in OLLAMA_MODELS: the one that holds manifests and blobs.",
    )


def ollama_models(store: Path) -> list[OllamaModel]:
    """Every model of the store, by name; those that cannot be taken over have a `problem`."""
    return sorted((_model(store, path) for path in _manifests(store)), key=lambda model: model.name)


def chosen(models: Sequence[OllamaModel], names: Sequence[str]) -> list[OllamaModel]:
    """Those of `models` that are named; without a tag `latest` is meant, and without names all are.

    Raises:
        ModelNotFoundError: with the nearest names.
    """
    by_name = {model.name.lower(): model for model in models}
    found: list[OllamaModel] = []
    for name in names:
        model = by_name.get(name.lower()) or by_name.get(f"{name.lower()}:latest")
        if model is None:
            available = tuple(model.name for model in models)
            similar = nearest_names(name, available)
            raise ModelNotFoundError(
                f"Ollama's store has no model {name!r}.",
                key=name,
                similar=similar,
                available=available,
                hint=f"Did you mean {' or '.join(similar)}?" if similar else f"It has: {', '.join(available[:10])}.",
            )
        found.append(model)
    return found if names else list(models)


def link_model(home: Path, model: OllamaModel, *, dry_run: bool = False) -> Imported:
    """Link one model of the store into `<home>/models/ollama`: hard, or symbolic where that cannot be.

    Raises:
        LibraryError: the folder cannot be written to.
    """
    problem = model.problem or read_facts(model.blobs[0]).problem
    if problem:
        return Imported(name=model.name, outcome="skipped", problem=problem)
    folder_name = re.sub(r"[^\w.+-]+", "-", model.name, flags=re.ASCII).strip("-.")
    folder = home / "models" / PUBLISHER / folder_name
    links = [(model.blobs[0], folder / f"{folder_name}.gguf")]
    links += [(blob, folder / f"mmproj-{folder_name}.gguf") for blob in model.projectors[:1]]
    path = links[0][1]
    taken = [target for blob, target in links if os.path.lexists(target) and not _is_same(blob, target)]
    if any(target.exists() for target in taken):
        problem = (
            f"{taken[0]} is there already and is another file; to replace it, first: roci rm {folder_name.lower()}"
        )
        return Imported(name=model.name, outcome="skipped", path=path, problem=problem)
    if all(target.exists() for _, target in links):
        return Imported(name=model.name, outcome="present", path=path, size_bytes=model.size_bytes)
    if dry_run:
        return Imported(name=model.name, outcome="linked", path=path, size_bytes=model.size_bytes)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        kinds = [_link(blob, target) for blob, target in links if not target.exists()]
    except OSError as error:
        message = f"{model.name} could not be linked into {folder}: {error.strerror}."
        raise LibraryError(message, path=str(folder), hint="Check who may write to that folder.") from error
    return Imported(
        name=model.name,
        outcome="linked",
        path=path,
        size_bytes=model.size_bytes,
        link="symbolic" if "symbolic" in kinds else "hard",
    )


def _link(blob: Path, target: Path) -> str:
    target.unlink(missing_ok=True)  # a link whose file is gone
    try:
        os.link(os.path.realpath(blob), target)
    except OSError:  # another disk, or a file of another user
        target.symlink_to(os.path.realpath(blob))
        return "symbolic"
    return "hard"


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _manifests(store: Path) -> Iterator[Path]:
    for count, path in enumerate((store / "manifests").glob("*/*/*/*")):
        if count >= _MANIFESTS_LIMIT:
            return
        if path.is_file() and not path.name.startswith("."):
            yield path


def _model(store: Path, manifest: Path) -> OllamaModel:
    namespace, model, tag = manifest.parts[-3:]
    name = f"{model}:{tag}" if namespace == _OWN_NAMESPACE else f"{namespace}/{model}:{tag}"
    try:
        with manifest.open("rb") as file:
            layers = msgspec.json.decode(file.read(_MANIFEST_LIMIT_BYTES), type=_Manifest).layers
    except (OSError, msgspec.DecodeError) as error:
        return OllamaModel(name=name, problem=f"Its manifest {manifest} cannot be read: {error}.")
    blobs: dict[str, list[Path]] = {MODEL_TYPE: [], PROJECTOR_TYPE: []}
    size_bytes = 0
    for layer in layers:
        if layer.media_type not in blobs:
            continue
        digest = _DIGEST.fullmatch(layer.digest)
        blob = store / "blobs" / f"sha256-{digest[1]}" if digest else None
        if blob is None or not blob.is_file() or blob.stat().st_size != layer.size:
            return OllamaModel(name=name, problem="Its file is not there, or not whole: ollama pull it again.")
        blobs[layer.media_type].append(blob)
        size_bytes += layer.size
    problem = ""
    if not blobs[MODEL_TYPE]:
        problem = "It has no file in GGUF format."
    elif len(blobs[MODEL_TYPE]) > 1:
        problem = "It is kept in several pieces, which the engine cannot join."
    return OllamaModel(
        name=name,
        blobs=tuple(blobs[MODEL_TYPE]),
        projectors=tuple(blobs[PROJECTOR_TYPE]),
        size_bytes=size_bytes,
        problem=problem,
    )
