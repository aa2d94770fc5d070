"""What a provider is asked."""

from __future__ import annotations

import msgspec

from roci.errors import UnsupportedError, UsageError
from roci.types.messages import ModelMessage, conversation
from roci.types.overflow import OnOverflow
from roci.types.settings import GenerationSettings, ResponseFormat, Timeouts
from roci.types.tools import ToolChoice, ToolDefinition, check_tools, tool_choice


class ProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One question to one model."""

    messages: tuple[ModelMessage, ...] | list[ModelMessage]
    settings: GenerationSettings = GenerationSettings()
    tools: tuple[ToolDefinition, ...] | list[ToolDefinition] | None = None
    response_format: ResponseFormat | None = None
    """Wins over the one in `settings`; both, and different, is an error."""
    session_id: str | None = None
    """Goes to results and logs, not to the server."""
    transport: None = None
    """Takes None only."""
    timeouts: Timeouts | None = None
    """Wins over the provider's."""
    on_overflow: OnOverflow = "error"
    """What to do where the conversation does not fit the model's context: raise `ContextTooLongError`, or ask again
    without its oldest turns; the receipt says how many messages were left out."""


class CheckedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose every part is known to be good, with what was ambiguous settled."""

    messages: tuple[ModelMessage, ...]
    settings: GenerationSettings
    tools: tuple[ToolDefinition, ...]
    choice: ToolChoice | None
    response_format: ResponseFormat | None
    session_id: str | None
    timeouts: Timeouts | None
    on_overflow: OnOverflow = "error"


def checked(request: ProviderRequest) -> CheckedRequest:
    """`request` with every part checked; nothing has been sent when this raises.

    Raises:
        UsageError: names the field that is wrong.
    """
    if request.transport is not None:  # pyright: ignore[reportUnnecessaryComparison]
        raise UnsupportedError(
            "ProviderRequest.transport takes None only: a provider owns its transport.",
            capability="transport",
        )
    settings = request.settings
    settings.check()
    asked, default = request.response_format, settings.response_format
    if asked is not None and default is not None and asked != default:
        raise UsageError(
            "The request and its settings ask for different response formats.",
            field="response_format",
            hint="Give the format in one of the two places.",
        )
    if request.on_overflow not in ("error", "drop_oldest"):
        raise UsageError(
            f"on_overflow is {request.on_overflow!r}; it takes 'error' or 'drop_oldest'.", field="on_overflow"
        )
    tools = tuple(request.tools or ())
    choice = None if settings.tool_choice is None else tool_choice(settings.tool_choice)
    check_tools(tools, choice)
    return CheckedRequest(
        messages=conversation(request.messages),
        settings=settings,
        tools=tools,
        choice=choice,
        response_format=asked or default,
        session_id=request.session_id,
        timeouts=request.timeouts,
        on_overflow=request.on_overflow,
    )
