"""A whole answer of `POST /api/v1/chat`: the plain reply, and what the stream's last event holds.

Source: LM Studio REST reference, "Chat with a model", read for 0.4.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from roci.wire.generation import Call, ChoiceTranscript, Ended, Finish, Timing, TokenUsage, Transcript
from roci.wire.tool_output import output_text

ProviderInfo = Mapping[str, str]
"""`{type: plugin, plugin_id}` or `{type: ephemeral_mcp, server_label}`: where a tool comes from."""

_STOP_REASONS: Final = {"stop": "eosFound", "length": "maxPredictedTokensReached", "tool_calls": "toolCalls"}


class Stats(Struct, kw_only=True, omit_defaults=True):
    input_tokens: int
    """Of the whole prompt: history, system prompt and tool definitions too."""
    total_output_tokens: int
    reasoning_output_tokens: int
    """Of `total_output_tokens`."""
    tokens_per_second: float
    time_to_first_token_seconds: float
    model_load_time_seconds: float | None = None
    """Only there if this request loaded the model."""
    cached_input_tokens: int | None = None
    """Of `input_tokens`: those that the model still knew. Not in LM Studio."""
    stop_reason: str | None = None
    """Why the answer ended: `eosFound`, `maxPredictedTokensReached`, `stopStringFound`. Not in LM Studio."""


class Told(Struct):
    """What roci has to say about an answer and LM Studio's API has no place for."""

    notes: list[dict[str, str]]


class OutputItem(Struct, kw_only=True, omit_defaults=True):
    """A piece of the answer; which fields it has is told by its type."""

    type: Literal["message", "reasoning", "tool_call", "invalid_tool_call"]
    content: str | None = None
    tool: str | None = None
    arguments: dict[str, Any] | None = None
    output: str | None = None
    """JSON text of the content parts that the tool gave."""
    reason: str | None = None
    metadata: dict[str, Any] | None = None
    provider_info: dict[str, str] | None = None


class NativeChatReply(Struct, kw_only=True):
    """The reply of `POST /api/v1/chat`."""

    model_instance_id: str
    output: list[OutputItem]
    stats: Stats
    response_id: str | UnsetType = UNSET
    """`resp_` and 48 hexadecimal digits; absent where the answer is not stored."""
    roci: Told | UnsetType = UNSET


def native_reply(
    instance_id: str,
    transcript: Transcript,
    *,
    response_id: str | None,
    providers: Mapping[str, ProviderInfo],
    counted: TokenUsage | None = None,
) -> NativeChatReply:
    """The reply for `transcript`, which may be of an answer that broke.

    Args:
        response_id: None where nothing is stored.
        providers: a tool's name -> where it comes from.
        counted: the tokens that were counted on the way, for an answer that broke.
    """
    choice = transcript.choice()
    ended = transcript.ended or Ended(counted or TokenUsage(), Timing())
    notes = [{"code": note.code, "message": note.message} for note in choice.notes]
    return NativeChatReply(
        model_instance_id=instance_id,
        output=_output(choice, providers),
        stats=_stats(ended, transcript),
        response_id=response_id or UNSET,
        roci=Told(notes) if notes else UNSET,
    )


def stop_reason(finish: Finish | None) -> str | None:
    """LM Studio's own word for why an answer ended; None where it did not."""
    if finish is None:
        return None
    return "stopStringFound" if finish.stop_sequence is not None else _STOP_REASONS[finish.reason]


def failed_call(call: Call, reason: str, provider: ProviderInfo | None) -> dict[str, Any]:
    """`reason` and `metadata` of a call that was not made."""
    metadata: dict[str, Any] = {
        "type": "invalid_name" if provider is None else "invalid_arguments",
        "tool_name": call.name,
    }
    arguments = call_arguments(call)
    if arguments is not None:
        metadata["arguments"] = arguments
    if provider is not None:
        metadata["provider_info"] = dict(provider)
    return {"reason": reason, "metadata": metadata}


def call_arguments(call: Call) -> dict[str, Any] | None:
    """The call's arguments; None where they are not a whole JSON object."""
    try:
        return msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def _output(choice: ChoiceTranscript, providers: Mapping[str, ProviderInfo]) -> list[OutputItem]:
    items: list[OutputItem] = []
    for part in choice.parts:
        if part.call is not None:
            items.append(_call_item(part.call, providers.get(part.call.name)))
        elif part.text:
            items.append(OutputItem(type="reasoning" if part.kind == "reasoning" else "message", content=part.text))
    return items


def _call_item(call: Call, provider: ProviderInfo | None) -> OutputItem:
    arguments = call_arguments(call)
    if not call.is_whole or arguments is None:
        reason = "The call's arguments are not a JSON object." if call.is_whole else "The call was cut off."
        return OutputItem(type="invalid_tool_call", **failed_call(call, reason, provider or {}))
    if call.is_error:
        return OutputItem(type="invalid_tool_call", **failed_call(call, output_text(call.output or ""), provider))
    return OutputItem(
        type="tool_call",
        tool=call.name,
        arguments=arguments,
        output=call.output or "",
        provider_info=dict(provider or {}),
    )


def _stats(ended: Ended, transcript: Transcript) -> Stats:
    usage, timing = ended.usage, ended.timing
    return Stats(
        input_tokens=usage.prompt_tokens,
        total_output_tokens=usage.completion_tokens,
        reasoning_output_tokens=usage.reasoning_tokens,
        tokens_per_second=timing.tokens_per_second,
        time_to_first_token_seconds=timing.time_to_first_token_s,
        model_load_time_seconds=transcript.load_time_s if timing.load_time_s is None else timing.load_time_s,
        cached_input_tokens=usage.cached_tokens or None,
        stop_reason=stop_reason(transcript.choice().finish),
    )
