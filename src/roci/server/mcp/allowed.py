"""Which MCP servers a request may have: two settings open the door, both off by default."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from roci.errors import BadRequestError
from roci.server.mcp.file import FILE_NAME, server_in
from roci.server.mcp.spec import ServerSpec, WantedServer
from roci.server.settings import ServerSettings
from roci.wire.lmstudio.chat_requests import NativeChatRequest, PluginIntegration
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.responses_checks import mcp_servers
from roci.wire.openai.responses_requests import ResponsesRequest, ToolChoiceSpec

INSTALL: Final = "pip install 'roci-ai[mcp]'"
_PREFIX: Final = "mcp/"
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8000}")


async def native_servers(request: NativeChatRequest, settings: ServerSettings, home: Path) -> list[WantedServer]:
    """The servers that `integrations` names.

    Raises:
        BadRequestError: the settings do not let them be used, or an entry cannot be used.
        ConfigError: `mcp.json` cannot be used.
    """
    wanted: list[WantedServer] = []
    for position, given in enumerate(request.wanted_integrations):
        path = f"integrations[{position}]"
        if isinstance(given, PluginIntegration):
            _need("allow_mcp_file", settings, f"The server {given.id[:100]!r} of {FILE_NAME}", path)
            name = given.id.removeprefix(_PREFIX)
            if name == given.id:
                raise invalid(f"{path} is {given.id[:100]!r}; it takes {_PREFIX}NAME, of {FILE_NAME}.", path)
            spec = await asyncio.to_thread(server_in, _file(settings, home), name, path)
        else:
            _need("allow_request_mcp", settings, f"The MCP server {given.server_label[:100]!r}", path)
            spec = _remote(given.server_label, given.server_url, given.headers or {}, path)
        allowed = None if given.allowed_tools is None else tuple(given.allowed_tools)
        is_shared = isinstance(given, PluginIntegration)
        wanted.append(WantedServer(spec=spec, is_shared=is_shared, allowed_tools=allowed, path=path))
    return _checked(wanted)


def responses_servers(request: ResponsesRequest, settings: ServerSettings) -> list[WantedServer]:
    """The servers among `tools`. None of them where `tool_choice` allows no other tools than functions.

    Raises:
        BadRequestError: the settings do not let them be used, or an entry cannot be used.
    """
    wanted: list[WantedServer] = []
    for given in mcp_servers(request):
        _need("allow_request_mcp", settings, f"The MCP server {given.server_label!r}", given.path)
        spec = _remote(given.server_label, given.server_url, given.headers, given.path)
        wanted.append(WantedServer(spec=spec, is_shared=False, allowed_tools=given.allowed_tools, path=given.path))
    checked = _checked(wanted)
    choice = request.tool_choice
    return [] if isinstance(choice, ToolChoiceSpec) and choice.type == "allowed_tools" else checked


def _file(settings: ServerSettings, home: Path) -> Path:
    return home / FILE_NAME if settings.mcp_file is None else Path(settings.mcp_file).expanduser()


def _need(setting: str, settings: ServerSettings, what: str, path: str) -> None:
    is_on = getattr(settings, setting)
    if setting == "allow_mcp_file":
        is_on = is_on and settings.require_token  # settings that were made by hand are not checked together
    if not is_on:
        raise invalid(
            f"{what} may not be called.",
            path,
            code="mcp_not_allowed",
            hint=f"The setting {setting} of this server is off.",
        )


def _remote(label: str, url: str, headers: Mapping[str, str], path: str) -> ServerSpec:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise invalid(f"{path}.headers has a name or value that no HTTP header can have.", f"{path}.headers")
    return ServerSpec(label=label, url=url, headers=headers)


def _checked(wanted: list[WantedServer]) -> list[WantedServer]:
    labels: set[str] = set()
    for server in wanted:
        if server.spec.label in labels:
            raise invalid(f"{server.path} is the second server {server.spec.label!r}.", server.path)
        labels.add(server.spec.label)
    if wanted and find_spec("mcp") is None:
        raise BadRequestError(
            "MCP servers need a package that is not installed: mcp.",
            status=501,
            code="not_implemented",
            param=wanted[0].path,
            hint=f"Install it with: {INSTALL}",
        )
    return wanted
