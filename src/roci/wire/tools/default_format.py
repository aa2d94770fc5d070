"""LM Studio's default tool format, for models whose chat template knows no tools: prompt, and history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from roci.wire.openai.requests import AssistantToolCall, ChatMessage, ContentPart, ToolSpec
from roci.wire.tools.text_readers import ANSWER_KEY, CALL_BEGIN, CALL_END, CALL_KEY

RESULT_BEGIN: Final = "[TOOL_RESULT]"
RESULT_END: Final = "[END_TOOL_RESULT]"

_CALL: Final = '{"name": "tool_name", "arguments": {"parameter": "value"}}'


def default_prompt(tools: Sequence[ToolSpec]) -> str:
    """The text that tells a model its tools and how to call them if it wants to."""
    return (
        f"You can call tools. To call one, write exactly this, with the tool's own name and parameters:\n"
        f"{CALL_BEGIN}{_CALL}{CALL_END}\n"
        f"The arguments are one JSON object that fits the tool's parameters. For several calls, write several of "
        f"these. Call a tool only if it helps; otherwise answer in plain words. After your calls, stop: the results "
        f"come to you between {RESULT_BEGIN} and {RESULT_END}. Never write {RESULT_BEGIN} yourself.\n\n" + _list(tools)
    )


def forced_prompt(tools: Sequence[ToolSpec]) -> str:
    """The text for an answer that a schema makes a call."""
    return f"Call one tool now. Answer with one JSON object and nothing else:\n{_CALL}\n\n" + _list(tools)


def envelope_prompt(tools: Sequence[ToolSpec], schema: Mapping[str, Any]) -> str:
    """The text for an answer that a schema makes either a call or the answer that the client wants."""
    return envelope_rules(schema) + "\n\n" + _list(tools)


def envelope_rules(schema: Mapping[str, Any]) -> str:
    """The same where the chat template tells the tools."""
    wanted = msgspec.json.encode(schema).decode()
    return (
        f"Answer with one JSON object and nothing else. To call a tool: "
        f'{{"{CALL_KEY}": {_CALL}}}. To give your final answer: {{"{ANSWER_KEY}": …}}, where … fits this JSON schema:\n'
        f"{wanted}"
    )


def with_system_text(messages: Sequence[ChatMessage], text: str) -> list[ChatMessage]:
    """The messages with `text` at the end of the first one's instructions, or in a system message of its own."""
    first = messages[0]
    if first.role not in ("system", "developer"):
        return [ChatMessage(role="system", content=text), *messages]
    return [msgspec.structs.replace(first, content=_joined(first.content, text)), *messages[1:]]


def rewritten_history(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Calls as the text that makes them, and their results as the user's words.

    Results that stand together become one message, and so does a user's message right after them: many templates want
    user and assistant in turn.
    """
    history: list[ChatMessage] = []
    after_result = False
    for message in messages:
        if message.role == "tool":
            result = _result(message.content)
            if after_result:
                history[-1] = _extended(history[-1], result)
            else:
                history.append(ChatMessage(role="user", content=result))
            after_result = True
        elif message.role == "user" and after_result:
            history[-1] = _extended(history[-1], message.content)
            after_result = False
        else:
            history.append(_as_text(message) if message.tool_calls else message)
            after_result = False
    return history


def _result(content: str | list[ContentPart] | None) -> str | list[ContentPart]:
    if isinstance(content, list) and any(part.type != "text" for part in content):
        return [ContentPart("text", RESULT_BEGIN), *content, ContentPart("text", RESULT_END)]
    return f"{RESULT_BEGIN}{_text(content)}{RESULT_END}"


def _as_text(message: ChatMessage) -> ChatMessage:
    calls = "\n".join(_call_text(call) for call in message.tool_calls or ())
    content = _joined(message.content, calls, between="\n") if message.content else calls
    return msgspec.structs.replace(message, content=content, tool_calls=None)


def _call_text(call: AssistantToolCall) -> str:
    name = msgspec.json.encode(call.function.name).decode()
    return f'{CALL_BEGIN}{{"name": {name}, "arguments": {call.function.arguments}}}{CALL_END}'


def _extended(message: ChatMessage, more: str | list[ContentPart] | None) -> ChatMessage:
    if isinstance(more, list):
        return msgspec.structs.replace(message, content=[*_parts(message.content), *more])
    return msgspec.structs.replace(message, content=_joined(message.content, more or ""))


def _joined(content: str | list[ContentPart] | None, text: str, between: str = "\n\n") -> str | list[ContentPart]:
    if isinstance(content, list):
        return [*content, ContentPart(type="text", text=text)]
    return f"{content}{between}{text}" if content else text


def _parts(content: str | list[ContentPart] | None) -> list[ContentPart]:
    return content if isinstance(content, list) else [ContentPart(type="text", text=content or "")]


def _text(content: str | list[ContentPart] | None) -> str:
    return "\n".join(part.text or "" for part in content) if isinstance(content, list) else content or ""


def _list(tools: Sequence[ToolSpec]) -> str:
    return "The tools:\n" + "\n".join(msgspec.json.encode(_told(tool)).decode() for tool in tools)


def _told(tool: ToolSpec) -> dict[str, Any]:
    function = tool.function
    told: dict[str, Any] = {"name": function.name}
    if function.description:
        told["description"] = function.description
    return told | {"parameters": function.parameters or {"type": "object", "properties": {}}}
