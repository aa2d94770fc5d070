"""The models on disk as the gateway shows them. Reads files: call it in a thread."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from msgspec import Struct

from roci.engine.gguf_header import read_header
from roci.engine.library import LocalModel, find_model, models_on_disk
from roci.errors import BadModelFileError
from roci.wire.openai.request_faults import invalid

_log = logging.getLogger(__name__)


class CatalogEntry(Struct, frozen=True, kw_only=True):
    """A model on disk, and what its header says."""

    model: LocalModel
    created: int
    """When the file was last changed, in seconds since 1970."""
    max_context_length: int | None
    is_embedding: bool


class _Read(Struct, frozen=True):
    stamp: tuple[int, int]
    """The file's size and time of change; with another stamp it is read again."""
    result: CatalogEntry | BadModelFileError


class Catalog:
    """Lists and finds models; a header is read once as long as its file stays the same."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read: dict[Path, _Read] = {}
        self._lock = threading.Lock()

    def chat_models(self) -> list[CatalogEntry]:
        """Every model that can chat, by key. A file that cannot be read is left out, and logged once."""
        models = models_on_disk(self._home)
        with self._lock:
            on_disk = {model.path for model in models}
            for path in [path for path in self._read if path not in on_disk]:
                del self._read[path]
        results = [self._entry(model) for model in models]
        return [entry for entry in results if isinstance(entry, CatalogEntry) and not entry.is_embedding]

    def find(self, name: str) -> CatalogEntry:
        """The chat model called `name`.

        Raises:
            ModelNotFoundError: with the nearest names.
            BadModelFileError: its file cannot be used.
            BadRequestError: it makes vectors, and cannot chat.
        """
        entry = self._entry(find_model(self._home, name))
        if isinstance(entry, BadModelFileError):
            raise entry.with_traceback(None)
        if entry.is_embedding:
            raise invalid(f"{entry.model.key} is an embedding model; it cannot chat.", "model", code="not_a_chat_model")
        return entry

    def _entry(self, model: LocalModel) -> CatalogEntry | BadModelFileError:
        try:
            status = model.path.stat()
        except OSError:  # gone since it was listed: reading it says so in our own words
            stamp, created = (-1, 0), 0
        else:
            stamp, created = (status.st_size, status.st_mtime_ns), int(status.st_mtime)
        known = self._read.get(model.path)
        if known is None or known.stamp != stamp:
            known = _Read(stamp, _read_entry(model, created))
            with self._lock:
                self._read[model.path] = known
        if isinstance(known.result, CatalogEntry) and known.result.model != model:
            # The same file under another name: another file of the same folder name has come or gone.
            return CatalogEntry(
                model=model,
                created=created,
                max_context_length=known.result.max_context_length,
                is_embedding=known.result.is_embedding,
            )
        return known.result


def _read_entry(model: LocalModel, created: int) -> CatalogEntry | BadModelFileError:
    try:
        header = read_header(model.path, key=model.key)
    except BadModelFileError as error:
        _log.warning("%s", error)
        return error
    return CatalogEntry(
        model=model,
        created=created,
        max_context_length=header.context_limit_tokens,
        is_embedding=header.is_embedding,
    )
