"""The files that hold settings: where they are, how they are read, and how one setting in them is changed.

A model's file is `<home>/model-settings/<key>.yaml`. In its name every character but ASCII letters, digits and `_.-~@`
stands as `%` and two hexadecimal digits for each byte, as in a URL: `publisher/model@q8_0` is
`publisher%2Fmodel@q8_0.yaml`. So no key leads out of the folder, and each file belongs to one key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from roci.engine.model_settings import (
    Resolved,
    SettingsFile,
    checked_model_settings,
    environment_values,
    resolve_model_settings,
)
from roci.engine.private_files import folder_lock, write_private
from roci.errors import ConfigError

SERVER_FILE_NAME: Final = "server.json"
MODEL_FOLDER_NAME: Final = "model-settings"
FILE_LIMIT_BYTES: Final = 1_000_000
_NAME_LIMIT_BYTES: Final = 255
_SUFFIX: Final = ".yaml"


def model_file(home: Path, key: str) -> Path:
    """Where the settings of the model `key` are; the file need not be there.

    Raises:
        ConfigError: the key is empty, or too long for a file's name.
    """
    name = _file_name(key)
    if name is None:
        raise ConfigError(f"{key!r} cannot have a file of settings: its name is empty or too long.", setting="model")
    return home / MODEL_FOLDER_NAME / name


def model_key(file: Path) -> str:
    """The model that a file of `model_file` belongs to."""
    return unquote(file.name.removesuffix(_SUFFIX))


def _file_name(key: str) -> str | None:
    name = quote(key.lower(), safe="@") + _SUFFIX
    return name if key and len(name) <= _NAME_LIMIT_BYTES else None


def read_model_files(home: Path, key: str) -> tuple[SettingsFile, ...]:
    """The files that hold for the model `key`, the one that wins first; `m@q8_0` is also what `m` is set to.

    Raises:
        ConfigError: one is no mapping of names to plain values, or cannot be read.
    """
    files = (read_settings(path) for path in model_files(home, key))
    return tuple(file for file in files if file is not None)


def model_files(home: Path, key: str) -> tuple[Path, ...]:
    """Where `read_model_files` looks."""
    base, at, _ = key.partition("@")
    names = (_file_name(name) for name in ((key, base) if at else (key,)))
    return tuple(home / MODEL_FOLDER_NAME / name for name in names if name is not None)


def read_settings(path: Path) -> SettingsFile | None:
    """The settings in a file, unchecked; None where there is no file. YAML if it is called so, else JSON.

    Raises:
        ConfigError: it is no mapping of names to plain values, is larger than a megabyte, or cannot be read.
    """
    content = _content(path)
    return None if content is None else SettingsFile(str(path), _parsed(path, content))


def settings_at(
    home: Path,
    key: str,
    context_limit: int | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    defaults: Mapping[str, object] | None = None,
) -> Resolved:
    """The settings of the model `key` by the environment and the files in `home`, for a program without a server.

    Raises:
        ConfigError: a file or a variable cannot be used.
    """
    return resolve_model_settings(
        context_limit=context_limit,
        environment=environment_values(environ),
        model_files=read_model_files(home, key),
        server_file=read_settings(home / SERVER_FILE_NAME),
        defaults=defaults,
    )


def change_settings(path: Path, changes: Mapping[str, Any], unset: Iterable[str] = ()) -> None:
    """Sets and removes settings in a file; the rest of it, comments too, stays as it is where that can be.

    The values must have been checked. The file is replaced in one step; a file that ends up with nothing in it stays.

    Raises:
        ConfigError: as `read_settings`, or it cannot be written.
    """
    try:
        with folder_lock(path.parent):
            content = _content(path) or b""
            values = _parsed(path, content) if content.strip() else {}
            removed = set(unset)
            wanted = {name: value for name, value in (values | dict(changes)).items() if name not in removed}
            if path.suffix != _SUFFIX:
                write_private(path, msgspec.json.format(msgspec.json.encode(wanted), indent=2) + b"\n")
                return
            from roci.engine.yaml_edit import edited  # YAML is only needed where there is some

            write_private(path, edited(content, wanted))
    except OSError as error:
        raise ConfigError(
            f"The settings file {path} cannot be written: {error.strerror or error}.",
            setting=path.name,
            origin=str(path),
        ) from error


def change_model_settings(path: Path, changes: Mapping[str, Any], unset: Iterable[str] = ()) -> None:
    """As `change_settings`, for a model's file: nothing is written unless the whole of it then holds.

    Raises:
        ConfigError: as `change_settings`, or something else in the file cannot be used.
    """
    file = read_settings(path)
    whole = (dict(file.values) if file is not None else {}) | dict(changes)
    unset = set(unset)
    checked_model_settings({name: value for name, value in whole.items() if name not in unset}, str(path))
    change_settings(path, changes, unset)


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"The settings file {path} cannot be read: {error.strerror or error}.", setting=path.name, origin=str(path)
        ) from error
    if len(content) > FILE_LIMIT_BYTES:
        raise ConfigError(f"{path} is larger than a megabyte.", setting=path.name, origin=str(path))
    return content


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    is_json = path.suffix != _SUFFIX
    kind, example = (
        ("a JSON object", '{"port": 1234, "max_loaded": 1}') if is_json else ("YAML", "context_length: 8192")
    )
    try:
        values = msgspec.json.decode(content) if is_json else _yaml(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        values, reason = None, f": {error}"
    else:
        reason = " of names and values"
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(
            f"The settings file {path} is not {kind}{reason}.",
            setting=path.name,
            origin=str(path),
            hint=f"It looks like {example}",
        )
    for name, value in values.items():
        # Lists hold plain values; deeper ones could make much of little, by YAML's references.
        plain = value if isinstance(value, list) else [value]
        if not all(isinstance(item, (str, int, float, bool, type(None))) for item in plain):
            raise ConfigError(
                f"{name} in {path} is neither a plain value nor a list of such.", setting=name, origin=str(path)
            )
    return values


def _yaml(content: bytes) -> Any:
    values = msgspec.yaml.decode(content)
    return {} if values is None else values  # nothing but comments
