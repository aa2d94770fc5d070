"""The gateway's settings: one Struct, from which flags, `ROCI_*` variables and the file's fields derive.

Who wins: a flag, then the environment, then the file, then the default.
"""

from __future__ import annotations

import difflib
import ipaddress
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from roci.errors import ConfigError

FILE_NAME: Final = "server.json"
_FILE_LIMIT_BYTES: Final = 1_000_000

Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=100_000_000)]


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the gateway runs, and how it loads models."""

    host: str = "127.0.0.1"
    """A loopback address; others are refused until there are tokens."""
    port: Port = 1234
    """0 takes any free one, which is reported."""
    verbose: bool = False
    """One line for each request on standard error."""
    max_loaded: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Models in memory at once. A request for one more waits until another has finished its answers."""
    parallel: Annotated[int, Meta(ge=1, le=256)] = 4
    """Answers at once from one model; fewer where memory is short."""
    context_length: Count | None = None
    """Tokens for each answer with its prompt; by default the model's own limit, at most 8,192."""
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Threads that compute; by default the usable cores minus one."""
    n_batch: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    """Prompt tokens computed in one step, for which neighbours pause; by default 64 on a CPU, 512 with a GPU."""
    n_gpu_layers: Annotated[int, Meta(ge=-1, le=100_000)] = -1
    """Layers on a GPU; -1 is all, 0 none."""
    queue_limit: Annotated[int, Meta(ge=1, le=100_000)] = 512
    """Requests that may wait; one more is refused with 503."""
    drain_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    """Seconds that answers in progress may still take after Ctrl-C."""
    max_body_mb: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Megabytes of one request's body; images travel in it."""


NAMES: Final = ServerSettings.__struct_fields__
_TYPES: Final[dict[str, Any]] = typing.get_type_hints(ServerSettings, include_extras=True)


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
    origins: dict[str, str] = {}
    values: dict[str, object] = {}
    sources = (
        (str(file), _from_file(file) if file is not None else {}),
        ("environment", _from_environment(environ)),
        ("argument", {name: value for name, value in flags.items() if value is not None}),
    )
    for origin, given in sources:
        for name, value in given.items():
            if name not in NAMES:
                raise _unknown(name, value, origin)
            words = {"environment": variable(name), "argument": flag(name)}
            origins[name] = words.get(origin, origin)
            values[name] = _checked(name, value, origins[name], is_text=origin == "environment")
    settings = ServerSettings(**values)  # pyright: ignore[reportArgumentType]
    _check_host(settings.host, origins.get("host", "default"))
    return settings


def settings_file(home: Path, given: Path | None = None) -> Path | None:
    """The file to read settings from: `given`, else the home's own if it is there."""
    own = home / FILE_NAME
    return given or (own if own.is_file() else None)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"ROCI_{name.upper()}"


def flag(name: str) -> str:
    """The command line's flag of a setting."""
    return f"--{name.replace('_', '-')}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_file(file: Path) -> dict[str, object]:
    try:
        if file.stat().st_size > _FILE_LIMIT_BYTES:
            raise ConfigError(f"{file} is larger than a megabyte.", setting=FILE_NAME, origin=str(file))
        return msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except OSError as error:
        raise ConfigError(
            f"The settings file {file} cannot be read: {error.strerror or error}.", setting=FILE_NAME, origin=str(file)
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"The settings file {file} is not a JSON object: {error}.",
            setting=FILE_NAME,
            origin=str(file),
            hint='It looks like {"port": 1234, "max_loaded": 1}.',
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    given = {name: environ.get(variable(name), "").strip() for name in NAMES}
    return {name: text for name, text in given.items() if text}


def _checked(name: str, value: object, origin: str, *, is_text: bool) -> object:
    if is_text and _TYPES[name] is bool:
        value = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}.get(
            str(value).lower(), value
        )
    try:
        return msgspec.convert(value, _TYPES[name], strict=not is_text)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{name} is {value!r} (from {origin}): {error}.", setting=name, value=value, origin=origin
        ) from error


def _unknown(name: str, value: object, origin: str) -> ConfigError:
    nearest = difflib.get_close_matches(name, NAMES, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(NAMES)}."
    return ConfigError(
        f"There is no setting {name!r} (in {origin}).", setting=name, value=value, origin=origin, hint=hint
    )


def _check_host(host: str, origin: str) -> None:
    if not is_loopback(host):
        raise ConfigError(
            f"host is {host!r} (from {origin}), which other machines can reach, and there are no access tokens yet.",
            setting="host",
            value=host,
            origin=origin,
            hint="Use 127.0.0.1, and a tunnel such as `ssh -L 1234:127.0.0.1:1234` to reach it from elsewhere.",
        )
