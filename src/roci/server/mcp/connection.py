"""One MCP server in use: a task of its own holds the client, so that a server that dies takes down nobody else.

The `mcp` package cancels the task in which its client was opened when a server over HTTP dies, and raises groups of
errors. Nothing of that leaves the owning task: whoever calls a tool waits for its answer or for the owner's end.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct

from roci.errors import ServerFailedError
from roci.server.mcp.faults import reason_of, without_secrets
from roci.server.mcp.last_words import LastWords
from roci.server.mcp.spec import ErrorCode, ServerSpec
from roci.version import VERSION

if TYPE_CHECKING:
    from mcp import Client

START_S: Final = 30.0
CALL_S: Final = 60.0
TOOLS_LIMIT: Final = 1000
RESULT_LIMIT_BYTES: Final = 2**20
_PAGES_LIMIT: Final = 100

_log = logging.getLogger(__name__)


class McpTool(Struct, frozen=True, kw_only=True):
    """A tool as its server describes it."""

    name: str
    description: str | None
    input_schema: dict[str, Any]
    annotations: dict[str, Any] | None


class ToolReply(Struct, frozen=True):
    """What came of a call."""

    output: str
    """JSON text of the content parts that the tool gave."""
    kind: Literal["done", "failed", "refused"]
    """`failed`: the tool ran, and says that it failed, or it took too long. `refused`: it was not run at all."""


class Connection:
    """A server that is being started, or runs. Its failures are `ServerFailedError` with status 502.

    Args:
        code: of the errors.
        start_s: seconds until the server must have told its tools.
        call_s: seconds for one call.
    """

    def __init__(self, spec: ServerSpec, code: ErrorCode, *, start_s: float = START_S, call_s: float = CALL_S) -> None:
        self.spec = spec
        self._code: ErrorCode = code
        self._start_s = start_s
        self._call_s = call_s
        self._stop = asyncio.Event()
        self._words = LastWords()
        self._client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.owner = asyncio.create_task(self._own(), name=f"MCP server {spec.label}")
        """Ends when the server is gone; whoever made the connection awaits it."""

    @property
    def is_over(self) -> bool:
        """It cannot be used any more."""
        return self._stop.is_set() or self.owner.done()

    @property
    def has_started(self) -> bool:
        return self._client.done()

    def close(self) -> None:
        """Has the server ended soon; nobody needs to wait for that."""
        if self._stop.is_set():
            return  # a second cancelling would break off the ending of the program
        self._stop.set()
        if not self._client.done():
            self.owner.cancel()

    async def tools(self) -> list[McpTool]:
        """The server's tools as they are now; waits for its start.

        Raises:
            ServerFailedError: it cannot be reached, is no MCP server, or is lost.
        """
        await asyncio.wait({self._client, self.owner}, timeout=self._start_s, return_when=asyncio.FIRST_COMPLETED)
        if not self._client.done():
            if self.owner.done():
                raise self._lost(None)
            self.close()
            raise self._error(f"did not answer within {self._start_s:g} s")
        asked = await self._answered(_all_tools(self._client.result()), self._start_s)
        if asked is None:
            self.close()
            raise self._error(f"did not tell its tools within {self._start_s:g} s")
        if (error := _failure(asked)) is not None:
            raise self._lost(error)
        return asked.result()

    async def call(self, name: str, arguments: dict[str, Any]) -> ToolReply:
        """Calls a tool.

        Raises:
            ServerFailedError: the server is lost.
        """
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        asked = await self._answered(self._client.result().call_tool(name, arguments), self._call_s)
        if asked is None:
            return ToolReply(text_output(f"The tool took longer than {self._call_s:g} s."), "failed")
        error = _failure(asked)
        if error is None:
            result = asked.result()
            output = _output(result)
            if len(output) > RESULT_LIMIT_BYTES:
                message = f"The tool gave more than {RESULT_LIMIT_BYTES // 1024:,} KiB, which is too much."
                return ToolReply(text_output(message), "failed")
            return ToolReply(output, "failed" if result.is_error else "done")
        if isinstance(error, MCPError) and error.error.code != CONNECTION_CLOSED:
            return ToolReply(text_output(without_secrets(error.error.message, self.spec)), "failed")
        raise self._lost(error)

    async def _own(self) -> None:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(await self._opened(stack))
            self._client.set_result(client)
            await self._stop.wait()

    async def _opened(self, stack: AsyncExitStack) -> Client:
        """The client, not yet begun."""
        # The first import takes half a second, in which nobody else should stand still.
        await asyncio.to_thread(_import_mcp)
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamable_http_client
        from mcp_types import Implementation

        from roci.server.mcp.http_limits import REPLY_LIMIT_BYTES, limited_client

        spec = self.spec
        if spec.url:
            http = await stack.enter_async_context(limited_client(spec.headers))
            target = streamable_http_client(spec.url, http_client=http, max_sse_event_size=REPLY_LIMIT_BYTES)
        else:
            program = StdioServerParameters(
                command=spec.command, args=list(spec.args), env=dict(spec.env), cwd=spec.cwd
            )
            target = stdio_client(program, errlog=await stack.enter_async_context(self._words.listening()))
        return Client(target, client_info=Implementation(name="roci", version=VERSION), cache=None)

    async def _answered(self, work: Any, limit_s: float) -> asyncio.Task[Any] | None:
        """The task in which `work` ended, by the owner's end too; None where the time was not enough."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self.owner}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task
            is_lost = self.owner.done()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return task if is_lost else None

    def _lost(self, error: BaseException | None) -> ServerFailedError:
        """The error for a server that is gone; what the owner ended with says most."""
        self.close()
        ended = self.owner.exception() if self.owner.done() and not self.owner.cancelled() else None
        return self._error(reason_of(ended or error, self.spec))

    def _error(self, reason: str) -> ServerFailedError:
        words = self._words.text
        told = f" Its last words: {without_secrets(words, self.spec)}" if words else ""
        _log.warning("The MCP server %r %s.%s", self.spec.label, reason, told)
        return ServerFailedError(f"The MCP server {self.spec.label!r} {reason}.", status=502, code=self._code)


def text_output(text: str) -> str:
    """`text` as a tool gives it."""
    return msgspec.json.encode([{"type": "text", "text": text}]).decode()


def _failure(task: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _output(result: Any) -> str:
    parts = [part.model_dump(mode="json", by_alias=True, exclude_none=True) for part in result.content]
    if not parts and result.structured_content is not None:
        return text_output(msgspec.json.encode(result.structured_content).decode())
    return msgspec.json.encode(parts).decode()


async def _all_tools(client: Client) -> list[McpTool]:
    tools: list[McpTool] = []
    cursor: str | None = None
    for _ in range(_PAGES_LIMIT):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            annotations = tool.annotations
            tools.append(
                McpTool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.input_schema,
                    annotations=None
                    if annotations is None
                    else annotations.model_dump(mode="json", by_alias=True, exclude_none=True),
                )
            )
        cursor = page.next_cursor
        if cursor is None or len(tools) > TOOLS_LIMIT:
            break
    if cursor is not None or len(tools) > TOOLS_LIMIT:
        raise ValueError(f"it has more than {TOOLS_LIMIT} tools")
    return tools


def _import_mcp() -> None:
    import mcp  # noqa: F401

    import roci.server.mcp.http_limits  # noqa: F401

    # It logs addresses and whole messages, in which secrets may stand; what went wrong is in our own words.
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)
