"""The server that a command manages: at `--server`, else at the configured address."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from roci.config import RociConfig, server_root

F = TypeVar("F", bound=Callable[..., Any])
COMPLETION_S: Final = 0.5
_REPLY_BYTES_MAX: Final = 10_000_000

server_option = click.option("--server", metavar="URL", help="This server instead of the one at LMSTUDIO_BASE_URL.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def open_server(base_url: str | None) -> Any:
    """The `LmStudioServer` at `base_url`, to be closed.

    Raises:
        ConfigError: `base_url` cannot be one.
    """
    from roci.providers.model_server import LmStudioServer

    config = RociConfig.from_env()
    return LmStudioServer(None if base_url is None else server_root(base_url, "--server"), config=config)


def complete_key(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Keys of the server's models that begin so."""
    return [key for entry in _entries(ctx) if (key := str(entry.get("key", ""))).startswith(incomplete)]


def complete_loaded(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the copies in the server's memory that begin so."""
    copies = [copy for entry in _entries(ctx) for copy in entry.get("loaded_instances", ())]
    return [name for copy in copies if (name := str(copy.get("id", ""))).startswith(incomplete)]


def _entries(ctx: click.Context) -> list[dict[str, Any]]:
    """`GET /api/v1/models`; nothing where that fails. The library's own transport would take longer to import."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    from roci.errors import ConfigError

    try:
        config = RociConfig.from_env()
        named = ctx.params.get("server")
        parts = urlsplit(server_root(named) if named else config.lmstudio_base_url)
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        token = config.lmstudio_token
        connection = connect(parts.netloc, timeout=COMPLETION_S)
        try:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", f"{parts.path.rstrip('/')}/api/v1/models", headers=headers)
            models = json.loads(connection.getresponse().read(_REPLY_BYTES_MAX))["models"]
        finally:
            connection.close()
        return [entry for entry in models if isinstance(entry, dict)]
    except (OSError, HTTPException, ConfigError, ValueError, KeyError, TypeError):
        return []  # whoever presses Tab wants no message
