"""How a request's tools are put to a model: by its own template, by LM Studio's default format, or by a schema."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from roci.wire.generation import Note
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import (
    AssistantToolCall,
    ChatMessage,
    ChatRequest,
    JsonSchemaSpec,
    NamedTool,
    ResponseFormatSpec,
    ToolSpec,
)
from roci.wire.schema.normalise import GrammarWriter, SchemaTooLargeError
from roci.wire.schema.scalars import ALTERNATIVES_LIMIT, one_of
from roci.wire.schema.tidy import Schema, tidied
from roci.wire.tools.default_format import (
    default_prompt,
    envelope_prompt,
    envelope_rules,
    forced_prompt,
    rewritten_history,
    with_system_text,
)
from roci.wire.tools.names import safe_names
from roci.wire.tools.readers import CallRules, EventReader, TextCalls
from roci.wire.tools.text_readers import ANSWER_KEY, CALL_KEY, DefaultFormatText, EnvelopeText, ForcedText

Way = Literal["none", "native", "default", "forced", "envelope"]

SIZE_LIMIT_BYTES: Final = 512 * 1024
LOOSENED: Final = "tool_schema_loosened"
_NOTHING: Final[Schema] = {"type": "object", "properties": {}}


class ToolPlan(Struct, frozen=True, kw_only=True):
    """How one request's tools are put, and its calls found."""

    chat: ChatRequest
    """As the worker is to see it."""
    way: Way
    """`native`: the template tells the tools and the engine finds the calls. `default`: roci tells them and finds the
    calls in the text. `forced`: a schema makes the answer one call. `envelope`: a schema makes it a call, or the
    answer that the client's own schema describes."""
    names: dict[str, str]
    """What the model calls a tool -> what the client calls it."""
    is_parallel: bool
    """Several calls in one answer are wanted; a forced answer is one call all the same."""
    notes: tuple[Note, ...] = ()

    def reader(self, first_index: int = 0) -> EventReader:
        """A fresh reader of the worker's events.

        Args:
            first_index: the number of the first call, where an earlier round of the same answer made some.
        """
        return CallRules(
            self._text_calls(),
            self.names if self.way == "native" else {},
            is_parallel=self.is_parallel,
            first_index=first_index,
            notes=list(self.notes),
        )

    def _text_calls(self) -> TextCalls | None:
        names = {client: client for client in self.names.values()} | self.names
        if self.way == "default":
            return TextCalls(lambda choice: DefaultFormatText(names, choice))
        if self.way == "forced":
            return TextCalls(lambda choice: ForcedText(names, choice))
        if self.way == "envelope":
            return TextCalls(lambda choice: EnvelopeText(names, choice))
        return None


def plan_tools(chat: ChatRequest, *, supports_tools: bool) -> ToolPlan:
    """Decides how the tools of `chat` are put to a model.

    A tool that the request does not allow to be called is not shown either: with a named choice all but that one.

    Args:
        chat: with the `response_format` that is to be enforced, as `plan_schema` gives it.
        supports_tools: the model's chat template knows tools.

    Raises:
        BadRequestError: two tools of one name, or parameters that are no schema; `.param` is the path.
    """
    tools = chat.tools or []
    safe = safe_names(tool.function.name for tool in tools)
    _check_size(tools)
    shown = [_shown(tool, safe, position) for position, tool in enumerate(tools)]
    choice = chat.tool_choice
    if isinstance(choice, NamedTool):
        shown = [tool for tool in shown if tool.function.name == safe[choice.function.name]]
    names = {safe[tool.function.name]: tool.function.name for tool in tools}
    if not tools or choice == "none":
        messages = _history(chat.messages, safe, supports_tools)
        return ToolPlan(chat=_without_tools(chat, messages), way="none", names={}, is_parallel=True)
    messages = _history(chat.messages, safe, supports_tools)
    planned = _Planner(chat, shown, messages, supports_tools).plan(is_forced=choice not in (None, "auto"))
    return replace(planned, names=names, is_parallel=chat.parallel_tool_calls is not False)


class _Planner:
    """Writes the worker's request in one of the ways."""

    def __init__(
        self, chat: ChatRequest, tools: list[ToolSpec], messages: list[ChatMessage], supports_tools: bool
    ) -> None:
        self._chat = chat
        self._tools = tools
        self._messages = messages
        self._is_native = supports_tools

    def plan(self, *, is_forced: bool) -> ToolPlan:
        if is_forced:
            schema, notes = _forced_schema(self._tools, None)
            text = "" if self._is_native else forced_prompt(self._tools)
            return self._plan("forced", text, schema, notes)
        wanted = self._chat.response_format
        if wanted is not None and wanted.json_schema is not None:
            answer = wanted.json_schema.schema
            schema, notes = _forced_schema(self._tools, answer)
            text = envelope_rules(answer) if self._is_native else envelope_prompt(self._tools, answer)
            return self._plan("envelope", text, schema, notes)
        if self._is_native:
            return self._plan("native", "", None, ())
        return self._plan("default", default_prompt(self._tools), None, ())

    def _plan(self, way: Way, text: str, schema: Schema | None, notes: tuple[Note, ...]) -> ToolPlan:
        messages = with_system_text(self._messages, text) if text else self._messages
        chat = _without_tools(self._chat, messages)
        if self._is_native:
            tools, loosened = _for_template(self._tools)
            notes += loosened
            chat = replace(chat, tools=tools, parallel_tool_calls=self._chat.parallel_tool_calls)
        if schema is not None:
            chat = replace(chat, response_format=ResponseFormatSpec("json_schema", JsonSchemaSpec(schema=schema)))
        return ToolPlan(chat=chat, way=way, names={}, is_parallel=True, notes=notes)


def _without_tools(chat: ChatRequest, messages: list[ChatMessage]) -> ChatRequest:
    return replace(chat, messages=messages, tools=None, tool_choice=None, parallel_tool_calls=None)


def _shown(tool: ToolSpec, safe: dict[str, str], position: int) -> ToolSpec:
    """The tool as the model sees it."""
    parameters = _parameters(tool, position)
    function = replace(tool.function, name=safe[tool.function.name], parameters=parameters, strict=None)
    return replace(tool, function=function)


def _parameters(tool: ToolSpec, position: int) -> Schema:
    path = f"tools[{position}].function.parameters"
    if not tool.function.parameters:
        return dict(_NOTHING)
    schema = tidied(tool.function.parameters, path, keeps_words=True)
    if schema.get("type", "object") != "object":
        raise invalid(f"{path}.type is {schema['type']!r}; a tool's parameters are of type 'object'.", f"{path}.type")
    return _NOTHING | schema


def _for_template(tools: Sequence[ToolSpec]) -> tuple[list[ToolSpec], tuple[Note, ...]]:
    """The tools as the engine takes them: it makes a grammar of their parameters, and fails where it cannot."""
    safe: list[ToolSpec] = []
    loosened: list[str] = []
    for tool in tools:
        writer, parameters = GrammarWriter(keeps_words=True), tool.function.parameters or {}
        function = tool.function
        try:
            written = writer.write(parameters, f"parameters of the tool {function.name!r}")
            function = replace(function, parameters=_NOTHING | writer.with_definitions(written))
        except SchemaTooLargeError:
            loosened.append(function.name)
            told = f"{function.description or ''}\nParameters: {msgspec.json.encode(parameters).decode()}".lstrip()
            function = replace(function, description=told, parameters=dict(_NOTHING))
        safe.append(replace(tool, function=function))
    if not loosened:
        return safe, ()
    message = f"Too large for a grammar, so that any JSON object may come as the arguments: {', '.join(loosened)}."
    return safe, (Note(LOOSENED, message),)


def _forced_schema(tools: Sequence[ToolSpec], answer: Schema | None) -> tuple[Schema, tuple[Note, ...]]:
    """The schema of one call, or of a call or an answer in their envelope; looser where the grammar would burst."""
    if len(tools) <= ALTERNATIVES_LIMIT:
        with contextlib.suppress(SchemaTooLargeError):
            return _call_schema(tools, answer, is_loose=False), ()
    message = "The tools are too many or too large for a grammar: any JSON object may come as a call's arguments."
    return _call_schema(tools, answer, is_loose=True), (Note(LOOSENED, message),)


def _call_schema(tools: Sequence[ToolSpec], answer: Schema | None, *, is_loose: bool) -> Schema:
    writer = GrammarWriter((answer or {}).get("$defs"))
    if is_loose:
        name, _ = one_of([tool.function.name for tool in tools], [])
        one_call = _object(name=name, arguments={"type": "object"})
    else:
        calls = [_written_call(writer, tool) for tool in tools]
        one_call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    if answer is None:
        return writer.with_definitions(one_call)
    answer = {name: value for name, value in answer.items() if name != "$defs"}
    return writer.with_definitions({"anyOf": [_object(**{CALL_KEY: one_call}), _object(**{ANSWER_KEY: answer})]})


def _written_call(writer: GrammarWriter, tool: ToolSpec) -> Schema:
    parameters = tool.function.parameters or {}
    if _tells_no_parameter(parameters):
        return _object(name={"const": tool.function.name}, arguments=_object())
    arguments = writer.write(parameters, f"parameters of the tool {tool.function.name!r}")
    return _object(name={"const": tool.function.name}, arguments=arguments)


def _tells_no_parameter(parameters: Schema) -> bool:
    """Whether a tool takes nothing. As a schema it would take anything, and a model would invent it.

    Source: OpenAI API reference, chat, tools: a function without parameters has an empty list of them.
    """
    said = {name for name, value in parameters.items() if value or name == "additionalProperties"}
    return said <= {"type", "title", "description", "$schema"}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _history(messages: list[ChatMessage], safe: dict[str, str], supports_tools: bool) -> list[ChatMessage]:
    """The messages with the tools' names for the model, and in words where its template knows no calls."""
    named = [_renamed(message, safe) for message in messages]
    return named if supports_tools else rewritten_history(named)


def _renamed(message: ChatMessage, safe: dict[str, str]) -> ChatMessage:
    if message.role == "tool" and message.name is not None:
        return replace(message, name=safe.get(message.name, message.name))
    if not message.tool_calls:
        return message
    calls: list[AssistantToolCall] = []
    for call in message.tool_calls:
        name = safe.get(call.function.name, call.function.name)
        calls.append(replace(call, function=replace(call.function, name=name)))
    return replace(message, tool_calls=calls)


def _check_size(tools: Sequence[ToolSpec]) -> None:
    size = 0
    for position, tool in enumerate(tools):
        size += len(msgspec.json.encode(tool))
        if size > SIZE_LIMIT_BYTES:
            raise invalid(
                f"tools has more than {SIZE_LIMIT_BYTES:,} bytes, tools[{position}] included; that many is the most.",
                "tools",
                code="tools_too_large",
            )
