"""What the Hugging Face hub says of models: the fields roci reads, in its own names.

Source: the hub's `GET /api/models` and `GET /api/models/{owner}/{name}?blobs=true`, as huggingface_hub
2.4.0 reads them.
"""

from __future__ import annotations

from msgspec import Struct


class LargeFile(Struct, frozen=True):
    """What the hub knows of a file that it keeps outside of git."""

    sha256: str | None = None
    size: int | None = None


class Sibling(Struct, frozen=True):
    """One file of a repository."""

    rfilename: str
    size: int | None = None
    lfs: LargeFile | None = None


class GgufFacts(Struct, frozen=True):
    """What the hub read in the header of a repository's GGUF files."""

    total: int | None = None
    """Parameters of the model."""
    architecture: str | None = None
    context_length: int | None = None
    chat_template: str | None = None


class HubModel(Struct, frozen=True):
    """A repository, in a list or by itself."""

    id: str
    sha: str | None = None
    siblings: list[Sibling] | None = None
    gated: bool | str | None = None
    tags: list[str] | None = None
    pipeline_tag: str | None = None
    downloads: int | None = None
    likes: int | None = None
    gguf: GgufFacts | None = None
