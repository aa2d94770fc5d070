"""Where settings come from: arguments, the environment, the working directory's `.env`; and roci's home.

Who wins: an argument, then the environment, then `.env`, then the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from roci.errors import ConfigError

LMSTUDIO_DEFAULT_URL: Final = "http://localhost:1234"
OPENAI_DEFAULT_URL: Final = "https://api.openai.com/v1"
LMSTUDIO_TOKEN_VARIABLES: Final = (
    "LM_API_TOKEN",
    "LMSTUDIO_API_TOKEN",
    "LMSTUDIO_API_KEY",
    "LM_STUDIO_API_KEY",
)
TIMEOUT_VARIABLES: Final = {
    "connect_s": "ROCI_TIMEOUT_CONNECT_S",
    "first_token_s": "ROCI_TIMEOUT_FIRST_TOKEN_S",
    "gap_s": "ROCI_TIMEOUT_GAP_S",
    "total_s": "ROCI_TIMEOUT_TOTAL_S",
}
_ENV_FILE_LIMIT_BYTES = 1_000_000


class RociConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What roci reads from its surroundings. Made by `from_env()`, or by hand for full control."""

    lmstudio_base_url: str = LMSTUDIO_DEFAULT_URL
    lmstudio_token: str | None = None
    openai_base_url: str = OPENAI_DEFAULT_URL
    openai_api_key: str | None = None
    model: str | None = None
    """`ROCI_MODEL`: the selector to use where none is given."""
    timeouts: dict[str, float | None] = {}
    """Fields of `Timeouts` that the environment sets."""
    max_retries: int | None = None
    """`ROCI_MAX_RETRIES`: attempts after the first, 0 to 10; see `RetryPolicy`."""
    roci_home: str | None = None
    """`ROCI_HOME`; see `home`."""
    origins: dict[str, str] = {}
    """Field -> the variable (`LMSTUDIO_BASE_URL`) or file and variable (`.env: LMSTUDIO_BASE_URL`) it came from."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> RociConfig:
        """Read the environment, and `.env` in `directory` (the working directory), which never overrides it.

        Raises:
            ConfigError: a value that cannot be used, naming the variable and where it was set.
        """
        environ = os.environ if environ is None else environ
        file = read_env_file(os.path.join(directory or os.getcwd(), ".env"))  # noqa: PTH109, PTH118 - at every call
        sources = ((environ, ""), (file, ".env: ")) if file else ((environ, ""),)
        origins: dict[str, str] = {}

        def first(field: str, *names: str) -> str | None:
            for source, prefix in sources:
                for name in names:
                    value = (source.get(name) or "").strip()
                    if value:
                        origins[field] = prefix + name
                        return value
            return None

        lmstudio_url = first("lmstudio_base_url", "LMSTUDIO_BASE_URL")
        openai_url = first("openai_base_url", "OPENAI_BASE_URL")
        timeouts: dict[str, float | None] = {}
        for field, name in TIMEOUT_VARIABLES.items():
            text = first(f"timeouts.{field}", name)
            if text is not None:
                timeouts[field] = _seconds(text, name, origins[f"timeouts.{field}"])
        retries = first("max_retries", "ROCI_MAX_RETRIES")
        return cls(
            lmstudio_base_url=server_root(lmstudio_url or LMSTUDIO_DEFAULT_URL, origins.get("lmstudio_base_url", "")),
            lmstudio_token=first("lmstudio_token", *LMSTUDIO_TOKEN_VARIABLES),
            openai_base_url=checked_url(openai_url or OPENAI_DEFAULT_URL, origins.get("openai_base_url", "")),
            openai_api_key=first("openai_api_key", "OPENAI_API_KEY"),
            model=first("model", "ROCI_MODEL"),
            timeouts=timeouts,
            max_retries=None if retries is None else _attempts(retries, origins["max_retries"]),
            roci_home=first("roci_home", "ROCI_HOME"),
            origins=origins,
        )

    @property
    def home(self) -> Path:
        """Where models and state live: `ROCI_HOME`, else the platform's data folder. It need not exist."""
        if self.roci_home:
            return Path(self.roci_home).expanduser().absolute()
        from platformdirs import user_data_path  # only where something looks at the home

        return user_data_path("roci", appauthor=False)

    def __repr__(self) -> str:
        # Tokens stay out of logs and tracebacks.
        shown = {
            name: "…" if name in ("lmstudio_token", "openai_api_key") and value else value
            for name, value in ((name, getattr(self, name)) for name in self.__struct_fields__)
        }
        return f"RociConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def read_env_file(path: Path | str) -> dict[str, str]:
    """The assignments in a `.env` file; empty where there is none.

    Raises:
        ConfigError: the file is there and cannot be read, or is no text.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - at every call of a selector string, nearly always in vain
        return {}
    path = Path(path)
    from dotenv import dotenv_values  # slow to import, and only needed where there is such a file

    try:
        if path.stat().st_size > _ENV_FILE_LIMIT_BYTES:
            raise ConfigError(f"{path} is larger than a megabyte.", setting=".env", origin=str(path))
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", setting=".env", origin=str(path)) from error
    return {name: value for name, value in values.items() if value is not None}


@lru_cache(maxsize=64)
def checked_url(url: str, origin: str = "") -> str:
    """`url` without trailing slashes, known to have a scheme and a host.

    Raises:
        ConfigError: it has no scheme, another than http or https, no host, or a port that is no port.
    """
    text = url.strip().rstrip("/")
    source = f" (from {origin})" if origin else ""
    try:
        parts = urlsplit(text)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ConfigError(
            f"The base URL {url!r}{source} cannot be used: {error}.",
            setting="base_url",
            value=url,
            origin=origin,
        ) from error
    if parts.scheme not in ("http", "https") or "://" not in text:
        raise ConfigError(
            f"The base URL {url!r}{source} does not begin with http:// or https://.",
            setting="base_url",
            value=url,
            origin=origin,
            hint=f"Did you mean http://{text.split('://')[-1] or 'localhost:1234'}?",
        )
    if not parts.hostname or not port_is_good or parts.query or parts.fragment or any(map(str.isspace, text)):
        raise ConfigError(
            f"The base URL {url!r}{source} is not a scheme, a host and a path.",
            setting="base_url",
            value=url,
            origin=origin,
            hint=f"It looks like {LMSTUDIO_DEFAULT_URL}.",
        )
    return text


def server_root(url: str, origin: str = "") -> str:
    """`url` without a trailing `/v1`, so that with and without it mean the same server.

    Raises:
        ConfigError: as `checked_url`.
    """
    return checked_url(url, origin).removesuffix("/v1").rstrip("/")


def _attempts(text: str, origin: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 3 and int(text) <= 10:
        return int(text)
    raise ConfigError(
        f"ROCI_MAX_RETRIES is {text!r}; it takes a whole number from 0 to 10.",
        setting="ROCI_MAX_RETRIES",
        value=text,
        origin=origin,
    )


def _seconds(text: str, name: str, origin: str) -> float | None:
    if text.lower() in ("none", "off", "never"):
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(
            f"{name} is {text!r}; it takes seconds above 0, or 'none' for no limit.",
            setting=name,
            value=text,
            origin=origin,
        )
    return seconds
