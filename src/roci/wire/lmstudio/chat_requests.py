"""What a client may ask of `POST /api/v1/chat`, and the `Ask` that it becomes.

Source: LM Studio REST reference, "Chat with a model", read for 0.4.0; faults as 0.4.25 tells them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta, Struct

from roci.wire.ask import Ask, Reasoning
from roci.wire.images import GivenImage
from roci.wire.lmstudio.strict_body import decode_strict
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatMessage, ChatRequest, ContentPart, ImageUrl, Share

_SYSTEM: Final = ("system", "developer")
_SHOWN_CHARS: Final = 60
_TOKENS_LIMIT: Final = 2**31 - 1

Tokens = Annotated[int, Meta(ge=1, le=_TOKENS_LIMIT)]


class InputItem(Struct, forbid_unknown_fields=True):
    """A piece of the user's turn."""

    type: str
    """`text` or `image`; `message`, as LM Studio's own pages print it, is another name for `text`."""
    content: str | None = None
    data_url: str | None = None
    """A PNG, JPEG, WebP or GIF: a data URI, or its base64 alone. Nothing is fetched."""


class PluginIntegration(Struct, tag_field="type", tag="plugin", forbid_unknown_fields=True):
    """All tools, or some, of a server in this server's own `mcp.json`."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    """`mcp/` and the server's name there."""
    allowed_tools: Annotated[list[str], Meta(max_length=1000)] | None = None


class EphemeralMcpIntegration(Struct, tag_field="type", tag="ephemeral_mcp", forbid_unknown_fields=True):
    """A remote MCP server, for this request alone."""

    server_label: Annotated[str, Meta(min_length=1, max_length=200)]
    server_url: Annotated[str, Meta(pattern=r"^https?://", max_length=4000)]
    allowed_tools: Annotated[list[str], Meta(max_length=1000)] | None = None
    headers: Annotated[dict[str, str], Meta(max_length=100)] | None = None


Integration = PluginIntegration | EphemeralMcpIntegration


class NativeChatRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/chat`. A null means the same as a field that is absent."""

    model: Annotated[str, Meta(min_length=1)]
    input: str | Annotated[list[InputItem], Meta(min_length=1, max_length=1000)]
    system_prompt: str | None = None
    """In a continued thread it takes the place of the one before."""
    integrations: Annotated[list[str | Integration], Meta(max_length=64)] | None = None
    stream: bool | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0, le=_TOKENS_LIMIT)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0)] | None = None
    max_output_tokens: Tokens | None = None
    reasoning: Reasoning | None = None
    """None: the model's own default. A value that the model does not offer is refused."""
    context_length: Tokens | None = None
    """Tokens, if this request loads the model."""
    store: bool | None = None
    """Whether the answer can be continued by its `response_id`; default true."""
    previous_response_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None

    @property
    def is_stored(self) -> bool:
        return self.store is not False

    @property
    def wanted_integrations(self) -> list[Integration]:
        """The integrations, with those that are given by name alone written out."""
        return [PluginIntegration(item) if isinstance(item, str) else item for item in self.integrations or ()]


_CHOICES: Final = {
    "reasoning": get_args(Reasoning),
    "integrations.type": ("plugin", "ephemeral_mcp"),
}
_decoder: Final = msgspec.json.Decoder(NativeChatRequest)


def decode_native_chat(body: bytes) -> NativeChatRequest:
    """The request in `body`, checked as far as it can be without the model.

    Raises:
        BadRequestError: `param` is the path of the field at fault.
    """
    request = decode_strict(body, _decoder, _CHOICES)
    if not isinstance(request.input, str):
        for position, item in enumerate(request.input):
            _check_item(item, f"input[{position}]")
    return request


def native_ask(request: NativeChatRequest, thread: Sequence[ChatMessage] = ()) -> Ask:
    """What the engine is asked.

    Args:
        thread: the conversation that `previous_response_id` names, system prompt included.
    """
    added = native_messages(request, thread)
    if added is None:
        rest = [message for message in thread if message.role not in _SYSTEM]
        messages = [ChatMessage("system", request.system_prompt or ""), *rest, _user_turn(request)]
    else:
        messages = [*thread, *added]
    chat = ChatRequest(
        model=request.model,
        messages=messages,
        stream=bool(request.stream),
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        min_p=request.min_p,
        top_k=request.top_k,
        repeat_penalty=request.repeat_penalty,
    )
    return Ask(chat=chat, reasoning=request.reasoning, reasoning_is_strict=True, context_length=request.context_length)


def native_messages(request: NativeChatRequest, thread: Sequence[ChatMessage]) -> list[ChatMessage] | None:
    """What the request adds to the end of `thread`; None where it changes the system prompt that stands before it."""
    turn = _user_turn(request)
    if request.system_prompt is None:
        return [turn]
    if not thread:
        return [ChatMessage("system", request.system_prompt), turn]
    said = [message.content for message in thread if message.role in _SYSTEM]
    return [turn] if said == [request.system_prompt] else None


def native_images(request: NativeChatRequest) -> Iterator[GivenImage]:
    """The images of a decoded request."""
    if isinstance(request.input, str):
        return
    for position, item in enumerate(request.input):
        if item.data_url is not None:
            yield GivenImage(f"input[{position}].data_url", item.data_url, partial(setattr, item, "data_url"))


def _user_turn(request: NativeChatRequest) -> ChatMessage:
    """`input` as one message; without images it is plain text, which every chat template takes."""
    if isinstance(request.input, str):
        return ChatMessage("user", request.input)
    if all(item.type != "image" for item in request.input):
        return ChatMessage("user", "\n".join(item.content or "" for item in request.input))
    return ChatMessage("user", [_part(item) for item in request.input])


def _part(item: InputItem) -> ContentPart:
    if item.type == "image":
        return ContentPart("image_url", image_url=ImageUrl(item.data_url or ""))
    return ContentPart("text", text=item.content)


def _check_item(item: InputItem, path: str) -> None:
    if item.type not in ("text", "message", "image"):
        shown = item.type[:_SHOWN_CHARS]
        raise invalid(f"{path}.type is '{shown}'; expected 'text' | 'image'.", "input", code="invalid_union")
    needed, other = ("data_url", "content") if item.type == "image" else ("content", "data_url")
    if getattr(item, needed) is None:
        place = f"{path}.{needed}"
        raise invalid(f'"{place}" is required', place, code="missing_required_parameter")
    if getattr(item, other) is not None:
        message = f"Unrecognized key(s) in {path}: '{other}', which an item of type {item.type} does not have."
        raise invalid(message, path, code="unrecognized_keys")
