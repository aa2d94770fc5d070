"""One file for each dialect or purpose, with its handlers and what the API's description says of them.

Handlers raise; `error_replies.py` answers.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from roci.server.openapi import Operation
from roci.server.routes import (
    anthropic_v1,
    completions,
    downloads,
    embeddings,
    lmstudio_models,
    lmstudio_v0,
    lmstudio_v1,
    openai_chat,
    openai_models,
    responses,
    settings,
    status,
    tokens,
)

ROUTE_MODULES: Final[tuple[ModuleType, ...]] = (
    openai_chat,
    openai_models,
    responses,
    completions,
    embeddings,
    tokens,
    anthropic_v1,
    lmstudio_v1,
    lmstudio_models,
    downloads,
    lmstudio_v0,
    settings,
    status,
)
"""Each has `HANDLERS` and `OPERATIONS`."""

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    operation for module in ROUTE_MODULES for operation in module.OPERATIONS
)
