"""One connection to an MCP server: how it starts, fails and ends, without a gateway around it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from roci.errors import ServerFailedError
from roci.server.mcp.connection import Connection
from roci.server.mcp.servers import McpServers
from roci.server.mcp.spec import ServerSpec, WantedServer
from tests.server.test_mcp import SERVER

PATIENCE_S = 60.0
Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 100000000\r\n\r\n" + b" " * 9_000_000)
    await reader.read()
    writer.close()


async def swells(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-encoding: gzip\r\ncontent-length: 20\r\n\r\n" + b"\x1f\x8b" + bytes(18))
    await reader.read()
    writer.close()


async def is_a_web_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi")
    await reader.read()
    writer.close()


async def failure_of(spec: ServerSpec, **limits: Any) -> ServerFailedError:
    connection = Connection(spec, "mcp_connection_error", **limits)
    with pytest.raises(ServerFailedError) as failed:
        await connection.tools()
    assert connection.is_over
    await asyncio.wait({connection.owner}, timeout=PATIENCE_S)
    assert connection.owner.done()
    await asyncio.gather(connection.owner, return_exceptions=True)
    return failed.value


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (says_nothing, "did not answer within 0.5 s"),
        (never_ends, "broke off its answer"),
        (swells, ""),
        (is_a_web_page, "answered with an error"),
    ],
)
def test_a_server_that_does_not_speak_as_it_should_is_one_plain_error(conversation: Conversation, words: str):
    async def tried() -> ServerFailedError:
        async with await asyncio.start_server(conversation, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            limit_s = 0.5 if conversation is says_nothing else PATIENCE_S
            return await failure_of(ServerSpec(label="x", url=f"http://127.0.0.1:{port}/hush"), start_s=limit_s)

    error = asyncio.run(tried())
    assert (error.status, error.code) == (502, "mcp_connection_error")
    assert words in error.message
    assert "hush" not in error.message


def test_a_program_that_says_nothing_is_ended():
    error = asyncio.run(failure_of(ServerSpec(label="x", command="sleep", args=("1000",)), start_s=0.5))
    assert "did not answer within 0.5 s" in error.message
    assert "sleep" not in [child.name() for child in psutil.Process().children()]


def test_a_tool_that_takes_too_long_has_failed_and_the_server_can_still_be_used():
    async def tried() -> list[str]:
        spec = ServerSpec(label="x", command=sys.executable, args=(str(SERVER), "stdio"))
        connection = Connection(spec, "mcp_connection_error", call_s=0.3)
        await connection.tools()
        replies = [await connection.call("wait", {}), await connection.call("add", {"a": 1})]
        connection.close()
        await connection.owner
        return [reply.kind for reply in replies]

    kinds = asyncio.run(tried())
    assert kinds[0] == "failed"
    assert kinds[1] in ("done", "failed")  # on a slow machine, this one too takes longer than it may


def test_a_shared_server_is_used_by_several_and_ends_when_nobody_has_used_it_for_a_while():
    async def tried() -> None:
        servers = McpServers(idle_s=0.0)
        spec = ServerSpec(label="x", command="sleep", args=("1000",))
        wanted = WantedServer(spec=spec, is_shared=True, allowed_tools=None, path="here")
        with servers.using(wanted) as first:
            with servers.using(wanted) as second:
                assert second is first
            assert not first.is_over
        await asyncio.wait({first.owner}, timeout=PATIENCE_S)
        assert first.owner.done()
        with servers.using(wanted) as third:
            assert third is not first
        await servers.aclose()

    asyncio.run(tried())


def test_an_entry_that_changes_takes_effect_and_the_old_server_ends_with_its_last_user():
    async def tried() -> None:
        servers = McpServers()
        old, new = (
            WantedServer(
                spec=ServerSpec(label="x", command="sleep", args=(seconds,)),
                is_shared=True,
                allowed_tools=None,
                path="here",
            )
            for seconds in ("1000", "1001")
        )
        with ExitStack() as stack:
            before = stack.enter_context(servers.using(old))
            after = stack.enter_context(servers.using(new))
            assert before is not after
            assert not before.is_over
        assert before.is_over
        assert not after.is_over
        await servers.aclose()
        assert before.owner.done()
        assert after.owner.done()

    asyncio.run(tried())


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, roci.server.app; print(sorted({'mcp', 'PIL', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("package", "call", "words"),
    [
        ("mcp", "allowed.responses_servers(request, ServerSettings(allow_request_mcp=True))", "roci-ai[mcp]"),
        ("PIL", "images.settled('iVBORw0KGgo=', 'here')", "roci-ai[server]"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_brings_it(package: str, call: str, words: str):
    code = f"""
import sys
sys.modules[{package!r}] = None
from roci.server import images
from roci.server.mcp import allowed
from roci.server.settings import ServerSettings
from roci.wire.openai.responses_checks import decode_responses_request
body = b'{{"model":"m","input":"x","tools":[{{"type":"mcp","server_label":"s","server_url":"http://x"}}]}}'
request = decode_responses_request(body)
try:
    {call}
except Exception as error:
    print(error.status, error.code, error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("501 not_implemented")
    assert words in said
