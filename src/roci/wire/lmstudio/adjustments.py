"""What LM Studio's dialect cannot say as it was asked, and what `convert.chat_body` sends instead."""

from __future__ import annotations

from roci.types.receipt import Adjustment
from roci.types.requests import CheckedRequest


def adjustments(request: CheckedRequest) -> tuple[Adjustment, ...]:
    """The differences between `request` and the body that is made of it."""
    found: list[Adjustment] = []
    form, choice = request.response_format, request.choice
    if form is not None and form.kind == "json_object":
        found.append(
            Adjustment(
                setting="response_format",
                asked="json_object",
                sent="json_schema of any object",
                reason="LM Studio refuses json_object.",
            )
        )
    if choice is not None and choice.mode == "named":
        found.append(
            Adjustment(
                setting="tool_choice",
                asked=choice.name,
                sent=f"required, with {choice.name} as the only tool",
                reason="LM Studio takes no tool's name.",
            )
        )
    return tuple(found)
