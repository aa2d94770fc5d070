"""Decoding the body of `/v1/responses`, and refusing what its types cannot say."""

from __future__ import annotations

from typing import Final, get_args

import msgspec
from msgspec import Struct

from roci.wire.openai.request_faults import decode_body, invalid
from roci.wire.openai.requests import TOOL_CHOICES, FormatKind
from roci.wire.openai.responses_requests import (
    TOKENS_LIMIT,
    ItemRole,
    McpAllowedTools,
    ResponsesRequest,
    ResponsesTool,
    TextSpec,
    Truncation,
)


class McpServer(Struct, frozen=True):
    """An MCP server that a request names."""

    server_label: str
    server_url: str
    allowed_tools: tuple[str, ...] | None
    """None: all of them."""
    headers: dict[str, str]
    path: str
    """Of its entry in the request: `tools[0]`."""


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "input.role": get_args(ItemRole),
    "text.format.type": get_args(FormatKind),
    "truncation": get_args(Truncation),
    "tool_choice.mode": ("auto", "required"),
}
_decoder: Final = msgspec.json.Decoder(ResponsesRequest)


def decode_responses_request(body: bytes) -> ResponsesRequest:
    """The request in `body`, checked as far as it can be without the conversation and the model; items are not.

    Raises:
        BadRequestError: `.param` is the path of the field at fault.
    """
    request = decode_body(body, _decoder, _CHOICES)
    _check_unsupported(request)
    limit = request.max_output_tokens
    if limit is not None and limit != -1 and not 1 <= limit <= TOKENS_LIMIT:
        raise invalid(
            f"max_output_tokens is {limit}; it takes a number from 1, and null for no limit.", "max_output_tokens"
        )
    if not request.items and request.previous_response_id is None:
        if request.input is None:
            raise invalid("input is missing.", "input", code="missing_field")
        raise invalid("input is empty; it takes at least one item.", "input")
    for position, tool in enumerate(request.tools or ()):
        _check_tool(tool, f"tools[{position}]")
    _check_tool_choice(request)
    _check_format(request.text)
    return request


def mcp_servers(request: ResponsesRequest) -> list[McpServer]:
    """The MCP servers among a decoded request's tools."""
    return [
        _mcp_server(tool, f"tools[{position}]")
        for position, tool in enumerate(request.tools or ())
        if tool.type == "mcp"
    ]


def _check_unsupported(request: ResponsesRequest) -> None:
    if request.background:
        raise invalid("background is true; this server answers while the client waits.", "background")
    for name in ("conversation", "prompt"):
        if getattr(request, name) is not None:
            raise invalid(
                f"{name} is not supported; a conversation is continued by previous_response_id.",
                name,
                code="unsupported_parameter",
            )


def _check_tool(tool: ResponsesTool, path: str) -> None:
    if tool.type == "function":
        if tool.name is None:
            raise invalid(
                f"{path}.name is missing.",
                f"{path}.name",
                code="missing_field",
                hint="A function's name, description and parameters stand beside its type here, not in an object.",
            )
    elif tool.type == "mcp":
        _mcp_server(tool, path)
    else:
        raise invalid(
            f"{path}.type is {tool.type!r}, a tool that this server does not have; it takes function and mcp.",
            f"{path}.type",
            code="unsupported_tool",
        )


def _mcp_server(tool: ResponsesTool, path: str) -> McpServer:
    for name in ("server_label", "server_url"):
        if getattr(tool, name) is None:
            raise invalid(f"{path}.{name} is missing.", f"{path}.{name}", code="missing_field")
    assert tool.server_label is not None
    assert tool.server_url is not None
    if not tool.server_url.startswith(("http://", "https://")):
        raise invalid(f"{path}.server_url is no http or https address.", f"{path}.server_url")
    if tool.require_approval not in (None, "never"):
        raise invalid(
            f"{path}.require_approval is not never; this server makes a model's calls without asking anybody.",
            f"{path}.require_approval",
            code="unsupported_parameter",
        )
    headers = dict(tool.headers or {})
    if tool.authorization is not None:
        headers["Authorization"] = f"Bearer {tool.authorization}"
    allowed = tool.allowed_tools.tool_names if isinstance(tool.allowed_tools, McpAllowedTools) else tool.allowed_tools
    return McpServer(
        server_label=tool.server_label,
        server_url=tool.server_url,
        allowed_tools=None if allowed is None else tuple(allowed),
        headers=headers,
        path=path,
    )


def _check_tool_choice(request: ResponsesRequest) -> None:
    choice = request.tool_choice
    if choice is None:
        return
    names = [tool.name for tool in request.tools or () if tool.type == "function"]
    if isinstance(choice, str):
        if choice not in TOOL_CHOICES:
            raise invalid(
                f"tool_choice is {choice!r}; it takes {', '.join(TOOL_CHOICES)}, or an object.", "tool_choice"
            )
        if choice == "required" and not request.tools:
            raise invalid("tool_choice is required, but there are no tools.", "tool_choice")
        return
    if choice.type == "function":
        _check_chosen(choice.name, names, "tool_choice.name")
    elif choice.type == "allowed_tools":
        if not choice.tools:
            raise invalid("tool_choice.tools is missing or empty.", "tool_choice.tools", code="missing_field")
        for position, tool in enumerate(choice.tools):
            path = f"tool_choice.tools[{position}]"
            if tool.type != "function":
                raise invalid(f"{path}.type is {tool.type!r}; it takes function.", f"{path}.type")
            _check_chosen(tool.name, names, f"{path}.name")
    else:
        raise invalid(f"tool_choice.type is {choice.type!r}; it takes function and allowed_tools.", "tool_choice.type")


def _check_chosen(name: str | None, names: list[str | None], path: str) -> None:
    if name is None:
        raise invalid(f"{path} is missing.", path, code="missing_field")
    if name not in names:
        raise invalid(f"{path} is {name!r}, which is not among tools.", path)


def _check_format(text: TextSpec | None) -> None:
    wanted = None if text is None else text.format
    if wanted is not None and wanted.type == "json_schema" and wanted.schema is None:
        path = "text.format.schema"
        raise invalid(f"{path} is missing; text.format of type json_schema needs it.", path, code="missing_field")
