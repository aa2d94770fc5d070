"""The tools of all MCP servers of one request: shown to the model, and called for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from roci.errors import BadRequestError, ServerFailedError
from roci.server.mcp.connection import Connection, McpTool, ToolReply, text_output
from roci.server.mcp.servers import McpServers
from roci.server.mcp.spec import WantedServer
from roci.wire.generation import Call
from roci.wire.lmstudio.chat_result import ProviderInfo, call_arguments
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatRequest, FunctionSpec, ToolSpec
from roci.wire.openai.responses_mcp import ListedServer, ServedTool
from roci.wire.schema.checked import SchemaChecker
from roci.wire.schema.tidy import tidied


class _Served(Struct, frozen=True):
    tool: McpTool
    connection: Connection


class Toolbox:
    """Filled by `connect`; what it says of the tools' origins may be handed to a writer before that."""

    def __init__(self) -> None:
        self.providers: dict[str, ProviderInfo] = {}
        """A tool's name for the model -> where it comes from, for the native API."""
        self.served: dict[str, ServedTool] = {}
        """A tool's name for the model -> its own, for `/v1/responses`."""
        self.listed: list[ListedServer] = []
        self._tools: dict[str, _Served] = {}

    async def connect(
        self, servers: McpServers, wanted: Sequence[WantedServer], chat: ChatRequest, stack: ExitStack
    ) -> ChatRequest:
        """`chat` with the tools of the servers, which are let go with `stack`.

        Raises:
            ServerFailedError: a server cannot be reached, or what it tells of its tools cannot be used.
            BadRequestError: a tool is asked for that a server does not have.
        """
        connections = [stack.enter_context(servers.using(server)) for server in wanted]
        shown = list(chat.tools or ())
        names = {tool.function.name for tool in shown}
        for server, begun in zip(wanted, connections, strict=True):  # they start all at once
            try:
                connection, offered = await _offered(servers, server, begun, stack)
            except ServerFailedError as error:
                error.param = server.path
                raise
            tools = _allowed(server, offered)
            for tool in tools:
                name = _free_name(tool.name, server.spec.label, names)
                names.add(name)
                shown.append(_spec(name, tool, server))
                self._tools[name] = _Served(tool, connection)
                self.providers[name] = server.provider_info
                self.served[name] = ServedTool(server.spec.label, tool.name)
            self.listed.append(ListedServer(server.spec.label, [_told(tool) for tool in tools]))
        if not shown and chat.tool_choice not in (None, "auto", "none"):
            raise invalid("tool_choice is required, but the servers have no tools.", "tool_choice")
        return replace(chat, tools=shown or None)

    def note_unknown(self, name: str) -> None:
        """The model calls a tool that nobody has; it is told as one that the server would have run."""
        label = self.listed[0].server_label if len(self.listed) == 1 else ""
        self.served.setdefault(name, ServedTool(label, name))

    async def call(self, call: Call) -> ToolReply:
        """Makes a call of the model's.

        Raises:
            ServerFailedError: the tool's server is lost.
        """
        served = self._tools.get(call.name)
        if served is None:
            return ToolReply(text_output(f"There is no tool {call.name!r}."), "refused")
        arguments = call_arguments(call)
        fault = "they are not a JSON object" if arguments is None else _fault(served.tool, call.arguments or "{}")
        if arguments is None or fault is not None:
            return ToolReply(text_output(f"The arguments do not fit: {fault}."), "refused")
        return await served.connection.call(served.tool.name, arguments)


async def _offered(
    servers: McpServers, server: WantedServer, connection: Connection, stack: ExitStack
) -> tuple[Connection, list[McpTool]]:
    """A connection that works, and the server's tools; one that was lost while nobody used it is made anew."""
    had_started = connection.has_started
    try:
        return connection, await connection.tools()
    except ServerFailedError:
        if not had_started:
            raise
    connection = stack.enter_context(servers.using(server))
    return connection, await connection.tools()


def _allowed(server: WantedServer, tools: list[McpTool]) -> list[McpTool]:
    if server.allowed_tools is None:
        return tools
    path = f"{server.path}.allowed_tools"
    unknown = set(server.allowed_tools) - {tool.name for tool in tools}
    if unknown:
        known = ", ".join(tool.name for tool in tools[:20]) or "none"
        raise invalid(
            f"{path} names {min(unknown)!r}, which the server {server.spec.label!r} does not have.",
            path,
            hint=f"It has: {known}.",
        )
    return [tool for tool in tools if tool.name in server.allowed_tools]


def _free_name(name: str, label: str, taken: set[str]) -> str:
    """`name`, with the server's before it where another tool is called the same."""
    if name not in taken:
        return name
    name = f"{label}_{name}"
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free


def _spec(name: str, tool: McpTool, server: WantedServer) -> ToolSpec:
    try:
        tidied(tool.input_schema, "inputSchema", keeps_words=True)
    except BadRequestError as error:
        raise ServerFailedError(
            f"The MCP server {server.spec.label!r} describes its tool {tool.name!r} so that it cannot be used: "
            f"{error.message}",
            status=502,
            code="plugin_connection_error" if server.is_shared else "mcp_connection_error",
            param=server.path,
        ) from error
    return ToolSpec("function", FunctionSpec(name, tool.description, tool.input_schema))


def _told(tool: McpTool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "annotations": tool.annotations,
    }


def _fault(tool: McpTool, arguments: str) -> str | None:
    """What of the arguments does not fit the tool's schema; what cannot be checked here is left to the server."""
    with contextlib.suppress(BadRequestError):
        return SchemaChecker(tool.input_schema, "inputSchema").fault(arguments)
    return None
