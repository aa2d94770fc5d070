"""The items of `/v1/responses` that tell of tools which the server itself calls (MCP). Pure.

Source: OpenAI API reference, responses, `mcp_list_tools` and `mcp_call`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from roci.wire.generation import Call
from roci.wire.tool_output import output_text


class ServedTool(Struct, frozen=True):
    """A tool of an MCP server."""

    server_label: str
    name: str
    """As the server calls it; the model may know it by another name."""


class ListedServer(Struct, frozen=True):
    """What an MCP server offers."""

    server_label: str
    tools: list[dict[str, Any]]
    """Each with `name`, `description`, `input_schema` and `annotations`."""


def list_item(listed: ListedServer, digits: str) -> dict[str, Any]:
    return {
        "id": f"mcpl_{digits}",
        "type": "mcp_list_tools",
        "server_label": listed.server_label,
        "tools": listed.tools,
        "error": None,
    }


def call_item(call: Call, tool: ServedTool, identifier: str, status: str) -> dict[str, Any]:
    """A call, with its result once there is one."""
    item: dict[str, Any] = {
        "id": identifier,
        "type": "mcp_call",
        "status": status,
        "server_label": tool.server_label,
        "name": tool.name,
        "arguments": call.arguments or ("{}" if call.is_whole else ""),
        "output": None if call.output is None else output_text(call.output),
        "error": None,
        "approval_request_id": None,
    }
    if call.output is not None and (call.is_error or call.has_failed):
        error = {"type": "mcp_tool_execution_error", "content": _json_or_text(call.output)}
        item |= {"status": "failed", "output": None, "error": error}
    elif call.output is None and status == "completed":
        item["status"] = "calling"
    return item


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
