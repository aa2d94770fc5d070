"""OpenAI's chat dialect <-> our types. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from roci.errors import EmptyReplyError, NotAnApiError, TruncatedReplyError, UnexpectedReplyError
from roci.types.messages import ImagePart, ModelMessage, TextPart
from roci.types.models import ModelCapabilities, ModelInfo
from roci.types.requests import CheckedRequest
from roci.types.results import FinishReason, GenerationWarning, ProviderResponse, Usage
from roci.types.settings import ResponseFormat
from roci.types.tools import ToolCall, ToolChoice, ToolDefinition
from roci.wire.openai.image_parts import ANY_SERVER, ImagesTaken, wire_image
from roci.wire.openai.reasoning import Dialect, reasoning_fields
from roci.wire.openai.types import ChatReply, ModelEntry, ModelList, ModelMeta, WireToolCall, WireUsage, arguments_text
from roci.wire.reasoning_tags import split_reasoning

T = TypeVar("T")

_FINISH_REASONS: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
}
_STATES: Final = {"loaded": True, "not-loaded": False}

encode = msgspec.json.Encoder().encode
_decode_chat = msgspec.json.Decoder(ChatReply).decode
_decode_models = msgspec.json.Decoder(ModelList).decode


def chat_body(
    request: CheckedRequest,
    model: str,
    *,
    stream: bool,
    images: ImagesTaken = ANY_SERVER,
    dialect: Dialect = "other",
) -> dict[str, Any]:
    """The body of `POST /v1/chat/completions` for `request`, as a dict that a dialect may still change.

    Raises:
        UnsupportedError: an image that the server would refuse.
        UsageError: an image that is none.
    """
    settings = request.settings
    body: dict[str, Any] = {"model": model, "messages": [wire_message(message, images) for message in request.messages]}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    for name in (
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "seed",
    ):
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    if settings.stop_sequences:
        body["stop"] = list(settings.stop_sequences)
    if settings.reasoning is not None:
        body |= reasoning_fields(settings.reasoning, dialect)
    if request.response_format is not None:
        body["response_format"] = wire_response_format(request.response_format)
    if request.tools:
        body["tools"] = [wire_tool(tool) for tool in request.tools]
    if request.choice is not None and request.tools:
        body["tool_choice"] = wire_tool_choice(request.choice)
    return body


def wire_message(message: ModelMessage, images: ImagesTaken = ANY_SERVER) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": _wire_content(message, images)}
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_json}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _wire_content(message: ModelMessage, images: ImagesTaken) -> str | list[dict[str, Any]] | None:
    if not any(isinstance(part, ImagePart) for part in message.parts):
        # Plain text is what every server takes; parts are not.
        return message.text or (None if message.tool_calls else "")
    return [
        {"type": "text", "text": part.text} if isinstance(part, TextPart) else wire_image(part, images)
        for part in message.parts
    ]


def wire_tool(tool: ToolDefinition) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def wire_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def wire_response_format(form: ResponseFormat) -> dict[str, Any]:
    """Raises UsageError where the schema is none."""
    if form.kind != "json_schema":
        return {"type": form.kind}
    from roci.wire.schema.enforceable import enforceable  # not for those who ask for no schema

    schema = enforceable(form.schema or {}).schema
    return {"type": "json_schema", "json_schema": {"name": form.name, "strict": form.strict, "schema": schema}}


def decode_reply(body: bytes, content_type: str) -> ChatReply:
    """A plain reply's body, decoded.

    Raises:
        NotAnApiError: a web page or other text.
        TruncatedReplyError: JSON that stops in the middle.
        UnexpectedReplyError: JSON of another form.
    """
    return decoded(body, content_type, _decode_chat)


def decoded(body: bytes, content_type: str, decode: Callable[[bytes], T]) -> T:
    """What `decode` makes of a reply's body. Raises as `decode_reply`."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_decodable(body, content_type, error) from error


def not_decodable(body: bytes, content_type: str, error: Exception) -> UnexpectedReplyError:
    """What it means that `body` could not be decoded."""
    text = body[:10_000].decode("utf-8", "replace")
    facts = {"body": text, "content_type": content_type}
    start = text.lstrip()[:1]
    if isinstance(error, msgspec.ValidationError):
        detail, _, path = str(error).partition(" - at `")
        return UnexpectedReplyError(
            f"The reply is JSON of another form than expected: {error}.",
            json_path=path.rstrip("`") or "$",
            hint=f"The server's dialect may be new ({detail}). The whole reply is in .body.",
            **facts,
        )
    if start in ("{", "["):
        return TruncatedReplyError(
            f"The reply is JSON that stops or breaks in the middle, after {len(body)} bytes: {error}.",
            hint="The server or something in between cut it: look at the server's log, then ask again.",
            **facts,
        )
    what = "a web page" if start == "<" else "no JSON" if start else "empty"
    return NotAnApiError(
        f"The reply is {what}, not an answer of a model server.",
        hint="Check the base URL: another program may have this port, or the path in front of /v1 is wrong.",
        **facts,
    )


def response(reply: ChatReply, session_id: str | None) -> ProviderResponse:
    """A plain reply as our response; times and warnings about the model are the caller's to add.

    Raises:
        EmptyReplyError: a success without a choice, or without content and without a reason for that.
    """
    choice = reply.choices[0] if reply.choices else None
    message = choice and (choice.message or choice.delta)
    if choice is None or message is None:
        raise EmptyReplyError(
            "The server answered with a success that holds no answer.",
            reply=reply,
            hint="Look at the server's log; a prompt longer than the context is a frequent cause.",
        )
    calls = tuple(_tool_call(call, index) for index, call in enumerate(message.tool_calls or ()))
    text, reasoning = message.content or message.refusal or "", message.reasoning_content or message.reasoning or ""
    text, thought = split_reasoning(text)
    # Some servers tell the thought in both places.
    reasoning = reasoning if thought == reasoning.strip() else "\n".join(filter(None, (reasoning, thought)))
    if choice.finish_reason is None and not (text or reasoning or calls):
        raise EmptyReplyError(
            "The server answered with a success that is empty and gives no reason for it.",
            reply=reply,
            hint="Look at the server's log; a prompt longer than the context is a frequent cause.",
        )
    reason, warnings = finish_reason(choice.finish_reason or "stop", has_calls=bool(calls))
    return ProviderResponse(
        text=text,
        reasoning=reasoning,
        tool_calls=calls,
        finish_reason=reason,
        usage=usage(reply.usage) if reply.usage else Usage(),
        model=reply.model or "",
        response_id=reply.id or "",
        session_id=session_id,
        warnings=warnings,
    )


def _tool_call(call: WireToolCall, index: int) -> ToolCall:
    function = call.function
    return ToolCall(
        id=call.id or f"call_{index}",
        name=(function and function.name) or "",
        arguments_json=(function and arguments_text(function)) or "{}",
    )


def finish_reason(word: str, *, has_calls: bool) -> tuple[FinishReason, tuple[GenerationWarning, ...]]:
    """Our reason for the server's word; a word roci does not know counts as `stop`, with a warning."""
    reason = _FINISH_REASONS.get(word.lower())
    if reason is None:
        note = GenerationWarning("unknown_finish_reason", f"The server ended with {word!r}, which was read as 'stop'.")
        return FinishReason.STOP, (note,)
    if reason is FinishReason.STOP and has_calls:
        # Some servers end a reply that asks for calls with a plain stop.
        return FinishReason.TOOL_CALLS, ()
    return reason, ()


def usage(wire: WireUsage) -> Usage:
    input_tokens, output_tokens = wire.prompt_tokens or 0, wire.completion_tokens or 0
    prompt, completion = wire.prompt_tokens_details, wire.completion_tokens_details
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=wire.total_tokens or input_tokens + output_tokens,
        cached_tokens=(prompt and prompt.cached_tokens) or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
    )


def models(body: bytes, content_type: str, source: str) -> list[ModelInfo]:
    """The reply of `GET /v1/models`.

    Raises:
        UnexpectedReplyError: it is something else.
    """
    return [_model_info(entry, source) for entry in decoded(body, content_type, _decode_models).data]


def _model_info(entry: ModelEntry, source: str) -> ModelInfo:
    meta = entry.meta or ModelMeta()
    limit = entry.max_context_length or entry.context_length or entry.max_model_len or meta.n_ctx_train
    loaded = entry.loaded_context_length or entry.max_model_len or meta.n_ctx
    known = loaded or limit
    assumed = ModelCapabilities()
    return ModelInfo(
        key=entry.id,
        max_context_length=limit,
        max_context_source=source if limit else "",
        loaded_context_length=loaded,
        loaded_context_source=source if loaded else "",
        is_loaded=_STATES.get(entry.state or "", True if loaded else None),
        capabilities=msgspec.structs.replace(assumed, context_length=known) if known else assumed,
        source=source,
    )
