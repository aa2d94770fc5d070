"""Which MCP servers a request wants, wherever it named them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

_SECRET_CHARS: Final = 4
"""What is shorter is no secret, and part of many words."""

ErrorCode = Literal["mcp_connection_error", "plugin_connection_error"]


class ServerSpec(Struct, frozen=True, kw_only=True):
    """How an MCP server is reached: over HTTP by `url`, or as a program of this machine by `command`."""

    label: str
    url: str = ""
    headers: Mapping[str, str] = {}
    """Sent with every request; often secret."""
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    """Beside HOME, PATH and the like, which are all that the program gets of this process's environment."""
    cwd: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may stand in no log and no reply; the longest first."""
        known = {self.url, *self.args, *self.headers.values(), *self.env.values()}
        known |= {value.rpartition(" ")[2] for value in self.headers.values()}  # a token without its scheme
        return tuple(sorted((text for text in known if len(text) >= _SECRET_CHARS), key=len, reverse=True))


class WantedServer(Struct, frozen=True, kw_only=True):
    """A server that a request wants the tools of."""

    spec: ServerSpec
    is_shared: bool
    """It is one of `mcp.json`, which is kept between requests; otherwise it is for this request alone."""
    allowed_tools: tuple[str, ...] | None
    """None: all of them."""
    path: str
    """Of its entry in the request."""

    @property
    def provider_info(self) -> dict[str, str]:
        """As the native API tells where a tool comes from."""
        if self.is_shared:
            return {"type": "plugin", "plugin_id": f"mcp/{self.spec.label}"}
        return {"type": "ephemeral_mcp", "server_label": self.spec.label}
