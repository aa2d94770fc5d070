"""Several rounds as one result: what they cost together, and what the last one said. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from roci.errors import RociError
from roci.generation.object_receipts import summed
from roci.types.messages import ModelMessage
from roci.types.receipt import Receipt, combined
from roci.types.results import FinishReason, GenerateTextResult, GenerationStats, GenerationStep, GenerationWarning
from roci.types.tools import ToolCall


def result_of(
    steps: Sequence[GenerationStep],
    messages: Sequence[ModelMessage],
    *,
    left: tuple[ToolCall, ...] = (),
    warnings: Sequence[GenerationWarning] = (),
    total_time_s: float = 0.0,
    error: RociError | None = None,
) -> GenerateTextResult:
    """The result of `steps`, the last of which has the answer.

    Args:
        messages: the conversation with all that came of the rounds.
        left: the calls that are the caller's.
        warnings: of what was run; the answers bring their own.
        error: why it broke off.
    """
    last = steps[-1].response
    return GenerateTextResult(
        text=last.text,
        reasoning=last.reasoning,
        tool_calls=left,
        steps=tuple(steps),
        messages=tuple(messages),
        usage=summed(step.usage for step in steps),
        finish_reason=last.finish_reason if error is None else FinishReason.ERROR,
        stats=GenerationStats(
            total_time_s=total_time_s,
            time_to_first_token_s=steps[0].response.stats.time_to_first_token_s,
            tokens_per_second=last.stats.tokens_per_second,
        ),
        warnings=tuple(dict.fromkeys((*(each for step in steps for each in step.response.warnings), *warnings))),
        model=last.model,
        session_id=last.session_id,
        receipt=receipt_of([step.response.receipt for step in steps]),
        error=error,
    )


def receipt_of(receipts: Sequence[Receipt | None]) -> Receipt:
    """The receipt of all rounds together; one that failed before anything was asked has none."""
    return combined([receipt for receipt in receipts if receipt is not None])
