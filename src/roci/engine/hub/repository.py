"""Which models a repository offers, read from the list of its files. Nothing here is decided or fetched."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final
from urllib.parse import quote

import msgspec

from roci.engine.hub.names import is_safe_path
from roci.engine.quantization_names import QUANTIZATION
from roci.engine.shards import SHARD, SHARDS_LIMIT
from roci.errors import UnexpectedReplyError
from roci.wire.huggingface.types import HubModel, Sibling

SHA256: Final = re.compile(r"[0-9a-f]{64}")
FILES_LIMIT: Final = 5000
UNSLOTH_MARK: Final = re.compile(r"(?:^|[-_.])UD$", re.IGNORECASE)


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file elsewhere, and what is known of it."""

    name: str
    """What it will be called here."""
    url: str
    size_bytes: int | None = None
    sha256: str | None = None
    """In lower-case hex; None where its server does not say."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One model file that a repository offers, or the several files that make up one."""

    quantization: str
    """As users write it; the file's own name where it does not say."""
    files: tuple[RemoteFile, ...]
    """In the order of their parts."""
    paths: tuple[str, ...]
    """Their paths in the repository."""

    @property
    def size_bytes(self) -> int | None:
        return total_size(self.files)


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """What of a repository matters here."""

    repo: str
    variants: tuple[Variant, ...]
    projectors: tuple[RemoteFile, ...]
    """Files that give a model eyes; one of them goes with it."""


def total_size(files: tuple[RemoteFile, ...]) -> int | None:
    """Bytes of all; None where one is not known."""
    sizes = [file.size_bytes for file in files]
    return sum(size for size in sizes if size is not None) if None not in sizes else None


def read_repository(model: HubModel, endpoint: str, repo: str, revision: str) -> Repository:
    """The models in a repository's listing.

    Args:
        repo: the name it was asked by, known to be safe.

    Raises:
        UnexpectedReplyError: a file's name would lead out of the folder that the model is put into.
    """
    found = [one for one in (model.siblings or [])[:FILES_LIMIT] if one.rfilename.lower().endswith(".gguf")]
    for one in found:
        if not is_safe_path(one.rfilename):
            raise UnexpectedReplyError(f"{endpoint}/{repo} lists a file with an impossible name: {one.rfilename!r}.")
    basenames = Counter(one.rfilename.rpartition("/")[2].lower() for one in found)
    # The commit, so that all files are of one moment.
    at = model.sha if model.sha and re.fullmatch(r"[0-9a-f]{40}", model.sha) and revision == "main" else revision

    def remote(one: Sibling) -> RemoteFile:
        base = one.rfilename.rpartition("/")[2]
        sha256 = (one.lfs.sha256 or "").lower() if one.lfs else ""
        size = one.size if one.size is not None or one.lfs is None else one.lfs.size
        return RemoteFile(
            name=base if basenames[base.lower()] == 1 else one.rfilename.replace("/", "-"),
            url=f"{endpoint}/{repo}/resolve/{quote(at, safe='')}/{quote(one.rfilename)}",
            size_bytes=size if size is not None and size >= 0 else None,
            sha256=sha256 if SHA256.fullmatch(sha256) else None,
        )

    groups: dict[str, list[Sibling]] = {}
    projectors: list[RemoteFile] = []
    for one in sorted(found, key=lambda one: one.rfilename):
        name = one.rfilename.lower()
        if "mmproj" in name:
            projectors.append(remote(one))
        elif not _is_matrix(name):
            groups.setdefault(SHARD.sub("", one.rfilename[:-5]), []).append(one)
    whole = {stem: files for stem, files in groups.items() if _is_whole(files)}
    labels = _labels(list(whole))
    variants = [
        Variant(
            quantization=labels[stem],
            files=tuple(remote(one) for one in files),
            paths=tuple(one.rfilename for one in files),
        )
        for stem, files in whole.items()
    ]
    return Repository(repo=repo, variants=tuple(variants), projectors=tuple(projectors))


def quantization_of(stem: str) -> str | None:
    """The quantization at the end of a file's name, without its ending, as users write it."""
    base = stem.rpartition("/")[2]
    match = QUANTIZATION.search(base)
    if match is None:
        return None
    mark = "UD-" if UNSLOTH_MARK.search(base[: match.start()]) else ""
    return mark + match[1].upper()


def _is_matrix(name: str) -> bool:
    """Whether a file holds what a quantizer needs, and no model."""
    stem = name.rpartition("/")[2].removesuffix(".gguf")
    return "imatrix" in stem and QUANTIZATION.search(stem) is None


def _is_whole(files: list[Sibling]) -> bool:
    match = SHARD.search(files[0].rfilename[:-5])
    return match is None or (int(match[1]) == 1 and len(files) == int(match[2]) <= SHARDS_LIMIT)


def _labels(stems: list[str]) -> dict[str, str]:
    """A name for each variant: its quantization, or the file's name where that is not enough."""
    named = {stem: quantization_of(stem) or quantization_of(stem.rpartition("/")[0]) for stem in stems}
    counts = Counter(named.values())
    return {
        stem: name if name is not None and counts[name] == 1 else stem.rpartition("/")[2]
        for stem, name in named.items()
    }
