"""What a client may ask of `/v1/messages` and `/v1/messages/count_tokens`, decoded and checked.

Fields that mean nothing to a model on this machine (`cache_control`, `metadata`, `service_tier`) are skipped. What
would change the answer and cannot be done (tools that Anthropic itself runs, files that only it has) is refused.

Source: Anthropic API reference, Messages, and the types of the `anthropic` package 2.12, read in 2026.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from roci.wire.openai.request_faults import decode_body, invalid
from roci.wire.openai.requests import Share, Temperature

_STOP_LIMIT: Final = 64
_CUSTOM_TOOL: Final = (None, "custom")

Role = Literal["user", "assistant", "system"]
ToolChoiceKind = Literal["auto", "any", "tool", "none"]
ThinkingKind = Literal["enabled", "disabled", "adaptive", "between_tools"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]


class Source(Struct):
    """Where the bytes of an image or the text of a document are."""

    type: str
    """base64 (images), text or content (documents)."""
    media_type: str | None = None
    data: str | None = None
    content: str | list[Block] | None = None


class Block(Struct):
    """A piece of a message. Which fields it has follows from its `type`.

    `text` (text), `image` and `document` (source), `tool_use` (id, name, input), `tool_result` (tool_use_id, content,
    is_error), `thinking` (thinking), `redacted_thinking`, `search_result` (source, title, content).
    """

    type: str
    text: str | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, Any] | None = None
    is_error: bool | None = None
    thinking: str | None = None


class InputMessage(Struct):
    role: Role
    """system: an instruction in the middle of the conversation."""
    content: str | list[Block]


class MessagesTool(Struct):
    name: Annotated[str, Meta(min_length=1)]
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    type: str | None = None
    """custom, or absent. Tools that Anthropic runs or defines have other types, and are refused."""
    strict: bool | None = None


class MessagesToolChoice(Struct):
    type: ToolChoiceKind
    name: str | None = None
    """The tool, where `type` is tool."""
    disable_parallel_tool_use: bool | None = None
    """One call at most in the answer. Default false."""


class Thinking(Struct):
    type: ThinkingKind
    """adaptive and between_tools leave it to the model."""
    budget_tokens: int | None = None
    """Tokens of thinking at most, from 1; null: no limit of its own."""
    display: str | None = None
    """omitted: the thinking is not sent. Default: it is."""


class OutputFormat(Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct):
    effort: Effort | None = None
    """How much to think, where the model has degrees of it."""
    format: OutputFormat | None = None


class CountRequest(Struct, kw_only=True):
    """The body of `POST /v1/messages/count_tokens`: all that the model is shown."""

    model: str = ""
    """May be left out where one model is in memory."""
    messages: Annotated[list[InputMessage], Meta(min_length=1)]
    system: str | list[Block] | None = None
    tools: list[MessagesTool] | None = None
    tool_choice: MessagesToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    """The older place of `output_config.format`."""
    mcp_servers: list[Any] | None = None
    """Refused unless it is empty."""
    ttl: int | float | str | None = None
    """Seconds that the model stays loaded after its last request, if this request loads it; LM Studio's own."""


class MessagesRequest(CountRequest, kw_only=True):
    """The body of `POST /v1/messages`. A null means the same as a field that is absent."""

    max_tokens: int
    """From 1; the answer ends sooner where the model's context is full."""
    stream: bool | None = None
    temperature: Temperature | None = None
    """Anthropic's own models take 0 to 1; here it may be higher."""
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stop_sequences: list[str] | None = None


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "messages.role": get_args(Role),
    "tool_choice.type": get_args(ToolChoiceKind),
    "thinking.type": get_args(ThinkingKind),
    "output_config.effort": get_args(Effort),
    "output_config.format.type": ("json_schema",),
    "output_format.type": ("json_schema",),
}

_messages_decoder: Final = msgspec.json.Decoder(MessagesRequest)
_count_decoder: Final = msgspec.json.Decoder(CountRequest)


def decode_messages_request(body: bytes) -> MessagesRequest:
    """The request in `body`, checked but for its content blocks, which `convert` looks into.

    Raises:
        BadRequestError: `.param` is the path of the field at fault (`messages[0].role`), None where there is none.
    """
    request = decode_body(body, _messages_decoder, _CHOICES)
    if request.max_tokens < 1:
        raise invalid(f"max_tokens is {request.max_tokens}; it takes a number from 1.", "max_tokens")
    texts = request.stop_sequences or ()
    if len(texts) > _STOP_LIMIT:
        raise invalid(f"stop_sequences has {len(texts)} texts; it takes {_STOP_LIMIT} at most.", "stop_sequences")
    for position, text in enumerate(texts):
        if not text:
            path = f"stop_sequences[{position}]"
            raise invalid(f"{path} is empty; it takes a text that ends the answer.", path)
    _check(request)
    return request


def decode_count_request(body: bytes) -> CountRequest:
    """The request in `body`; raises as `decode_messages_request`."""
    request = decode_body(body, _count_decoder, _CHOICES)
    _check(request)
    return request


def _check(request: CountRequest) -> None:
    for position, tool in enumerate(request.tools or ()):
        _check_tool(tool, f"tools[{position}]")
    _check_tool_choice(request)
    thinking = request.thinking
    if thinking is not None and thinking.budget_tokens is not None and thinking.budget_tokens < 1:
        path = "thinking.budget_tokens"
        raise invalid(f"{path} is {thinking.budget_tokens}; it takes a number from 1.", path)
    if request.mcp_servers:
        raise invalid(
            "mcp_servers are not called from this route.",
            "mcp_servers",
            code="mcp_not_supported",
            hint="Give their tools as tools and run the calls yourself.",
        )


def _check_tool(tool: MessagesTool, path: str) -> None:
    if tool.type not in _CUSTOM_TOOL:
        raise invalid(
            f"{path} is a tool of Anthropic's own ({tool.type}); this server does not have it.",
            f"{path}.type",
            code="tool_not_supported",
            hint="Tools of type custom, with name and input_schema, work: the calls come back to you.",
        )
    if tool.input_schema is None:
        raise invalid(f"{path}.input_schema is missing.", f"{path}.input_schema", code="missing_field")


def _check_tool_choice(request: CountRequest) -> None:
    choice = request.tool_choice
    if choice is None or choice.type in ("auto", "none"):
        return
    names = [tool.name for tool in request.tools or ()]
    if not names:
        raise invalid(f"tool_choice is {choice.type}, but there are no tools.", "tool_choice")
    if choice.type == "tool" and choice.name not in names:
        path = "tool_choice.name"
        if choice.name is None:
            raise invalid(f"{path} is missing; tool_choice of type tool needs it.", path, code="missing_field")
        raise invalid(f"{path} is {choice.name!r}, which is not among tools.", path)
