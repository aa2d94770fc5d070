"""The replies of `/api/v0`: OpenAI's, and the blocks of LM Studio's own."""

from __future__ import annotations

from typing import Any

from roci.wire.lmstudio.v0 import ModelInfoBlock, RuntimeBlock, V0Stats
from roci.wire.openai.chat_replies import ChatCompletion
from roci.wire.openai.completions_writer import CompletionReply
from roci.wire.openai.embeddings import EmbeddingReply


class V0ChatReply(ChatCompletion, kw_only=True):
    """The reply of `POST /api/v0/chat/completions`."""

    stats: V0Stats  # pyright: ignore[reportIncompatibleVariableOverride] - what OpenAI's route leaves empty
    model_info: ModelInfoBlock
    runtime: RuntimeBlock


class V0CompletionReply(CompletionReply, kw_only=True):
    """The reply of `POST /api/v0/completions`."""

    stats: V0Stats
    model_info: ModelInfoBlock
    runtime: RuntimeBlock


class V0EmbeddingReply(EmbeddingReply, kw_only=True):
    """The reply of `POST /api/v0/embeddings`."""

    stats: dict[str, Any]
    """Empty."""
    model_info: ModelInfoBlock
    runtime: RuntimeBlock
