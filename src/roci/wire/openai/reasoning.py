"""How each server is told whether and how much to think, and how it says that it will not be told. Pure.

Source: LM Studio 0.4.17 and Ollama 0.12 (`reasoning_effort`), by their issue threads; llama.cpp's server, by trying;
vLLM's documentation of reasoning outputs (`chat_template_kwargs`).
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from roci.errors import BadRequestError, ContextTooLongError, RociError
from roci.types.settings import Reasoning

Dialect = Literal["llama.cpp", "vllm", "other"]
"""Of those that are asked alike, only one word: LM Studio, `roci serve` and Ollama are `other`."""

_OWNERS: Final[dict[str, Dialect]] = {"llamacpp": "llama.cpp", "vllm": "vllm"}
_EFFORTS: Final = {"off": "none", "on": "medium"}
# Compiled when first needed.
_REFUSAL: Final = r"(?i)reasoning|\bthinking\b|\bthink value\b|enable_thinking|chat_template_kwargs"


class _Entry(msgspec.Struct):
    owned_by: str | None = None


class _Listing(msgspec.Struct):
    data: list[_Entry] = []


def dialect_of(listing: bytes) -> Dialect:
    """Whose `GET /v1/models` this is, by whom it says the models belong to."""
    try:
        entries = msgspec.json.decode(listing, type=_Listing).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "other"
    for entry in entries:
        owner = _OWNERS.get(entry.owned_by or "")
        if owner is not None:
            return owner
    return "other"


def reasoning_fields(wanted: Reasoning | None, dialect: Dialect = "other") -> dict[str, Any]:
    """The fields of a chat request that say `wanted`; none where the model is left its own way.

    `on` asks for a medium effort where only an effort can be asked for; a model that is but on or off takes any as on.
    """
    if wanted is None:
        return {}
    effort = {"reasoning_effort": _EFFORTS.get(wanted, wanted)}
    if dialect == "other":
        return effort
    # Templates differ in the switch's name: `enable_thinking` (Qwen, GLM), `thinking` (DeepSeek, Granite).
    switch = {"chat_template_kwargs": {"enable_thinking": wanted != "off", "thinking": wanted != "off"}}
    if wanted == "on" or (wanted == "off" and dialect == "vllm"):
        return switch
    return effort | switch


def refuses_reasoning(error: RociError) -> bool:
    """The server refuses the request for the sake of its reasoning fields, and nothing was generated."""
    if not isinstance(error, BadRequestError) or isinstance(error, ContextTooLongError):
        return False
    return re.search(_REFUSAL, f"{error.param} {error.message}") is not None
