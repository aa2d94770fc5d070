"""A request to `/v1/messages` -> `Ask`, the form in which the engine path takes every request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from roci.errors import BadRequestError
from roci.wire.anthropic.blocks import PARAGRAPH, content_of, needed, parts_in, parts_of, text_of
from roci.wire.anthropic.requests import (
    Block,
    CountRequest,
    InputMessage,
    MessagesRequest,
    MessagesToolChoice,
    OutputFormat,
)
from roci.wire.ask import Ask, Reasoning
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import (
    AssistantToolCall,
    CalledFunction,
    ChatMessage,
    ChatRequest,
    ContentPart,
    FunctionSpec,
    JsonSchemaSpec,
    NamedFunction,
    NamedTool,
    ResponseFormatSpec,
    ToolSpec,
)
from roci.wire.reasoning import reasoning_of
from roci.wire.schema.plan import PATH as SCHEMA_PATH, plan_schema

_TOKENS_LIMIT: Final = 2**31 - 1


def ask_of_messages(request: MessagesRequest) -> Ask:
    """What `request` means.

    Raises:
        BadRequestError: a content block cannot be used; `.param` is its path.
    """
    chat = _chat(request)
    # Clients that know nothing of the model ask for more than any context holds; the engine ends where it is full.
    chat.max_tokens = min(request.max_tokens, _TOKENS_LIMIT)
    chat.stream = request.stream
    chat.temperature, chat.top_p, chat.top_k = request.temperature, request.top_p, request.top_k
    chat.stop = request.stop_sequences or None
    budget = request.thinking.budget_tokens if request.thinking is not None else None
    if budget is not None:
        budget = max(1, min(budget, chat.max_tokens - 1))
    return Ask(
        chat=chat, reasoning=_reasoning(request), thinking_budget_tokens=budget, tells_stop_sequence=bool(chat.stop)
    )


def ask_of_count(request: CountRequest) -> Ask:
    """What `request` would show the model; raises as `ask_of_messages`."""
    return Ask(chat=_chat(request), reasoning=_reasoning(request))


def _chat(request: CountRequest) -> ChatRequest:
    messages: list[ChatMessage] = []
    system = _system_text(request.system)
    if system:
        messages.append(ChatMessage(role="system", content=system))
    for position, message in enumerate(request.messages):
        messages.extend(_chat_messages(message, f"messages[{position}]"))
    tools = [
        ToolSpec("function", FunctionSpec(tool.name, tool.description, tool.input_schema, tool.strict))
        for tool in request.tools or ()
    ]
    choice = request.tool_choice if tools else None
    return ChatRequest(
        model=request.model,
        messages=messages,
        tools=tools or None,
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        response_format=_response_format(request),
        ttl=request.ttl,
    )


def _reasoning(request: CountRequest) -> Reasoning | None:
    effort = request.output_config.effort if request.output_config is not None else None
    kind = request.thinking.type if request.thinking is not None else None
    if kind == "disabled":
        return "off"
    if effort is not None:
        return reasoning_of(effort, "output_config.effort")
    return "on" if kind == "enabled" else None


def _tool_choice(choice: MessagesToolChoice | None) -> str | NamedTool | None:
    if choice is None:
        return None
    if choice.type == "tool":
        return NamedTool(NamedFunction(choice.name or ""))
    return "required" if choice.type == "any" else choice.type


def _response_format(request: CountRequest) -> ResponseFormatSpec | None:
    config = request.output_config
    if config is not None and config.format is not None:
        return _checked_format(config.format, "output_config.format.schema")
    if request.output_format is not None:
        return _checked_format(request.output_format, "output_format.schema")
    return None


def _checked_format(wanted: OutputFormat, path: str) -> ResponseFormatSpec:
    """Refuses a schema that can be neither enforced nor checked, by the name that its place has here."""
    found = ResponseFormatSpec("json_schema", JsonSchemaSpec(wanted.schema, "output"))
    try:
        plan_schema(ChatRequest(messages=[], response_format=found))
    except BadRequestError as error:
        message, param = (text.replace(SCHEMA_PATH, path) for text in (error.message, error.param or path))
        raise invalid(message, param, code=error.code or "invalid_value", hint=error.hint) from error
    return found


def _system_text(system: str | list[Block] | None) -> str:
    if isinstance(system, list):
        return PARAGRAPH.join(text_of(block, f"system[{position}]") for position, block in enumerate(system))
    return system or ""


def _chat_messages(message: InputMessage, path: str) -> list[ChatMessage]:
    content = message.content
    if isinstance(content, str):
        return [ChatMessage(role=message.role, content=content)]
    blocks = [(block, f"{path}.content[{position}]") for position, block in enumerate(content)]
    if message.role == "assistant":
        return [_assistant_message(blocks)]
    if message.role == "system":
        return [ChatMessage(role="system", content=PARAGRAPH.join(text_of(block, place) for block, place in blocks))]
    # Chat templates want the results right behind the calls, whatever else the turn says.
    results = [_tool_message(block, place) for block, place in blocks if block.type == "tool_result"]
    parts = [part for block, place in blocks if block.type != "tool_result" for part in parts_of(block, place)]
    if parts or not results:
        return [*results, ChatMessage(role="user", content=content_of(parts))]
    return results


def _assistant_message(blocks: Sequence[tuple[Block, str]]) -> ChatMessage:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[AssistantToolCall] = []
    for block, path in blocks:
        if block.type == "thinking":
            thoughts.append(needed(block.thinking, f"{path}.thinking"))
        elif block.type == "tool_use":
            calls.append(_call(block, path))
        elif block.type != "redacted_thinking":  # which nobody can read
            texts.append(text_of(block, path))
    return ChatMessage(
        role="assistant",
        content="\n".join(texts),
        tool_calls=calls or None,
        reasoning_content="\n".join(thoughts) or None,
    )


def _call(block: Block, path: str) -> AssistantToolCall:
    name = needed(block.name, f"{path}.name")
    arguments = msgspec.json.encode(needed(block.input, f"{path}.input")).decode()
    return AssistantToolCall(CalledFunction(name, arguments), needed(block.id, f"{path}.id"), "function")


def _tool_message(block: Block, path: str) -> ChatMessage:
    identifier = needed(block.tool_use_id, f"{path}.tool_use_id")
    parts = parts_in(block.content, f"{path}.content")
    if block.is_error:
        parts.insert(0, ContentPart("text", "Error:"))  # the templates have no other word for it
    return ChatMessage(role="tool", content=content_of(parts), tool_call_id=identifier)
