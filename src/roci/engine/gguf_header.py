"""What roci wants to know of a model file before it is loaded, and why a file cannot be one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

import msgspec

from roci.engine.gguf_reader import (
    FIRST_READ_BYTES,
    HEADER_LIMIT_BYTES,
    Contents,
    CutShortError,
    DamagedError,
    Tensor,
    Value,
    read_contents,
)
from roci.engine.tensor_types import BLOCK_SIZES, FILE_TYPES
from roci.errors import BadModelFileError

# Formats before GGUF, as the bytes are on disk: the magic was written as a number, in either byte order.
OLD_MAGICS: Final = {word[::step] for word in (b"ggml", b"ggmf", b"ggjt", b"ggla") for step in (1, -1)}
EMBEDDING_ARCHITECTURES: Final = frozenset(
    {
        "bert",
        "nomic-bert",
        "nomic-bert-moe",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "eurobert",
        "t5encoder",
        "gemma-embedding",
    }
)
POOLING_TYPES: Final = ("none", "mean", "cls", "last", "rank")
F16_BYTES: Final = 2
FILE_TYPE_GUESSED: Final = 1024
NUMBER_LIMIT: Final = 2**40
LAYERS_LIMIT: Final = 4096
AGAIN_HINT: Final = "Delete it and download it again."
NEWER_HINT: Final = "Download the same model as a newer GGUF file."


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A model file's own description of itself."""

    architecture: str
    name: str | None
    context_limit_tokens: int | None
    """The context that the model was trained for; None where the file does not say."""
    layers: int
    kv_heads: tuple[int, ...]
    """Key and value heads, one number for each layer."""
    key_length: int
    value_length: int
    embedding_length: int
    quantization: str | None
    """As users know it, `Q4_K_M` for instance; None where the file does not say."""
    parameter_count: int
    """Elements of all tensors in this file."""
    chat_template: str | None
    pooling_type: str | None
    """How an embedding model makes one vector of many: none, mean, cls, last or rank."""
    is_embedding: bool
    shards: int
    """How many files the model is split into; 1 where it is whole."""
    tensor_bytes: int = 0
    """What the tensors of this file take; those of a type that is not known count nothing."""
    experts: int = 0
    """Experts of each layer; 0 for a model without them."""
    experts_used: int = 0
    """Experts that work on one token."""
    expert_parameter_count: int = 0
    """Elements of the tensors of all experts together."""
    size_label: str | None = None
    """The size that the file's maker gives it: `135M`, `30B-A3B`."""
    organization: str | None = None
    """Who made the model."""
    file_kind: str | None = None
    """What else than a model it may be: adapter, imatrix, mmproj."""
    tool_template: str | None = None
    """A chat template for requests with tools, where it is another."""

    @property
    def is_projector(self) -> bool:
        """It only adds eyes or ears to another model."""
        return self.architecture == "clip" or self.file_kind == "mmproj"

    @property
    def kv_bytes_per_token(self) -> int:
        """Memory that one token of context takes, with keys and values as 16-bit floats."""
        return sum(self.kv_heads) * (self.key_length + self.value_length) * F16_BYTES


class _Refused(Exception):  # noqa: N818
    """Why a file is refused, before the error for users is made of it."""

    def __init__(self, reason: str, message: str, hint: str = AGAIN_HINT) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


def read_header(path: Path, *, key: str = "") -> GgufHeader:
    """Reads the header of the GGUF file at `path`, in milliseconds, and checks that the file is whole.

    Args:
        key: the model's key, for the error; the file's name where it is empty.

    Raises:
        BadModelFileError: `reason` is missing, not_gguf, old_format, truncated or damaged.
    """
    try:
        return _header(_checked(path))
    except _Refused as refused:
        raise _error(path, refused, key) from None


def read_shard(path: Path) -> GgufHeader:
    """As `read_header`, for any file of a split model: only the first says which architecture it has.

    Raises:
        BadModelFileError: as `read_header`.
    """
    try:
        contents = _checked(path)
        if _whole(contents.values, "split.no", 0) > 0:
            contents.values.setdefault("general.architecture", "further part")
        return _header(contents)
    except _Refused as refused:
        raise _error(path, refused, path.name) from None


def _error(path: Path, refused: _Refused, key: str) -> BadModelFileError:
    return BadModelFileError(
        f"The model file {path} {refused.message}.",
        path=str(path),
        reason=refused.reason,
        key=key or path.name,
        hint=refused.hint,
    )


def _checked(path: Path) -> Contents:
    contents, size_bytes = _read(path)
    _check_whole(contents, size_bytes)
    return contents


def _read(path: Path) -> tuple[Contents, int]:
    # Read, not mapped into memory: a mapped file that another program cuts short kills the process.
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise _Refused("not_gguf", "is not a file", "Name the .gguf file itself.")
        with path.open("rb") as file:
            for limit in (FIRST_READ_BYTES, HEADER_LIMIT_BYTES):
                file.seek(0)
                data = file.read(limit)
                _check_format(data)
                try:
                    return read_contents(data), about.st_size
                except CutShortError:
                    if len(data) < limit:
                        raise _Refused("truncated", "is cut short: it ends inside its header") from None
    except DamagedError as error:
        raise _Refused("damaged", f"is damaged: {error}") from None
    except FileNotFoundError:
        raise _Refused("missing", "does not exist", "See which models are there: roci models") from None
    except OSError as error:
        hint = "Check the file's permissions and its disk."
        raise _Refused("missing", f"cannot be read: {error.strerror}", hint) from None
    raise _Refused("damaged", "is damaged: its header has no end")


def _check_format(data: bytes) -> None:
    if data[:4] in OLD_MAGICS:
        raise _Refused("old_format", "is in the old GGML format, which llama.cpp no longer loads", NEWER_HINT)
    if not data:
        raise _Refused("truncated", "is empty")
    if data[:4] != b"GGUF"[: len(data)]:
        raise _Refused("not_gguf", "is not a GGUF model", _not_gguf_hint(data))
    if len(data) < 8:
        raise _Refused("truncated", "is cut short: it ends inside its header")
    version = int.from_bytes(data[4:8], "little")
    if version == 1:
        raise _Refused("old_format", "is in version 1 of GGUF, which llama.cpp no longer loads", NEWER_HINT)
    if version not in (2, 3):
        if int.from_bytes(data[4:8], "big") in (1, 2, 3):
            raise _Refused("damaged", "is a GGUF file for big-endian machines", NEWER_HINT)
        raise _Refused("damaged", f"says that it is version {version:,} of GGUF, which is not known")


def _not_gguf_hint(data: bytes) -> str:
    if data.lstrip()[:1] == b"<":
        return "It looks like a web page: download the file itself, not the page about it."
    if data.startswith(b"version https://git-lfs"):
        return "It is a Git LFS pointer: run `git lfs pull`, or download the file itself."
    return "Look for a file of the same model that ends in .gguf."


def _check_whole(contents: Contents, size_bytes: int) -> None:
    alignment = _whole(contents.values, "general.alignment", 32) or 32
    data_start = -(-contents.end // alignment) * alignment
    end = contents.end
    for tensor in contents.tensors:
        end = max(end, data_start + tensor.offset + _tensor_bytes(tensor))
    if end > size_bytes:
        message = f"is cut short: it has {size_bytes:,} of the {end:,} bytes that its header announces"
        raise _Refused("truncated", message)


def _tensor_bytes(tensor: Tensor) -> int:
    # A type of which the size is not known counts as nothing: then the engine is the judge.
    block_elements, block_bytes = BLOCK_SIZES.get(tensor.type_number, (1, 0))
    return tensor.elements // block_elements * block_bytes


def _header(contents: Contents) -> GgufHeader:
    values = contents.values
    architecture = _text(values, "general.architecture")
    if not architecture:
        raise _Refused("damaged", "does not say which architecture its model has")
    layers = _whole(values, f"{architecture}.block_count", 0)
    heads = _whole_or_list(values, f"{architecture}.attention.head_count")
    embedding_length = _whole(values, f"{architecture}.embedding_length", 0)
    head_length = embedding_length // max(heads[0] if heads else 1, 1)
    key_length = _whole(values, f"{architecture}.attention.key_length", head_length)
    pooling = _whole(values, f"{architecture}.pooling_type", -1)
    pooling_type = POOLING_TYPES[pooling] if 0 <= pooling < len(POOLING_TYPES) else None
    return GgufHeader(
        architecture=architecture,
        name=_text(values, "general.name"),
        context_limit_tokens=_whole(values, f"{architecture}.context_length", 0) or None,
        layers=layers,
        kv_heads=_per_layer(_whole_or_list(values, f"{architecture}.attention.head_count_kv") or heads, layers),
        key_length=key_length,
        value_length=_whole(values, f"{architecture}.attention.value_length", head_length),
        embedding_length=embedding_length,
        quantization=FILE_TYPES.get(_whole(values, "general.file_type", -1) & ~FILE_TYPE_GUESSED),
        parameter_count=sum(tensor.elements for tensor in contents.tensors),
        chat_template=_text(values, "tokenizer.chat_template"),
        pooling_type=pooling_type,
        is_embedding=architecture in EMBEDDING_ARCHITECTURES or pooling_type not in (None, "none"),
        shards=max(_whole(values, "split.count", 1), 1),
        tensor_bytes=sum(_tensor_bytes(tensor) for tensor in contents.tensors),
        experts=_whole(values, f"{architecture}.expert_count", 0),
        experts_used=_whole(values, f"{architecture}.expert_used_count", 0),
        expert_parameter_count=sum(tensor.elements for tensor in contents.tensors if "_exps" in tensor.name),
        size_label=_text(values, "general.size_label"),
        organization=_text(values, "general.organization"),
        file_kind=_text(values, "general.type"),
        tool_template=_text(values, "tokenizer.chat_template.tool_use"),
    )


def _per_layer(heads: list[int], layers: int) -> tuple[int, ...]:
    if len(heads) == 1:
        heads = heads * min(layers, LAYERS_LIMIT)
    return tuple(heads[:layers])


def _whole_or_list(values: dict[str, Value], name: str) -> list[int]:
    value = values.get(name)
    if isinstance(value, list):
        if any(number < 0 or number > NUMBER_LIMIT for number in value):
            raise _Refused("damaged", f"is damaged: {name} holds an impossible number")
        return value
    return [] if value is None else [_whole(values, name, 0)]


def _whole(values: dict[str, Value], name: str, default: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < NUMBER_LIMIT:
        raise _Refused("damaged", f"is damaged: {name} is not a number that makes sense")
    return value


def _text(values: dict[str, Value], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value else None
