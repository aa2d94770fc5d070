"""What a call really did: which model answered, what was changed on the way, what it cost and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")

SchemaFact = Literal["none", "enforced", "validated", "recovered"]


class Adjustment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A setting that did not go through as it was asked."""

    setting: str
    """Its name in `GenerationSettings`, or the request's field: `temperature`, `tool_choice`."""
    asked: str = ""
    """The value that was asked for, as text."""
    sent: str = ""
    """The value that was used instead, as text; empty where it was left out or had no effect."""
    reason: str = ""
    """Why, as a sentence: the server's own words where it gave some."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One more attempt, and why there was one."""

    reason: str
    """What went wrong with the attempt before, as a sentence."""
    waited_s: float = 0.0
    """How long this side waited before it tried again."""
    generated_tokens: int = 0
    """Tokens that the server had generated for the attempt before, and that were paid for twice; 0 where the attempt
    failed before it generated anything."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call really did. A field the server and this side know nothing of is None, empty or 0.

    Every result has one, and so has an error (`error.receipt`) that came after the server had begun to work.
    """

    model_asked: str = ""
    model_answered: str = ""
    """As the server names it; empty where it does not."""
    ignored: tuple[Adjustment, ...] = ()
    """Settings that were ignored or refused, with what was sent instead."""
    schema: SchemaFact = "none"
    """`none`: no schema was asked for. `enforced`: the server held the model to it while it wrote. `validated`: only
    this side checked the finished text. `recovered`: the text was no such JSON until it was repaired; see
    `recovered`."""
    reasoning_ran: bool | None = None
    """Whether the model thought before it answered, by what came of it; None where nothing of an answer came."""
    context_used_tokens: int | None = None
    """Prompt and answer together, as the server counted them."""
    context_limit_tokens: int | None = None
    """The context of the loaded model, where the server told it in this call."""
    cached_tokens: int = 0
    """Prompt tokens that the server still had from before."""
    dropped_messages: int = 0
    """Messages left out, oldest first, because the conversation did not fit (`on_overflow="drop_oldest"`)."""
    suspected_truncation: bool = False
    """The server counted far fewer prompt tokens than were sent: it probably cut the prompt."""
    waiting_s: float | None = None
    """From the request to the first byte of the reply: the server's queue, and with many servers the load and the
    prefill too. In a reply that is not streamed, all of the generation."""
    load_s: float | None = None
    """Loading the model, where the server tells."""
    prefill_s: float | None = None
    """Reading the prompt, where the server tells."""
    time_to_first_token_s: float | None = None
    """From the request to the first text, reasoning or call as seen here; the server's own figure where the reply was
    not streamed."""
    seconds_per_token: float | None = None
    """Per token after the first: the server's own figure where it gives one."""
    retries: tuple[Retry, ...] = ()
    """Every attempt before the one that counted. Empty: the server was asked once."""
    recovered: str = ""
    """How the wanted JSON was found in the text, as words with `, ` between them: `fence` (in a code block), `prose`
    (between other words), `markers` (engine's marks taken out), `reasoning` (the answer itself was empty), `bare`
    (without the object that was asked for around it)."""
    notes: tuple[str, ...] = ()
    """What else the server said of this call, in its own words."""


def combined(receipts: Sequence[Receipt]) -> Receipt:
    """The receipt of several calls that were made for one, such as the rounds of tools or a repeated question.

    Times waited, loaded and spent in prefill are summed, and so are cached tokens; the time to the first token is the
    first call's, the context used is the last one's.
    """
    if len(receipts) < 2:
        return receipts[0] if receipts else Receipt()
    first, last = receipts[0], receipts[-1]
    thought = {one.reasoning_ran for one in receipts}
    schemas: list[SchemaFact] = [one.schema for one in receipts if one.schema != "none"]
    rates = [one.seconds_per_token for one in receipts if one.seconds_per_token is not None]
    return Receipt(
        model_asked=first.model_asked,
        model_answered=_last([one.model_answered for one in receipts]) or "",
        ignored=tuple(dict.fromkeys(change for one in receipts for change in one.ignored)),
        schema=_last(schemas) or "none",
        reasoning_ran=True if True in thought else None if None in thought else False,
        context_used_tokens=last.context_used_tokens,
        context_limit_tokens=_last([one.context_limit_tokens for one in receipts]),
        cached_tokens=sum(one.cached_tokens for one in receipts),
        dropped_messages=max(one.dropped_messages for one in receipts),
        suspected_truncation=any(one.suspected_truncation for one in receipts),
        waiting_s=_sum([one.waiting_s for one in receipts]),
        load_s=_sum([one.load_s for one in receipts]),
        prefill_s=_sum([one.prefill_s for one in receipts]),
        time_to_first_token_s=first.time_to_first_token_s,
        seconds_per_token=sum(rates) / len(rates) if rates else None,
        retries=tuple(retry for one in receipts for retry in one.retries),
        recovered=_last([one.recovered for one in receipts]) or "",
        notes=tuple(dict.fromkeys(note for one in receipts for note in one.notes)),
    )


def _last(values: Sequence[T]) -> T | None:
    """The last value that says something."""
    return next((value for value in reversed(values) if value), None)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
