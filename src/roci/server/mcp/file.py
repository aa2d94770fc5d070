"""`mcp.json`: the MCP servers of this machine that requests may use by name.

Source: the format that LM Studio, Cursor and others share: `{"mcpServers": {NAME: {url, headers} | {command, args,
env}}}`. Fields of other programs are ignored.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from roci.errors import ConfigError
from roci.server.mcp.spec import ServerSpec
from roci.wire.openai.request_faults import invalid

FILE_NAME: Final = "mcp.json"
FILE_LIMIT_BYTES: Final = 1_000_000
_SETTING: Final = "mcp_file"


class _Entry(Struct):
    url: Annotated[str, Meta(pattern=r"^https?://", max_length=4000)] | None = None
    headers: Annotated[dict[str, str], Meta(max_length=100)] = {}
    command: Annotated[str, Meta(min_length=1, max_length=4000)] | None = None
    args: Annotated[list[str], Meta(max_length=1000)] = []
    env: Annotated[dict[str, str], Meta(max_length=1000)] = {}
    cwd: str | None = None


class _File(Struct):
    servers: Annotated[dict[str, _Entry], Meta(max_length=1000)] = msgspec.field(name="mcpServers")


_decoder: Final = msgspec.json.Decoder(_File)


def server_in(file: Path, name: str, path: str) -> ServerSpec:
    """The server called `name` in an `mcp.json`. Blocks.

    Args:
        path: of the field of the request that names it.

    Raises:
        BadRequestError: there is no such server.
        ConfigError: the file cannot be used; says where.
    """
    servers = _read(file)
    entry = servers.get(name)
    if entry is None:
        nearest = difflib.get_close_matches(name, servers, n=1)
        known = f"Did you mean {nearest[0]!r}?" if nearest else f"There are: {', '.join(sorted(servers)) or 'none'}."
        raise invalid(f"{path} names {name[:100]!r}, which is no server of {FILE_NAME}.", path, hint=known)
    if (entry.url is None) == (entry.command is None):
        raise _fault(f"mcpServers.{name} in {file} needs either a url or a command.", file)
    return ServerSpec(
        label=name,
        url=entry.url or "",
        headers=entry.headers,
        command=entry.command or "",
        args=tuple(entry.args),
        env=entry.env,
        cwd=entry.cwd,
    )


def _read(file: Path) -> dict[str, _Entry]:
    """The servers by name; none where there is no file."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _fault(f"The file of MCP servers {file} cannot be read: {error.strerror or error}.", file) from error
    if len(content) > FILE_LIMIT_BYTES:
        raise _fault(f"{file} is larger than a megabyte.", file)
    try:
        return _decoder.decode(content).servers
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _fault(f"The file of MCP servers {file} cannot be used: {error}.", file) from error


def _fault(message: str, file: Path) -> ConfigError:
    hint = 'It looks like {"mcpServers": {"NAME": {"command": "…", "args": []}, "OTHER": {"url": "https://…"}}}'
    return ConfigError(message, setting=_SETTING, origin=str(file), hint=hint)
