"""Which hub is asked, and with which token: `HF_ENDPOINT`, `HF_TOKEN`, and the token that its own tools have stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from roci.config import checked_url

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
TOKEN_LIMIT_BYTES: Final = 10_000
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """A server that speaks as the Hugging Face hub does."""

    endpoint: str = DEFAULT_ENDPOINT
    """Without a trailing slash; it may have a path."""
    token: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Hub:
        """The hub by the environment.

        Raises:
            ConfigError: `HF_ENDPOINT` is no address.
        """
        environ = os.environ if environ is None else environ
        endpoint = (environ.get("HF_ENDPOINT") or "").strip() or DEFAULT_ENDPOINT
        token = (environ.get("HF_TOKEN") or "").strip() or _stored_token(environ)
        return cls(endpoint=checked_url(endpoint, "HF_ENDPOINT"), token=token)

    def headers_for(self, url: str) -> dict[str, str]:
        """The token's header for `url`; none where `url` is not on the hub itself."""
        if self.token is None or origin(url) != origin(self.endpoint):
            return {}
        return {"authorization": f"Bearer {self.token}"}

    def page(self, repo: str) -> str:
        """The address of a repository's page, for people."""
        return f"{self.endpoint}/{repo}"

    def __repr__(self) -> str:
        # The token stays out of logs and tracebacks.
        return f"Hub(endpoint={self.endpoint!r}, token={'…' if self.token else None!r})"


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what two addresses must share for a token to go to both."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS.get(parts.scheme)


def _stored_token(environ: Mapping[str, str]) -> str | None:
    """The token that `hf auth login` has left. Source: huggingface_hub 2.4.0, `HF_TOKEN_PATH` and `HF_HOME`."""
    user_cache = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache")
    hub_home = Path(environ.get("HF_HOME") or user_cache / "huggingface").expanduser()
    path = Path(environ.get("HF_TOKEN_PATH") or hub_home / "token").expanduser()
    try:
        with path.open("rb") as file:
            text = file.read(TOKEN_LIMIT_BYTES).decode("ascii", "ignore").strip()
    except OSError:
        return None  # nobody has logged in here, or not for us
    return text if text.isprintable() and " " not in text and text else None
