"""What llama.cpp's server says of itself.

Source: llama.cpp server README (`GET /props`), and `tests/samples/llama_cpp/props.json`.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct


class _Defaults(Struct):
    n_ctx: int | None = None


class _Props(Struct):
    default_generation_settings: _Defaults


_decode = msgspec.json.Decoder(_Props).decode


def loaded_context(body: bytes) -> int | None:
    """What one request has of context, by the reply of `GET /props`; None where the body is of another form."""
    try:
        return _decode(body).default_generation_settings.n_ctx
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
