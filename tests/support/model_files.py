"""Folders of tiny models, in the layouts in which they are found on users' disks."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.tiny_gguf import Value, write_tiny_gguf

REVISION = "0123456789abcdef0123456789abcdef01234567"


def put_model(folder: Path, file: str, /, **header: Any) -> Path:
    """A tiny model at `folder/file`."""
    return write_tiny_gguf(folder / file, **header)


def put_projector(folder: Path, name: str) -> Path:
    return write_tiny_gguf(folder / name, architecture="clip", chat_template=None)


def put_split(folder: Path, stem: str, count: int = 3) -> list[Path]:
    """A model in `count` parts, as llama.cpp splits them: the first alone says which architecture it has."""
    paths: list[Path] = []
    for number in range(1, count + 1):
        path = folder / f"{stem}-{number:05d}-of-{count:05d}.gguf"
        split: dict[str, Value] = {"split.no": number - 1, "split.count": count}
        if number == 1:
            write_tiny_gguf(path, more=split)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_part(split))
        paths.append(path)
    return paths


def put_hugging_face(
    hub: Path, repository: str, files: Mapping[str, bytes], *, revision: str = REVISION, ref: str | None = "main"
) -> Path:
    """A repository in the cache of Hugging Face's tools: blobs, and a snapshot of links to them; gives the snapshot."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / revision
    for name, data in files.items():
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    if ref is not None:
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / ref).write_text(revision)
    return snapshot


def put_ollama(store: Path, name: str, layers: Mapping[str, bytes], host: str = "host.example") -> Path:
    """A model of Ollama's, `namespace/model:tag`, with a blob for each media type; gives its first blob."""
    path, _, tag = name.partition(":")
    described: list[dict[str, Any]] = []
    blobs: list[Path] = []
    for media_type, data in layers.items():
        digest = hashlib.sha256(data).hexdigest()
        blob = store / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        blobs.append(blob)
        described.append({"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)})
    manifest = store / "manifests" / host / path / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": described}))
    return blobs[0]


def tiny_bytes(folder: Path, **header: Any) -> bytes:
    """A tiny model's file as bytes; `folder` is for scratch."""
    path = write_tiny_gguf(folder / "scratch.gguf", **header)
    data = path.read_bytes()
    path.unlink()
    return data


def _part(values: Mapping[str, Value]) -> bytes:
    """A further part: metadata of the split alone, and one tensor."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values))
    for key, value in values.items():
        assert isinstance(value, int)
        head += struct.pack("<Q", len(key)) + key.encode() + struct.pack("<II", 4, value)
    name = b"blk.1.weight"
    head += struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 64, 0, 0)
    return head + bytes(-len(head) % 32) + bytes(64 * 4)
