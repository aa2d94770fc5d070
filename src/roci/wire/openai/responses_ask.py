"""A `/v1/responses` request -> what the engine path takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from roci.wire.ask import Ask, Reasoning
from roci.wire.openai.requests import (
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
from roci.wire.openai.responses_requests import ReasoningSpec, ResponsesRequest, ResponsesTool
from roci.wire.reasoning import reasoning_of

_AS_THEY_ARE: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "parallel_tool_calls",
    "ttl",
    "draft_model",
    "stream",
)
_OWN_NAMES: Final = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "reasoning": "reasoning.effort",
    "response_format": "text.format",
    "tool_choice.function.name": "tool_choice.name",
}
DEFAULT_SCHEMA_NAME: Final = "response"


def responses_ask(request: ResponsesRequest, messages: Sequence[ChatMessage]) -> Ask:
    """What the engine is asked.

    Args:
        messages: the conversation so far and the request's own, without its instructions.

    Raises:
        BadRequestError: names the field.
    """
    chat = ChatRequest(model=request.model, messages=_with_instructions(request.instructions, messages))
    for name in _AS_THEY_ARE:
        setattr(chat, name, getattr(request, name))
    chat.max_completion_tokens = request.max_output_tokens
    if request.has_logprobs:
        chat.logprobs = True
        chat.top_logprobs = request.top_logprobs or 0
    chat.tools = _tools(request) or None
    chat.tool_choice = _tool_choice(request)
    chat.response_format = _response_format(request)
    forwarded: dict[str, Raw] = {}
    if request.chat_template_kwargs is not None:
        forwarded["chat_template_kwargs"] = Raw(msgspec.json.encode(request.chat_template_kwargs))
    return Ask(chat=chat, forwarded=forwarded, reasoning=_reasoning(request))


def responses_path(request: ResponsesRequest, path: str) -> str:
    """Where the field `path` of the chat request that `request` became stands in `request` itself."""
    schema = path.removeprefix("response_format.json_schema")
    if schema != path:
        return f"text.format{schema}"
    tool = re.fullmatch(r"tools\[(\d+)\](?:\.function)?(.*)", path)
    if tool is not None:
        shown = [position for position, entry in enumerate(request.tools or ()) if _is_shown(request, entry)]
        return f"tools[{shown[int(tool[1])]}]{tool[2]}"
    return _OWN_NAMES.get(path, path)


def _with_instructions(instructions: str | None, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """One system message at the front: many chat templates take no second one."""
    rest = list(messages)
    if not instructions:
        return rest
    if rest and rest[0].role == "system":
        first = rest.pop(0).content
        if isinstance(first, list):
            return [ChatMessage("system", [ContentPart("text", text=instructions), *first]), *rest]
        instructions = f"{instructions}\n\n{first or ''}"
    return [ChatMessage("system", instructions), *rest]


def _tools(request: ResponsesRequest) -> list[ToolSpec]:
    return [
        ToolSpec("function", FunctionSpec(tool.name or "", tool.description, tool.parameters, tool.strict))
        for tool in request.tools or ()
        if _is_shown(request, tool)
    ]


def _is_shown(request: ResponsesRequest, tool: ResponsesTool) -> bool:
    """Whether the model is shown this tool: a function, among those that are allowed."""
    choice = request.tool_choice
    if tool.type != "function":
        return False
    if choice is None or isinstance(choice, str) or choice.type != "allowed_tools":
        return True
    return any(allowed.name == tool.name for allowed in choice.tools or ())


def _tool_choice(request: ResponsesRequest) -> str | NamedTool | None:
    choice = request.tool_choice
    if choice is None or isinstance(choice, str):
        return choice
    if choice.type == "allowed_tools":
        return choice.mode or "auto"
    return NamedTool(NamedFunction(choice.name or ""))


def _response_format(request: ResponsesRequest) -> ResponseFormatSpec | None:
    wanted = request.text.format if request.text is not None else None
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        return ResponseFormatSpec(wanted.type)
    schema = JsonSchemaSpec(wanted.schema or {}, name=wanted.name or DEFAULT_SCHEMA_NAME, strict=wanted.strict)
    return ResponseFormatSpec("json_schema", schema)


def _reasoning(request: ResponsesRequest) -> Reasoning | None:
    given = request.reasoning
    if isinstance(given, ReasoningSpec):
        found = reasoning_of(given.effort, "reasoning.effort")
    else:
        found = reasoning_of(given, "reasoning")
    if found is None:
        found = reasoning_of(request.reasoning_effort, "reasoning_effort")
    if found is None and request.chat_template_kwargs is not None:
        path = "chat_template_kwargs.enable_thinking"
        found = reasoning_of(request.chat_template_kwargs.get("enable_thinking"), path)
    return found
