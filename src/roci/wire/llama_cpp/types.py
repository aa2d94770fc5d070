"""What the chunks of a worker's streams have in common, chats and completions alike: the fields that are read.

Source: llama.cpp's server (xllamacpp 2026.10), by trying.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct


class Logprobs(Struct):
    content: list[Raw] | None = None


class PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None


class WorkerUsage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached_tokens(self) -> int:
        details = self.prompt_tokens_details
        return (details.cached_tokens if details is not None else None) or 0


class WorkerProgress(Struct, gc=False):
    total: int = 0
    cache: int = 0
    processed: int = 0


class WorkerTimings(Struct, gc=False):
    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    predicted_n: int = 0
    predicted_per_second: float | None = None
    draft_n: int = 0
    draft_n_accepted: int = 0


decode_timings: Final = msgspec.json.Decoder(WorkerTimings).decode
