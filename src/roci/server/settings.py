"""The gateway's settings: one Struct, from which flags, `ROCI_*` variables and the file's fields derive.

Who wins: a flag, then the environment, then the file, then the default. The settings of models among them hold for
all models, beneath what a model's own file says (`roci.engine.model_settings`).
"""

from __future__ import annotations

import ipaddress
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from roci.engine.model_settings import MODEL_NAMES, ModelSettings, SettingsFile, environment_values
from roci.engine.settings_files import SERVER_FILE_NAME, read_settings
from roci.engine.settings_values import Folder, checked_value, flag, unknown_setting, variable
from roci.errors import ConfigError
from roci.server.web_origins import checked_origins

Port = Annotated[int, Meta(ge=0, le=65_535)]
HostName = Annotated[str, Meta(min_length=1, max_length=255)]


class ServerSettings(ModelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the gateway runs, and how it loads models."""

    host: str = "127.0.0.1"
    """An address of this machine. One that others can reach needs `require_token` and a token, or `allow_open`."""
    port: Port = 1234
    """0 takes any free one, which is reported."""
    cors: bool | Annotated[tuple[str, ...], Meta(max_length=1000)] = False
    """The web pages that may ask: none, any, or those of the origins listed."""
    verbose: bool = False
    """One line for each request on standard error."""
    max_loaded: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Models in memory on demand. A request for one more waits until another has finished its answers."""
    jit: bool = True
    """Load a model when a request names it; otherwise only models that somebody loaded answer."""
    compat: Literal["roci", "lmstudio"] = "roci"
    """`lmstudio` answers as LM Studio does also where that is a known trap: an unknown path with 200, for instance."""
    require_token: bool = False
    """Refuse who brings no token of `roci tokens`."""
    allow_open: bool = False
    """Let everybody in who can reach `host`, without a token."""
    allowed_hosts: Annotated[tuple[HostName, ...], Meta(max_length=1000)] = ()
    """Further names by which clients may call this server, such as `box.local`."""
    allow_request_mcp: bool = False
    """Let a request bring MCP servers of its own."""
    allow_mcp_file: bool = False
    """Let requests use the MCP servers of `mcp_file`. Needs `require_token`."""
    mcp_file: Folder | None = None
    """By default `mcp.json` in roci's home."""
    store_days: Annotated[int, Meta(ge=1, le=36_500)] = 30
    """Days after which stored conversations are deleted."""
    model_folders: Annotated[tuple[Folder, ...], Meta(max_length=100)] = ()
    """Folders of models beside roci's own; read, never written."""
    download_mb_per_s: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    """Megabytes a second that downloads may take together; by default as fast as can be."""
    queue_limit: Annotated[int, Meta(ge=1, le=100_000)] = 512
    """Requests that may wait; one more is refused with 503."""
    drain_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    """Seconds that answers in progress may still take after Ctrl-C."""
    max_body_mb: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Megabytes of one request's body; images travel in it."""
    origins: Mapping[str, str] = {}
    """No setting: setting -> the flag, variable or file that it came from. Others are the default, or made by hand."""

    def origin(self, name: str) -> str:
        """Where a setting's value came from; `argument` where the settings were made by hand."""
        by_hand = "default" if getattr(self, name) == getattr(DEFAULTS, name) else "argument"
        return self.origins.get(name, by_hand)


NAMES: Final = (
    *(name for name in ServerSettings.__struct_fields__ if name not in (*MODEL_NAMES, "origins")),
    *MODEL_NAMES,
)
TYPES: Final[dict[str, Any]] = typing.get_type_hints(ServerSettings, include_extras=True)
DEFAULTS: Final = ServerSettings()


def resolve_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None
) -> ServerSettings:
    """The settings by all sources.

    Args:
        flags: by setting's name; one that is None was not given.
        file: a JSON object of settings; None where there is none.

    Raises:
        ConfigError: names the setting, its value and where it came from, or an unknown name and the nearest known.
    """
    return settings_of(flags, environ, read_server_file(file))


def settings_of(
    flags: Mapping[str, object], environ: Mapping[str, str], file: SettingsFile | None = None
) -> ServerSettings:
    """`resolve_settings` with a file that has been read."""
    origins: dict[str, str] = {}
    values: dict[str, Any] = {}
    layers = (
        (lambda _: file.path if file else "", file.values if file else {}, False),
        (variable, environment_values(environ, NAMES), True),
        (flag, {name: value for name, value in flags.items() if value is not None}, True),
    )
    for origin_of, given, is_text in layers:
        for name, value in given.items():
            origins[name] = origin_of(name)
            values[name] = checked_setting(name, value, origins[name], is_text=is_text)
    settings = ServerSettings(**values, origins=origins)
    _check_together(settings)
    return settings


def checked_setting(name: str, value: object, origin: str, *, is_text: bool = False) -> Any:
    """One setting's value as the setting's type.

    Raises:
        ConfigError: there is no such setting, or it does not take this value.
    """
    if name not in NAMES:
        raise unknown_setting(name, origin, NAMES, value)
    checked = checked_value(name, value, TYPES[name], origin, is_text=is_text)
    return checked_origins(checked, origin) if name == "cors" else checked


def read_server_file(file: Path | None) -> SettingsFile | None:
    """The server's file, unchecked.

    Raises:
        ConfigError: it is not there, or is no JSON object.
    """
    if file is None:
        return None
    found = read_settings(file)
    if found is None:
        raise ConfigError(
            f"There is no settings file {file}.", setting=SERVER_FILE_NAME, value=str(file), origin=str(file)
        )
    return found


def settings_file(home: Path, given: Path | None = None) -> Path | None:
    """The file to read settings from: `given`, else the home's own if it is there."""
    own = home / SERVER_FILE_NAME
    return given or (own if own.is_file() else None)


def check_reach(settings: ServerSettings, *, has_token: bool) -> None:
    """Refuses a server that strangers could use.

    Raises:
        ConfigError: other machines can reach it, and it asks nobody for a token.
    """
    if is_loopback(settings.host) or settings.allow_open or (settings.require_token and has_token):
        return
    what = "there is no token yet" if settings.require_token else "require_token is off"
    raise ConfigError(
        f"host is {settings.host!r} (from {settings.origin('host')}), which other machines can reach, and {what}.",
        setting="host",
        value=settings.host,
        origin=settings.origin("host"),
        hint="Make a token with `roci tokens create NAME` and serve with --require-token, use 127.0.0.1 and a tunnel, "
        "or let everybody in with --allow-open.",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def model_layers(settings: ServerSettings) -> dict[str, Any]:
    """The settings of models among the server's, as `resolve_model_settings` takes them. Made by hand is as a flag."""
    flags: dict[str, object] = {}
    environ: dict[str, str] = {}
    in_file: dict[str, object] = {}
    path = ""
    for name in MODEL_NAMES:
        value, origin = getattr(settings, name), settings.origin(name)
        if origin in (flag(name), "argument"):
            flags[name] = value
        elif origin == variable(name):
            environ[name] = value
        elif origin != "default":
            in_file[name], path = value, origin
    return {
        "command_line": flags,
        "environment": environ,
        "server_file": SettingsFile(path, in_file) if in_file else None,
    }


def _check_together(settings: ServerSettings) -> None:
    if settings.allow_mcp_file and not settings.require_token:
        raise ConfigError(
            f"allow_mcp_file is on (from {settings.origin('allow_mcp_file')}) and require_token is off, so that "
            "everybody could use the tools of this machine.",
            setting="allow_mcp_file",
            value=True,
            origin=settings.origin("allow_mcp_file"),
            hint="Set require_token too, and make a token with `roci tokens create NAME`.",
        )
    if not is_loopback(settings.host):
        _check_address(settings.host, settings.origin("host"))


def _check_address(host: str, origin: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise ConfigError(
            f"host is {host!r} (from {origin}), which is no address.",
            setting="host",
            value=host,
            origin=origin,
            hint="It takes 127.0.0.1, 0.0.0.0 for all addresses of this machine, or one of them.",
        ) from error
