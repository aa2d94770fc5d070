"""The models on disk as the gateway shows them. Looks at files: call it in a thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from roci.engine.header_cache import HeaderCache
from roci.engine.library import Library, scan_roots
from roci.engine.local_model import LocalModel
from roci.engine.model_folders import model_roots
from roci.wire.openai.request_faults import invalid

_log = logging.getLogger(__name__)
_KIND_WORDS: Final = {"llm": "chat", "embedding": "embedding", "reranker": "reranking"}


class CatalogEntry(Struct, frozen=True, kw_only=True):
    """A model on disk, and what its header says."""

    model: LocalModel

    @property
    def created(self) -> int:
        """When its files were last changed, in seconds since 1970."""
        return self.model.changed_s

    @property
    def max_context_length(self) -> int | None:
        return self.model.facts.max_context_length

    @property
    def is_embedding(self) -> bool:
        return self.model.kind != "llm"

    @property
    def is_usable(self) -> bool:
        """Whether it can be loaded; `model.problem` says why not."""
        return self.model.state == "ok"


class Catalog:
    """Lists and finds models. Each question looks whether a folder or file has changed, and reads only what has."""

    def __init__(self, home: Path, folders: Iterable[Path] = ()) -> None:
        self._home = home
        self._folders = tuple(folders)
        self._cache = HeaderCache(home)
        self._library: Library | None = None
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def library(self) -> Library:
        """All models as they are now."""
        with self._lock:
            if self._library is None or not self._library.walk.is_current():
                self._library = scan_roots(model_roots(self._home, self._folders), self._cache)
                self._tell_broken(self._library)
            return self._library

    def entries(self) -> list[CatalogEntry]:
        """Every model, of every kind and in every state, by key."""
        return [CatalogEntry(model=model) for model in self.library().models]

    def chat_models(self) -> list[CatalogEntry]:
        """Every model that can chat, by key. A file that cannot be used is left out, and logged once."""
        return [entry for entry in self.entries() if entry.is_usable and entry.model.kind == "llm"]

    def find(self, name: str, kinds: Container[str] | None = ("llm",)) -> CatalogEntry:
        """The model called `name`: `key`, `key@variant` or `publisher/key`; letter case does not count.

        Args:
            kinds: what it may be, of llm, embedding and reranker; None for any.

        Raises:
            ModelNotFoundError: with the nearest names.
            BadModelFileError: its file cannot be used.
            BadRequestError: it is of another kind.
        """
        model = self.library().find(name)
        if kinds is None or model.kind in kinds:
            return CatalogEntry(model=model)
        word = _KIND_WORDS[model.kind]
        article = "an" if word[0] in "aeiou" else "a"
        if "llm" in kinds:
            message, code = f"{model.key} is {article} {word} model; it cannot chat.", "not_a_chat_model"
        else:
            wanted = next((kind for kind in ("embedding", "reranker") if kind in kinds), "embedding")
            message = f"{model.key} is {article} {word} model, not one for {_KIND_WORDS[wanted]}."
            code = f"not_a_{wanted}_model" if wanted == "reranker" else "not_an_embedding_model"
        raise invalid(message, "model", code=code)

    def _tell_broken(self, library: Library) -> None:
        broken = {(str(model.path), model.problem) for model in library.models if model.state == "broken"}
        for _, problem in sorted(broken - self._told):
            _log.warning("%s", problem)
        self._told = broken
