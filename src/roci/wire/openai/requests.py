"""What a client may ask of `/v1/chat/completions`, and the body that a worker is sent for it.

Only the fields that roci has to look at are described; all others are forwarded as they came. The engine takes many
wrong values without a word, and answers some client mistakes as if they were its own: both are refused here.

Source: OpenAI API reference, chat completions; llama.cpp's server, by trying.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from roci.wire.openai.request_faults import decode_body, invalid

_TOKENS_LIMIT: Final = 2**31 - 1
_STOP_LIMIT: Final = 64

Role = Literal["system", "developer", "user", "assistant", "tool"]
FormatKind = Literal["text", "json_object", "json_schema"]
ReasoningFormat = Literal["none", "auto", "deepseek", "deepseek-legacy"]
TOOL_CHOICES: Final = ("auto", "none", "required")


class ImageUrl(Struct, omit_defaults=True):
    url: str


class ContentPart(Struct, omit_defaults=True):
    """A piece of a message's content; `type` is text, image_url, input_audio or another that the worker knows."""

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class CalledFunction(Struct, omit_defaults=True):
    name: str
    arguments: str


class AssistantToolCall(Struct, omit_defaults=True):
    function: CalledFunction
    id: str | None = None
    type: str | None = None


class ChatMessage(Struct, omit_defaults=True):
    role: Role
    content: str | list[ContentPart] | None = None
    tool_calls: list[AssistantToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    """An assistant's earlier thinking; templates that know what to do with it get it."""


class FunctionSpec(Struct, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(Struct):
    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(Struct):
    name: str


class NamedTool(Struct, tag_field="type", tag="function"):
    """The one tool that must be called."""

    function: NamedFunction


class AllowedTools(Struct):
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1)]


class ToolChoiceAmong(Struct, tag_field="type", tag="allowed_tools"):
    """Only some of the tools count for this request."""

    allowed_tools: AllowedTools


class JsonSchemaSpec(Struct, omit_defaults=True):
    schema: dict[str, Any]
    name: str | None = None
    strict: bool | None = None


class ResponseFormatSpec(Struct, omit_defaults=True):
    type: FormatKind
    json_schema: JsonSchemaSpec | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Temperature = Annotated[float, Meta(ge=0, le=100)]


class ChatRequest(Struct, kw_only=True, omit_defaults=True):
    """The body of `POST /v1/chat/completions`, and what the other routes' bodies are turned into.

    A null means the same as a field that is absent.
    """

    model: str = ""
    """An instance's id or a model's key; empty: the only one in memory, or else the only one there is."""
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    """From 1; null and -1 are no limit."""
    max_completion_tokens: int | None = None
    """Wins over `max_tokens`."""
    temperature: Temperature | None = None
    """From 0 (always the likeliest token); far above 2 every token is as likely as any other."""
    top_p: Share | None = None
    top_k: int | None = None
    min_p: Share | None = None
    repeat_penalty: Annotated[float, Meta(gt=0)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: str | NamedTool | ToolChoiceAmong | None = None
    """`none`, `auto`, `required`, a tool, or those that are allowed. Default auto where there are tools."""
    parallel_tool_calls: bool | None = None
    """False: one call at most in each answer. Default true."""
    response_format: ResponseFormatSpec | None = None
    reasoning_format: ReasoningFormat | None = None
    reasoning_effort: str | None = None
    """none, minimal, low, medium, high or xhigh; see `reasoning.py` for the other spellings that are understood."""
    logit_bias: dict[str, float | bool] | list[tuple[int | str, float | bool]] | None = None
    ttl: int | float | str | None = None
    """Seconds that the model stays loaded after its last request, if this request loads it; LM Studio's own."""
    draft_model: str | None = None
    """A smaller model of the same vocabulary that proposes tokens, if this request loads the model; LM Studio's own."""
    return_progress: bool | None = None
    """llama.cpp's own: events that tell how far the prompt is computed."""

    @property
    def answers(self) -> int:
        """How many answers at once it wants, each of which takes a slot."""
        return self.n or 1

    @property
    def has_images(self) -> bool:
        return self._has_part("image_url")

    @property
    def has_audio(self) -> bool:
        return self._has_part("input_audio")

    def _has_part(self, kind: str) -> bool:
        return any(
            part.type == kind
            for message in self.messages
            if isinstance(message.content, list)
            for part in message.content
        )


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "messages.role": get_args(Role),
    "response_format.type": get_args(FormatKind),
    "reasoning_format": get_args(ReasoningFormat),
    "tools.type": ("function",),
    "tool_choice.type": ("function", "allowed_tools"),
    "tool_choice.allowed_tools.mode": ("auto", "required"),
}
"""Field, without positions -> what it takes, for the message."""

_decoder: Final = msgspec.json.Decoder(ChatRequest)


def decode_chat_request(body: bytes) -> ChatRequest:
    """The request in `body`, checked as far as it can be without the model.

    Raises:
        BadRequestError: `.param` is the path of the field at fault (`messages[0].role`), None where there is none.
    """
    request = decode_body(body, _decoder, _CHOICES)
    check_chat_request(request)
    return request


def check_chat_request(request: ChatRequest) -> None:
    """Refuses what the types cannot say; also for a request that another dialect was turned into.

    Raises:
        BadRequestError: names the field.
    """
    for name in ("max_tokens", "max_completion_tokens"):
        value = getattr(request, name)
        if value is not None and value != -1 and not 1 <= value <= _TOKENS_LIMIT:
            raise invalid(
                f"{name} is {value}; it takes a number from 1 to {_TOKENS_LIMIT}, and null or -1 for no limit.", name
            )
    if request.top_k is not None and not 0 <= request.top_k <= _TOKENS_LIMIT:
        raise invalid(f"top_k is {request.top_k}; it takes a number from 0, which switches it off.", "top_k")
    if request.top_logprobs is not None and not request.logprobs:
        raise invalid("top_logprobs needs logprobs to be true.", "top_logprobs")
    _check_stop(request.stop)
    for position, message in enumerate(request.messages):
        _check_message(message, f"messages[{position}]")
    if request.response_format is not None:
        _check_format(request.response_format)
    _check_tool_choice(request)


def _check_stop(stop: str | list[str] | None) -> None:
    texts = [stop] if isinstance(stop, str) else stop or []
    if len(texts) > _STOP_LIMIT:
        raise invalid(f"stop has {len(texts)} texts; it takes {_STOP_LIMIT} at most.", "stop")
    for position, text in enumerate(texts):
        if not text:
            path = "stop" if isinstance(stop, str) else f"stop[{position}]"
            raise invalid(f"{path} is empty; it takes a text that ends the answer.", path)


def _check_message(message: ChatMessage, path: str) -> None:
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise invalid(
            f"{path}.content is missing; only an assistant message with tool_calls may lack it.", f"{path}.content"
        )
    if isinstance(message.content, list):
        for position, part in enumerate(message.content):
            _check_part(part, f"{path}.content[{position}]")
    for position, call in enumerate(message.tool_calls or ()):
        _check_arguments(call.function.arguments, f"{path}.tool_calls[{position}].function.arguments")


def _check_part(part: ContentPart, path: str) -> None:
    needed = {"text": part.text, "image_url": part.image_url, "input_audio": part}
    if part.type not in needed:
        raise invalid(f"{path}.type is {part.type!r}; it takes {', '.join(needed)}.", f"{path}.type")
    if needed[part.type] is None:
        place = f"{path}.{part.type}"
        raise invalid(f"{place} is missing; a part of type {part.type} needs it.", place, code="missing_field")


def _check_arguments(text: str, path: str) -> None:
    try:
        arguments = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{path} is not JSON: {error}.", path) from error
    if not isinstance(arguments, dict):
        raise invalid(f"{path} is not a JSON object.", path)


def _check_format(wanted: ResponseFormatSpec) -> None:
    if wanted.type == "json_schema" and wanted.json_schema is None:
        path = "response_format.json_schema"
        raise invalid(f"{path} is missing; response_format of type json_schema needs it.", path)


def _check_tool_choice(request: ChatRequest) -> None:
    choice = request.tool_choice
    if choice is None:
        return
    names = [tool.function.name for tool in request.tools or ()]
    if isinstance(choice, str):
        if choice not in TOOL_CHOICES:
            words = ", ".join(TOOL_CHOICES)
            raise invalid(
                f"tool_choice is {choice!r}; it takes {words}, or an object that names a function.", "tool_choice"
            )
        if choice == "required" and not names:
            raise invalid("tool_choice is required, but there are no tools.", "tool_choice")
        return
    if isinstance(choice, ToolChoiceAmong):
        chosen = [
            (f"tool_choice.allowed_tools.tools[{position}].function.name", tool)
            for position, tool in enumerate(choice.allowed_tools.tools)
        ]
    else:
        chosen = [("tool_choice.function.name", choice)]
    for path, tool in chosen:
        if tool.function.name not in names:
            raise invalid(f"{path} is {tool.function.name!r}, which is not among tools.", path)


def with_allowed_tools_only(request: ChatRequest) -> ChatRequest:
    """`request` with a choice among allowed tools carried out: the others are not there."""
    choice = request.tool_choice
    if not isinstance(choice, ToolChoiceAmong):
        return request
    names = {tool.function.name for tool in choice.allowed_tools.tools}
    tools = [tool for tool in request.tools or () if tool.function.name in names]
    return replace(request, tools=tools, tool_choice=choice.allowed_tools.mode)
