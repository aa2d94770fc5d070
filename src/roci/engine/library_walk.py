"""Finding model files: a walk over the folders, and whether anything there has changed since.

Nothing is opened but the small files that name revisions in the Hugging Face cache.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Final

import msgspec

from roci.engine.model_folders import ModelRoot, ModelRoots
from roci.engine.quantization_names import without_quantization
from roci.engine.shards import SHARD

ARRIVING_ENDINGS: Final = (".part", ".incomplete")
"""What is behind the name of a file that is still being downloaded, by us, by LM Studio, by Hugging Face's tools."""
FILES_LIMIT: Final = 50_000
FOLDERS_LIMIT: Final = 100_000
DEPTH_LIMIT: Final = 3
YOUNG_NS: Final = 50_000_000
"""A folder that changed this shortly before it was read may change again without another time of change."""
_COMMIT_BYTES: Final = 100
REPOSITORY: Final = "models--"
"""How the folder of a model's repository begins in the cache of Hugging Face's tools; `--` stands for slashes."""

Stamp = tuple[int, int] | None
"""Time of change and size; None for what is not there."""


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is, or will be, one of a model's."""

    path: str
    name: str
    """Its name once it is whole."""
    publisher: str
    model: str
    root: ModelRoot
    size_bytes: int
    mtime_ns: int
    is_arriving: bool

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)  # noqa: PTH120 - called for each file of each scan


class Walk(msgspec.Struct, frozen=True):
    """What one walk found, and how everything looked that it depends on."""

    files: tuple[FoundFile, ...]
    stamps: dict[str, Stamp]

    def is_current(self) -> bool:
        """Whether a walk now would find the same: one look at each folder and file, and none inside."""
        return all(_stamp(path) == stamp for path, stamp in self.stamps.items())


def walk(roots: ModelRoots) -> Walk:
    """All model files below the folders; those that cannot be read are passed over."""
    walker = _Walker()
    for path in roots.told_by:
        walker.stamps[str(path)] = _stamp(str(path))
    for root in roots.roots:
        if root.kind == "huggingface":
            walker.hugging_face(root)
        else:
            walker.layout(root)
    return Walk(tuple(walker.files), walker.stamps)


def _stamp(path: str) -> Stamp:
    try:
        about = os.stat(path)  # noqa: PTH116 - a third of the time, a thousand times in a row
    except (OSError, ValueError):
        return None
    # A folder's size is the file system's own affair.
    return about.st_mtime_ns, about.st_size if stat.S_ISREG(about.st_mode) else 0


class _Walker:
    def __init__(self) -> None:
        self.files: list[FoundFile] = []
        self.stamps: dict[str, Stamp] = {}

    def layout(self, root: ModelRoot) -> None:
        """`<publisher>/<model>/<file>`; files that lie higher make a model of their own or of their folder."""
        for publisher in self._entries(str(root.path)):
            if not _is_folder(publisher):
                self._add(publisher, "", _model_of_file(publisher.name), root)
                continue
            for model in self._entries(publisher.path):
                if _is_folder(model):
                    self._below(model.path, publisher.name, model.name, root)
                else:
                    self._add(model, "", publisher.name, root)

    def hugging_face(self, root: ModelRoot) -> None:
        """`models--<owner>--<name>/snapshots/<revision>/…`; of a file in several revisions the newest counts."""
        for repository in self._entries(str(root.path)):
            if not repository.name.startswith(REPOSITORY):
                continue
            owner, _, name = repository.name.removeprefix(REPOSITORY).rpartition("--")
            seen: set[str] = set()
            for snapshot in self._snapshots(repository.path):
                self._below(snapshot, owner, name, root, seen)
            self._arriving_blobs(repository.path, owner, name, root)

    def _below(
        self,
        folder: str,
        publisher: str,
        model: str,
        root: ModelRoot,
        seen: set[str] | None = None,
        inside: str = "",
    ) -> None:
        for entry in self._entries(folder):
            name = f"{inside}/{entry.name}"
            if _is_folder(entry):
                if name.count("/") < DEPTH_LIMIT:
                    self._below(entry.path, publisher, model, root, seen, name)
            elif seen is None or name not in seen:
                if seen is not None:
                    seen.add(name)
                self._add(entry, publisher, model, root)

    def _snapshots(self, repository: str) -> list[str]:
        """The folders of a repository's revisions, newest first; `main` before all."""
        named: list[tuple[bool, int, str]] = []
        for ref in self._entries(f"{repository}/refs"):
            stamp = self.stamps[ref.path] = _stamp(ref.path)
            if stamp is not None:
                named.append(
                    (ref.name == "main", stamp[0], _beginning(ref, _COMMIT_BYTES).decode(errors="replace").strip())
                )
        commits = [commit for _, _, commit in sorted(named, reverse=True)]
        folders = [entry for entry in self._entries(f"{repository}/snapshots") if _is_folder(entry)]
        order = {commit: place for place, commit in reversed(list(enumerate(commits)))}
        age = {entry.path: -((_stamp(entry.path) or (0, 0))[0]) for entry in folders}
        folders.sort(key=lambda entry: (order.get(entry.name, len(commits)), age[entry.path]))
        return [entry.path for entry in folders]

    def _arriving_blobs(self, repository: str, owner: str, name: str, root: ModelRoot) -> None:
        """Downloads have no name yet: one that begins as a GGUF file does counts as the model itself."""
        for entry in self._entries(f"{repository}/blobs"):
            if entry.name.endswith(ARRIVING_ENDINGS[1]) and _beginning(entry, 4) == b"GGUF":
                self._add(entry, owner, name, root, known_as=f"{name}.gguf")

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What is in a folder, by name, without what is hidden."""
        if len(self.stamps) >= FOLDERS_LIMIT:
            return []
        stamp = _stamp(folder)
        if stamp is not None and stamp[0] > time.time_ns() - YOUNG_NS:
            self.stamps[folder] = (-1, -1)
        else:
            self.stamps[folder] = stamp
        try:
            with os.scandir(folder) as entries:
                return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
        except (OSError, ValueError):
            return []

    def _add(
        self, entry: os.DirEntry[str], publisher: str, model: str, root: ModelRoot, known_as: str | None = None
    ) -> None:
        ending = next((ending for ending in ARRIVING_ENDINGS if entry.name.endswith(ending)), "")
        name = known_as or entry.name.removesuffix(ending)
        if not name.lower().endswith(".gguf") or len(self.files) >= FILES_LIMIT:
            return
        stamp = _stamp(entry.path)
        if not ending:  # a file that grows would make every look a new walk
            self.stamps[entry.path] = stamp
        mtime_ns, size_bytes = stamp or (0, 0)
        self.files.append(
            FoundFile(
                path=entry.path,
                name=name,
                publisher=publisher,
                model=model,
                root=root,
                size_bytes=size_bytes,
                mtime_ns=mtime_ns,
                is_arriving=bool(ending),
            )
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _model_of_file(name: str) -> str:
    for ending in (*ARRIVING_ENDINGS, ".gguf"):
        name = name.removesuffix(ending)
    return without_quantization(SHARD.sub("", name))


def _beginning(entry: os.DirEntry[str], limit: int) -> bytes:
    """A file's first bytes; none where it cannot be read or is something else, which could block."""
    try:
        if not entry.is_file():
            return b""
        with open(entry.path, "rb") as file:  # noqa: PTH123
            return file.read(limit)
    except OSError:
        return b""
