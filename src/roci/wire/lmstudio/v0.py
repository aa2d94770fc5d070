"""The blocks that `/api/v0` adds to OpenAI's replies: `stats`, `model_info` and `runtime`.

Source: LM Studio REST reference v0, read for 0.4.0; its values of `stop_reason` are those of LM Studio's SDKs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from roci.wire.generation import Ended, Event, Finish, Transcript
from roci.wire.lmstudio.chat_result import stop_reason
from roci.wire.reply_writer import Begun, Failure, ReplyWriter

_raw_decoder: Final = msgspec.json.Decoder(dict[str, Raw])


class ModelInfoBlock(Struct, kw_only=True):
    """What answered."""

    arch: str | None
    quant: str | None
    format: str = "gguf"
    context_length: int
    """Tokens that one answer has with its prompt."""


class RuntimeBlock(Struct, kw_only=True):
    """What computed it."""

    name: str
    """Such as `llama.cpp-linux-x86_64-cpu`."""
    version: str
    supported_formats: list[str]


class V0Blocks(Struct, kw_only=True):
    model_info: ModelInfoBlock
    runtime: RuntimeBlock


class V0Stats(Struct, kw_only=True, omit_defaults=True):
    tokens_per_second: float
    time_to_first_token: float
    """Seconds."""
    generation_time: float
    """Seconds from the first piece of the answer to the last."""
    stop_reason: str | None
    """`eosFound`, `maxPredictedTokensReached`, `stopStringFound` or `toolCalls`."""
    total_draft_tokens_count: int | None = None
    """Tokens that speculation proposed."""
    accepted_draft_tokens_count: int | None = None
    rejected_draft_tokens_count: int | None = None


MadeWriter: TypeAlias = Callable[[Callable[[Ended], dict[str, Any]]], ReplyWriter]
"""Makes a writer, given what adds fields to its plain reply and to its stream's last chunk."""


class V0Writer:
    """OpenAI's reply of another writer, with the blocks of `/api/v0`.

    Args:
        made: makes the other writer.
        blocks: what is known of the model once it is loaded; asked when the answer has ended.
    """

    starts_early = False

    def __init__(
        self,
        made: MadeWriter,
        blocks: Callable[[], V0Blocks | None],
    ) -> None:
        self._inner = made(self._more)
        self._blocks = blocks
        self._finish: Finish | None = None

    def start(self, begun: Begun) -> bytes:
        return self._inner.start(begun)

    def feed(self, event: Event) -> bytes:
        if isinstance(event, Finish) and self._finish is None:
            self._finish = event
        return self._inner.feed(event)

    def fail(self, failure: Failure) -> bytes:
        return self._inner.fail(failure)

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        self._finish = transcript.choice().finish
        return self._inner.whole(begun, transcript)

    def _more(self, ended: Ended) -> dict[str, Any]:
        blocks = self._blocks()
        more: dict[str, Any] = {"stats": v0_stats(ended, self._finish)}
        if blocks is not None:
            more |= {"model_info": blocks.model_info, "runtime": blocks.runtime}
        return more


def v0_stats(ended: Ended, finish: Finish | None) -> V0Stats:
    """The block `stats`; with speculation it tells what became of the proposals."""
    timing = ended.timing
    speculated = timing.draft_tokens or None
    return V0Stats(
        tokens_per_second=timing.tokens_per_second,
        time_to_first_token=timing.time_to_first_token_s,
        generation_time=timing.generation_time_s,
        stop_reason=stop_reason(finish),
        total_draft_tokens_count=speculated,
        accepted_draft_tokens_count=speculated and timing.draft_tokens_accepted,
        rejected_draft_tokens_count=speculated and timing.draft_tokens - timing.draft_tokens_accepted,
    )


def with_blocks(reply: bytes, blocks: V0Blocks) -> bytes:
    """`reply`, a JSON object such as that of `/v1/embeddings`, with the blocks that every v0 reply has."""
    fields: dict[str, Any] = dict(_raw_decoder.decode(reply))
    no_stats: dict[str, Any] = {}
    return msgspec.json.encode(fields | {"stats": no_stats, "model_info": blocks.model_info, "runtime": blocks.runtime})
