"""The receipt of one answer: what was asked, what the server told, and what was seen from here. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from roci.providers.context import truncation_warnings
from roci.providers.retries import Question
from roci.types.receipt import Adjustment, Receipt
from roci.types.results import GenerationWarning, ProviderResponse, Usage


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider knows of a request before it is sent."""

    provider: str
    model: str
    adjustments: tuple[Adjustment, ...] = ()
    """Settings that this server's dialect cannot say as they were asked."""
    is_schema_enforced: bool = False
    """A schema was asked for, of a server that holds the model to it."""
    context_limit_tokens: int | None = None
    """The loaded model's context, where an earlier `describe()` told it."""


def receipt_of(
    response: ProviderResponse,
    question: Question,
    asked: Asked,
    *,
    total_s: float,
    waiting_s: float | None = None,
    first_token_s: float | None = None,
    seconds_per_token: float | None = None,
) -> Receipt:
    """The receipt of `response`, whole or broken off.

    Args:
        response: with what the server told as its receipt.
        waiting_s: to the first byte of the reply; None where it came as one piece.
        first_token_s: to the first piece of the answer, as seen here.
        seconds_per_token: as seen here; the server's own figure wins.
    """
    base, usage = response.receipt, response.usage
    came = bool(response.text or response.reasoning or response.tool_calls)
    facts: dict[str, Any] = {
        "model_asked": asked.model,
        "model_answered": response.model,
        "ignored": _ignored(response, question, asked, base.ignored),
        "reasoning_ran": bool(response.reasoning or usage.reasoning_tokens) if came else None,
        "context_used_tokens": usage.total_tokens or None,
        "context_limit_tokens": base.context_limit_tokens or asked.context_limit_tokens,
        "cached_tokens": usage.cached_tokens,
        "dropped_messages": question.dropped_messages,
        "suspected_truncation": any(warning.kind == "suspected_truncation" for warning in response.warnings),
        "retries": tuple(question.retries),
        "waiting_s": waiting_s,
        "time_to_first_token_s": base.time_to_first_token_s if first_token_s is None else first_token_s,
        "seconds_per_token": seconds_per_token if base.seconds_per_token is None else base.seconds_per_token,
    }
    if asked.is_schema_enforced:
        facts["schema"] = "enforced"
    if waiting_s is None and base.prefill_s is not None and base.seconds_per_token is not None:
        # A plain reply comes as one piece: its times are the server's own, and what is left of the whole.
        generation_s = base.seconds_per_token * max(usage.output_tokens - 1, 0)
        facts["waiting_s"] = max(0.0, total_s - base.prefill_s - generation_s)
        if facts["time_to_first_token_s"] is None:
            facts["time_to_first_token_s"] = max(0.0, total_s - generation_s)
    return msgspec.structs.replace(base, **facts)


def context_warnings(usage: Usage, question: Question) -> tuple[GenerationWarning, ...]:
    """What the count of prompt tokens gives rise to."""
    # Some servers leave cached tokens out of the count.
    counted = usage.input_tokens + usage.cached_tokens
    return truncation_warnings(question.request.messages, counted) if usage.input_tokens else ()


def failed_receipt(question: Question, asked: Asked) -> Receipt:
    """The receipt of a request that brought no answer."""
    return Receipt(
        model_asked=asked.model,
        ignored=asked.adjustments + question.adjustments,
        dropped_messages=question.dropped_messages,
        retries=tuple(question.retries),
    )


def _ignored(
    response: ProviderResponse, question: Question, asked: Asked, told: tuple[Adjustment, ...]
) -> tuple[Adjustment, ...]:
    ignored = asked.adjustments + question.adjustments + _with_values(told, question)
    ran = response.reasoning or response.usage.reasoning_tokens
    if ran and question.asked.settings.reasoning == "off" and all(change.setting != "reasoning" for change in ignored):
        # Many servers take the field, and many models think all the same.
        ignored += (Adjustment(setting="reasoning", asked="off", reason="The model reasoned all the same."),)
    return ignored


def _with_values(ignored: tuple[Adjustment, ...], question: Question) -> tuple[Adjustment, ...]:
    """What the server says it ignored, with what was asked; it names settings only."""
    settings = question.request.settings
    return tuple(
        msgspec.structs.replace(change, asked=str(getattr(settings, change.setting, None) or change.asked))
        for change in ignored
    )
