"""The switches for a model's thinking: every spelling that clients use, and what a worker is told for it.

Source: the routes of LM Studio 0.4 as observed, OpenAI's and Anthropic's API references, llama.cpp's server by trying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from roci.errors import BadRequestError
from roci.wire.ask import Reasoning
from roci.wire.openai.request_faults import invalid

_WORDS: Final[dict[str, Reasoning]] = {
    "none": "off",
    "off": "off",
    "false": "off",
    "disabled": "off",
    "on": "on",
    "true": "on",
    "enabled": "on",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_EFFORTS: Final = ("low", "medium", "high")
# One token is taken up by the forced end of the thinking: none is left for a thought. Zero would never end it.
_NO_THOUGHT_TOKENS: Final = 1


def reasoning_of(value: object, path: str) -> Reasoning | None:
    """What a client's switch means; None and an empty object mean the model's own default.

    Args:
        value: a word, a boolean, or an object with `effort`, `enabled` or `type`.
        path: the field's path, for the error.

    Raises:
        BadRequestError: it means nothing.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        for name in ("effort", "enabled", "type"):
            if value.get(name) is not None:  # pyright: ignore[reportUnknownMemberType]
                return reasoning_of(value[name], f"{path}.{name}")  # pyright: ignore[reportUnknownArgumentType]
        return None
    word = _WORDS.get(value.lower()) if isinstance(value, str) else None
    if word is None:
        raise invalid(f"{path} is {value!r}; it takes none, minimal, low, medium, high or xhigh.", path)
    return word


class ReasoningPlan:
    """What a worker is told, and whether it was what the client wanted."""

    def __init__(self, fields: dict[str, Any], template: dict[str, Any], ignored: str = "") -> None:
        self.fields = fields
        """Fields of the worker's request."""
        self.template = template
        """Variables for its chat template."""
        self.ignored = ignored
        """Why the wish was not heeded, as a sentence; empty where it was."""


def plan_reasoning(
    wanted: Reasoning | None,
    options: Sequence[str],
    *,
    default: str | None = None,
    switch: str | None = None,
    is_strict: bool = False,
) -> ReasoningPlan:
    """How `wanted` is told to a model.

    Args:
        options: what it offers, of off, on, low, medium and high; empty: it does not think.
        default: which of them its chat template means where it is told nothing. The engine has a default of its own.
        switch: the variable of its chat template that turns thinking on and off; None where there is none.
        is_strict: refuse what it does not offer, instead of taking the nearest.

    Raises:
        BadRequestError: `is_strict`, and the model does not offer it.
    """
    if wanted is None:
        return ReasoningPlan({}, {switch: default != "off"} if switch and default is not None else {})
    if is_strict and wanted not in options:
        raise _not_offered(wanted, options)
    if not options:
        return ReasoningPlan({}, {}, "" if wanted == "off" else "This model does not reason.")
    if wanted == "off":
        if switch is not None and "off" in options:
            return ReasoningPlan({}, {switch: False})
        return ReasoningPlan({"thinking_budget_tokens": _NO_THOUGHT_TOKENS}, {})
    template: dict[str, Any] = {} if switch is None else {switch: True}
    if any(effort in options for effort in _EFFORTS):
        return ReasoningPlan({"reasoning_effort": "medium" if wanted == "on" else wanted}, template)
    ignored = "" if wanted == "on" else f"This model's reasoning is on or off; {wanted} was read as on."
    return ReasoningPlan({}, template, ignored)


def _not_offered(wanted: Reasoning, options: Sequence[str]) -> BadRequestError:
    there = f"it offers {', '.join(options)}" if options else "it does not reason"
    return invalid(f"reasoning is {wanted!r}, which this model does not offer: {there}.", "reasoning")
