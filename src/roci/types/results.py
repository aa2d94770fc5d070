"""What comes back: answers, their steps, what they cost, and why they ended."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from roci.errors import RociError
from roci.types.messages import ModelMessage
from roci.types.receipt import Receipt
from roci.types.tools import ToolCall


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model was done, or a stop sequence came."""
    LENGTH = "length"
    """`max_tokens` or the context ran out."""
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    """It broke off; only in a partial result."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the server counted them; 0 where it said nothing."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens that the server had kept from before; part of `input_tokens`."""
    reasoning_tokens: int = 0
    """Part of `output_tokens`."""


class GenerationStats(msgspec.Struct, frozen=True, kw_only=True):
    """Times seen from this side of the wire."""

    total_time_s: float = 0.0
    time_to_first_token_s: float | None = None
    """From the request to the first text, reasoning or call; None where the answer was not streamed."""
    tokens_per_second: float | None = None
    """Output tokens after the first, per second after the first; None where the server sent no usage, or
    where there were fewer than two tokens."""


class GenerationWarning(msgspec.Struct, frozen=True):
    """Something that went otherwise than asked, without being a failure."""

    kind: str
    """`model_substituted`, `suspected_truncation`, `unknown_finish_reason`, `tool_call_recovered`, `tool_parse_error`,
    `tool_result_cut`."""
    message: str


class ProviderResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a server."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = FinishReason.STOP
    usage: Usage = Usage()
    model: str = ""
    """The model that answered, as the server names it."""
    response_id: str = ""
    session_id: str | None = None
    """What the request carried; it is not sent to the server."""
    stats: GenerationStats = GenerationStats()
    warnings: tuple[GenerationWarning, ...] = ()
    receipt: Receipt = Receipt()
    error: RociError | None = None
    """Why it broke off; only in a partial result."""

    @property
    def message(self) -> ModelMessage:
        """The answer as the conversation's next message."""
        return ModelMessage.assistant(self.text, tool_calls=self.tool_calls, reasoning=self.reasoning)


class GenerationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One round: an answer, and the results of the tools it called."""

    response: ProviderResponse
    tool_results: tuple[ModelMessage, ...] = ()
    """For each call that was run, refused or wrong, in the calls' order; what a tool gave, or with `is_error` why not.
    Empty where the calls were handed back."""
    tools_time_s: float = 0.0
    """From the calls to the last of their results."""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """What the model called."""
        return self.response.tool_calls

    @property
    def usage(self) -> Usage:
        """Tokens of this round."""
        return self.response.usage

    @property
    def time_s(self) -> float:
        """The answer and the tools together."""
        return self.response.stats.total_time_s + self.tools_time_s


class GenerateTextResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished (or, in an error's `.partial`, unfinished) answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that are left to you: answer each with a `ModelMessage.tool_result` behind `messages`, and ask again."""
    steps: tuple[GenerationStep, ...] = ()
    """The rounds that led here; one where no tools were run. `text`, `reasoning` and `finish_reason` are the last
    one's, `usage` and `warnings` those of all."""
    messages: tuple[ModelMessage, ...] = ()
    """The conversation as it was given, with the answer behind it: ready for the next turn. What was left out because
    it did not fit is still here."""
    usage: Usage = Usage()
    finish_reason: FinishReason = FinishReason.STOP
    stats: GenerationStats = GenerationStats()
    warnings: tuple[GenerationWarning, ...] = ()
    model: str = ""
    """The model that answered, as the server names it."""
    session_id: str | None = None
    receipt: Receipt = Receipt()
    """What the call really did; that of several rounds is theirs together."""
    error: RociError | None = None
    """Why it broke off; only in a partial result."""

    @classmethod
    def of(cls, response: ProviderResponse, asked: tuple[ModelMessage, ...]) -> GenerateTextResult:
        """The result of one round: `asked` was sent and `response` came."""
        answered = response.text or response.tool_calls or response.reasoning
        return cls(
            text=response.text,
            reasoning=response.reasoning,
            tool_calls=response.tool_calls,
            steps=(GenerationStep(response=response),),
            messages=(*asked, response.message) if answered else asked,
            usage=response.usage,
            finish_reason=response.finish_reason,
            stats=response.stats,
            warnings=response.warnings,
            model=response.model,
            session_id=response.session_id,
            receipt=response.receipt,
            error=response.error,
        )
