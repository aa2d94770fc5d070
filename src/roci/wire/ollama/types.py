"""Ollama's replies about models: the fields roci reads.

Source: Ollama API reference (`POST /api/show`, `GET /api/ps`), read in 2026.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ShownModel(Struct):
    """Reply of `POST /api/show`."""

    model_info: dict[str, Any] = {}  # keys such as general.architecture, llama.context_length


class RunningModel(Struct):
    name: str = ""
    model: str = ""
    context_length: int | None = None  # what the loaded copy was given; absent in older versions


class RunningModels(Struct):
    """Reply of `GET /api/ps`."""

    models: list[RunningModel]
