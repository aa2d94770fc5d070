"""The resolver as the gateway uses it: a model's settings by the server, by its own file, and by a request."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from roci.engine.model_settings import Resolved, resolve_model_settings
from roci.engine.settings_files import model_files, read_model_files
from roci.errors import BadRequestError, ConfigError
from roci.server.settings import ServerSettings, model_layers
from roci.wire.openai.request_faults import invalid

_MODELS_LIMIT: Final = 1000
_Stamp = tuple[int, int, int]


class _Known(NamedTuple):
    paths: tuple[Path, ...]
    stamps: list[_Stamp | None]
    context_limit: int | None
    resolved: Resolved


class ModelDefaults:
    """Reads a model's file again when it has changed, so that a change holds from the next load or request on."""

    def __init__(self, settings: ServerSettings, home: Path) -> None:
        self._layers: Mapping[str, Any] = model_layers(settings)
        self._home = home
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def resolve(
        self,
        key: str,
        context_limit: int | None = None,
        *,
        load: Mapping[str, object] | None = None,
        call: Mapping[str, object] | None = None,
    ) -> Resolved:
        """The settings of the model `key`; a look at one or two files, some microseconds where nothing changed.

        Args:
            key: with its variant, `model@q8_0`, where it has one: its own file wins over the model's.
            context_limit: tokens, by the header of the model's file.
            load: options of an explicit load.
            call: a request's own fields.

        Raises:
            ConfigError: the model's file cannot be used.
            BadRequestError: a value of `load` or `call` cannot.
        """
        if load or call:
            return self._resolved(key, context_limit, load, call)
        known = self._known.get(key)
        paths = known.paths if known is not None else model_files(self._home, key)
        stamps = [_stamp(path) for path in paths]
        if known is not None and known.stamps == stamps and known.context_limit == context_limit:
            return known.resolved
        resolved = self._resolved(key, context_limit, None, None)
        with self._lock:
            if len(self._known) >= _MODELS_LIMIT:
                self._known.clear()
            self._known[key] = _Known(paths, stamps, context_limit, resolved)
        return resolved

    def _resolved(
        self,
        key: str,
        context_limit: int | None,
        load: Mapping[str, object] | None,
        call: Mapping[str, object] | None,
    ) -> Resolved:
        files = read_model_files(self._home, key)
        try:
            return resolve_model_settings(
                context_limit=context_limit, load=load, call=call, model_files=files, **self._layers
            )
        except ConfigError as error:
            if error.origin in ("load", "call"):
                raise _bad_request(error) from error
            raise


def _bad_request(error: ConfigError) -> BadRequestError:
    message = error.message.replace(f" (from {error.origin})", "").replace(f" (in {error.origin})", "")
    return invalid(message, error.setting, hint=error.hint)


def _stamp(path: Path) -> _Stamp | None:
    """What changes with a file's content; None where there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - on every request, and cheaper than the method
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
