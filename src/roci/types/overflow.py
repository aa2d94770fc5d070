"""A conversation that does not fit the model's context: which old turns to leave out."""

from __future__ import annotations

from typing import Final, Literal

from roci.types.messages import ImagePart, ModelMessage

OnOverflow = Literal["error", "drop_oldest"]

# What a message costs beside its text: the template's marks around it.
_MESSAGE_CHARACTERS: Final = 16
# An image costs a model several hundred tokens, whatever its file's size.
_IMAGE_CHARACTERS: Final = 2_000


def without_oldest_turns(
    messages: tuple[ModelMessage, ...],
    *,
    limit_tokens: int | None = None,
    given_tokens: int | None = None,
    max_tokens: int | None = None,
) -> tuple[ModelMessage, ...] | None:
    """`messages` without their oldest turns, as many as it takes by the server's numbers; None where none may go.

    A turn is a user's message with all that follows it up to the next one, so that a tool's result never loses its
    call. System messages and the last turn stay. Without numbers, half of what may go does.

    Args:
        limit_tokens: the model's context, as the server's error names it.
        given_tokens: what was sent, as the server's error names it.
        max_tokens: what is to be generated. Room for it is kept, up to half of the context; without it, room for an
            eighth of the context.
    """
    turns = _turns(messages)
    droppable = turns[:-1]
    if not droppable:
        return None
    weights = [sum(_weight(messages[index]) for index in turn) for turn in droppable]
    excess = _excess(sum(map(_weight, messages)), sum(weights), limit_tokens, given_tokens, max_tokens)
    gone: set[int] = set()
    for turn, weight in zip(droppable, weights, strict=True):
        if gone and excess <= 0:
            break
        gone.update(turn)
        excess -= weight
    return tuple(message for index, message in enumerate(messages) if index not in gone)


def _turns(messages: tuple[ModelMessage, ...]) -> list[list[int]]:
    """The places of each turn's messages; what stands before the first user's message is a turn too."""
    turns: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(index)
    return turns


def _excess(
    whole: float, droppable: float, limit_tokens: int | None, given_tokens: int | None, max_tokens: int | None
) -> float:
    """How much has to go, in the weights' measure."""
    if limit_tokens is None or given_tokens is None or given_tokens <= 0:
        return droppable / 2
    room = min(max_tokens or limit_tokens // 8, limit_tokens // 2)
    # The server's own count says what a character costs in this conversation.
    return (given_tokens - (limit_tokens - room)) * whole / given_tokens


def _weight(message: ModelMessage) -> int:
    text = len(message.text)
    images = sum(isinstance(part, ImagePart) for part in message.parts)
    calls = sum(len(call.name) + len(call.arguments_json) for call in message.tool_calls)
    return _MESSAGE_CHARACTERS + text + images * _IMAGE_CHARACTERS + calls
