"""Why an MCP server could not be used, as the end of a sentence and without what is secret."""

from __future__ import annotations

import asyncio
from typing import Final

from roci.server.mcp.spec import ServerSpec

_TEXT_LIMIT: Final = 300
_LOST: Final = "closed the connection"


def reason_of(error: BaseException | None, spec: ServerSpec) -> str:
    """What follows on "The MCP server"."""
    if error is None:
        return _LOST
    # Imported by whoever got the error.
    import httpx2
    from mcp import MCPError
    from mcp_types import CONNECTION_CLOSED

    leaf = first_leaf(error)
    match leaf:
        case asyncio.CancelledError():
            return _LOST
        case MCPError():
            if leaf.error.code == CONNECTION_CLOSED:
                return _LOST
            return f"answered with an error: {without_secrets(leaf.error.message, spec)}"
        case httpx2.HTTPStatusError():
            return f"answered with status {leaf.response.status_code}"
        case httpx2.TimeoutException() | TimeoutError():
            return "took too long to answer"
        case httpx2.TransportError():
            return "cannot be reached" if isinstance(leaf, httpx2.ConnectError) else "broke off its answer"
        case FileNotFoundError() | PermissionError() | NotADirectoryError():
            return f"cannot be started: there is no program {spec.command!r} that may be run"
        case ValueError() if not leaf.__cause__ and len(str(leaf)) < _TEXT_LIMIT:
            return f"cannot be used: {without_secrets(str(leaf), spec)}"
        case _:
            return f"does not speak MCP as it should ({type(leaf).__name__})"


def first_leaf(error: BaseException) -> BaseException:
    """The first error in a group of groups that says something: not the cancelling of its neighbours."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [first_leaf(inner) for inner in error.exceptions]
    telling = [leaf for leaf in leaves if not isinstance(leaf, asyncio.CancelledError)]
    return (telling or leaves)[0]


def without_secrets(text: str, spec: ServerSpec) -> str:
    """At most 300 characters of `text`, the server's address, headers, arguments and variables left out."""
    for secret in spec.secrets:
        text = text.replace(secret, "…")
    return text.strip()[:_TEXT_LIMIT]
