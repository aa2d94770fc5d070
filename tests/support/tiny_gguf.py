"""Minimal GGUF files: valid headers, one small tensor, and ways to be broken."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

Value = int | float | bool | str | list[str] | list[int]


def write_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    context: int = 2048,
    chat_template: str | None = "{{ messages }}",
    name: str = "Tiny",
    more: Mapping[str, Value] | None = None,
) -> Path:
    """Writes a file of some hundred bytes whose header says it is a small model; gives its path.

    The real engine does not load it: it has no vocabulary and hardly a tensor.
    """
    values: dict[str, Value] = {
        "general.architecture": architecture,
        "general.name": name,
        "general.file_type": 7,
        f"{architecture}.context_length": context,
        f"{architecture}.block_count": 2,
        f"{architecture}.embedding_length": 64,
        f"{architecture}.attention.head_count": 4,
        f"{architecture}.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": ["<s>", "a", "b"],
    }
    if chat_template is not None:
        values["tokenizer.chat_template"] = chat_template
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(values | dict(more or {})))
    return path


def gguf_bytes(values: dict[str, Value], *, version: int = 3, tensor_type: int = 0) -> bytes:
    """A whole file: `values`, then one tensor of 64 elements with its data."""
    tensor = _text("token_embd.weight") + struct.pack("<IQIQ", 1, 64, tensor_type, 0)
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(values))
    head += b"".join(_text(key) + _value(value) for key, value in values.items()) + tensor
    return head + bytes(-len(head) % 32) + bytes(64 * 4)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(str(item)) for item in value)
        case _:
            return struct.pack("<IIQ", 9, 4, len(value)) + struct.pack(f"<{len(value)}I", *value)
