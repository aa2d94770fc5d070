"""What the attempts at one object cost together, and how it came about. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from roci.generation.json_search import Found
from roci.types.receipt import Adjustment, Receipt, Retry, SchemaFact
from roci.types.results import ProviderResponse, Usage

_TOLD_LIMIT: Final = 8


def object_receipt(
    answers: Sequence[ProviderResponse],
    found: Found[Any] | None,
    *,
    took_schema: bool,
    broke_schema: bool,
    checked_only: tuple[str, ...],
    adjustments: Sequence[Adjustment],
    retries: Sequence[Retry],
) -> Receipt:
    """The receipt of all attempts: times and context of the last one, everything else of all.

    Args:
        found: None where no answer fitted.
        took_schema: the server was sent the schema to enforce, and did not refuse it.
        broke_schema: an answer broke what was to be enforced.
        checked_only: paths in the schema that no server is asked to enforce.
        adjustments: of the answer's form.
        retries: because of answers that did not fit, one behind each answer but the last.
    """
    last = answers[-1]
    how = found.how if found else ()
    schema: SchemaFact = "recovered" if how else "enforced" if took_schema and not broke_schema else "validated"
    notes = [note for answer in answers for note in answer.receipt.notes]
    if took_schema and (broke_schema or how):
        notes.append("The server took the schema without an error and did not hold the model to it.")
    if checked_only:
        told = ", ".join(checked_only[:_TOLD_LIMIT])
        more = f" and {len(checked_only) - _TOLD_LIMIT} more" if len(checked_only) > _TOLD_LIMIT else ""
        notes.append(f"Checked when the answer was whole, and not enforced while it was written: {told}{more}.")
    ran = last.receipt.reasoning_ran
    return replace(
        last.receipt,
        schema=schema,
        recovered=", ".join(how),
        ignored=tuple(dict.fromkeys([*(each for answer in answers for each in answer.receipt.ignored), *adjustments])),
        retries=_in_order(answers, retries),
        notes=tuple(dict.fromkeys(notes)),
        reasoning_ran=True if last.reasoning or last.usage.reasoning_tokens else ran,
    )


def _in_order(answers: Sequence[ProviderResponse], retries: Sequence[Retry]) -> tuple[Retry, ...]:
    ordered: list[Retry] = []
    for number, answer in enumerate(answers):
        ordered += answer.receipt.retries
        ordered += retries[number : number + 1]
    return tuple(ordered)


def summed(usages: Iterable[Usage]) -> Usage:
    """Of several answers, in tokens."""
    every = list(usages)
    return Usage(
        input_tokens=sum(each.input_tokens for each in every),
        output_tokens=sum(each.output_tokens for each in every),
        total_tokens=sum(each.total_tokens for each in every),
        cached_tokens=sum(each.cached_tokens for each in every),
        reasoning_tokens=sum(each.reasoning_tokens for each in every),
    )
