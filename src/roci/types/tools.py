"""Tools as a model sees them, and the calls it makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from roci.errors import SchemaMismatchError, ToolDefinitionError, UsageError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ToolDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that the model may call: name, purpose, and a JSON Schema of its arguments.

    Raises:
        ToolDefinitionError: the name is not 1 to 64 letters, digits, `_`, `.` or `-`, or the parameters
            are not an object's schema.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    """A JSON Schema of type `object`; empty for a tool without arguments."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ToolDefinitionError(
                f"The tool name {self.name!r} is not 1 to 64 letters, digits, '_', '.' or '-'.",
                tool=self.name,
            )
        if self.parameters.get("type", "object") != "object":
            raise ToolDefinitionError(
                f"The parameters of tool {self.name!r} are of type {self.parameters['type']!r}, not 'object'.",
                tool=self.name,
                parameter="parameters",
                hint='Wrap them: {"type": "object", "properties": {…}}.',
            )


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the model asks for."""

    id: str
    name: str
    arguments_json: str = "{}"
    """The arguments as the model wrote them; cut short where the answer ran out of tokens."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, decoded.

        Raises:
            SchemaMismatchError: they are no JSON object; `.text` holds what the model wrote.
        """
        try:
            return msgspec.json.decode(self.arguments_json or "{}", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SchemaMismatchError(
                f"The model called {self.name!r} with arguments that are no JSON object: {error}",
                text=self.arguments_json,
                reply=self,
                hint="Ask again, or raise max_tokens if the answer was cut short.",
            ) from error


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether the model may, must or must not call a tool. Use `AUTO`, `NONE`, `REQUIRED` or `named`."""

    mode: str
    """`auto`, `none`, `required` or `named`."""
    name: str = ""

    @classmethod
    def auto(cls) -> ToolChoice:
        return cls("auto")

    @classmethod
    def none(cls) -> ToolChoice:
        return cls("none")

    @classmethod
    def required(cls) -> ToolChoice:
        return cls("required")

    @classmethod
    def named(cls, name: str) -> ToolChoice:
        """The model must call this one tool."""
        return cls("named", name)


def tool_choice(value: ToolChoice | str) -> ToolChoice:
    """`value` as a `ToolChoice`: the words `auto`, `none`, `required` are modes, any other is a tool's name."""
    if isinstance(value, ToolChoice):
        return value
    return ToolChoice(value) if value in ("auto", "none", "required") else ToolChoice.named(value)


def check_tools(tools: Sequence[ToolDefinition], choice: ToolChoice | None) -> None:
    """Raise what is wrong with these tools as a set.

    Raises:
        ToolDefinitionError: two tools of one name.
        UsageError: something that is no `ToolDefinition`, or a choice that no tool fits.
    """
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if not isinstance(tool, ToolDefinition):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"tools[{index}] is a {type(tool).__name__}, not a ToolDefinition.",
                field=f"tools[{index}]",
                hint="Make it with @tool, or describe it with ToolDefinition(name=…, description=…, parameters={…}).",
            )
        if tool.name in seen:
            raise ToolDefinitionError(f"Two tools are called {tool.name!r}.", tool=tool.name)
        seen.add(tool.name)
    if choice is None or choice.mode in ("auto", "none"):
        return
    if not seen:
        raise UsageError(
            "tool_choice asks for a call, but there are no tools.",
            field="settings.tool_choice",
            hint="Pass tools=[…], or leave tool_choice out.",
        )
    if choice.mode == "named" and choice.name not in seen:
        raise UsageError(
            f"tool_choice names {choice.name!r}; the tools are {', '.join(sorted(seen))}.",
            field="settings.tool_choice",
        )
