"""The server at the configured address: is one there, and what does it have? Asked with little patience."""

from __future__ import annotations

import msgspec

from roci.config import RociConfig, server_root
from roci.errors import RociError
from roci.providers.lmstudio import LmStudioProvider
from roci.types.models import ModelInfo
from roci.types.settings import Timeouts

PATIENCE = Timeouts(connect_s=1.0, first_token_s=5.0, gap_s=5.0, total_s=10.0)
"""A server on the desk answers within milliseconds; nobody waits for one that may not be there."""
_NO_MODEL = "-"  # a provider has a model; listing does not look at it


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at an address."""

    base_url: str
    word: str
    """Who named the address, in words: `from LMSTUDIO_BASE_URL`."""
    models: tuple[ModelInfo, ...] = ()
    failure: RociError | None = None
    """Why there is no list of models."""

    @property
    def loaded(self) -> tuple[ModelInfo, ...]:
        """The models that answer at once, as far as the server says which."""
        return tuple(model for model in self.models if model.is_loaded and model.kind == "llm")

    @property
    def answering(self) -> ModelInfo | None:
        """The model to ask where none was named: the first loaded one.

        A plain `/v1` does not say what is loaded; if it lists one model, then that is the one it serves.
        """
        if self.loaded:
            return self.loaded[0]
        only = self.models[0] if len(self.models) == 1 else None
        return only if only is not None and only.is_loaded is None and only.kind == "llm" else None


def look(config: RociConfig, base_url: str | None = None) -> Sighting:
    """Ask the server at `base_url`, else at the configured address, for its models.

    Raises:
        ConfigError: `base_url` cannot be one.
    """
    root = config.lmstudio_base_url if base_url is None else server_root(base_url, "--server")
    word = word_of(config, "lmstudio_base_url") if base_url is None else "from --server"
    with LmStudioProvider(_NO_MODEL, root, timeouts=PATIENCE, config=config) as provider:
        try:
            return Sighting(base_url=root, word=word, models=tuple(provider.list_models()))
        except RociError as failure:
            return Sighting(base_url=root, word=word, failure=failure)


def word_of(config: RociConfig, field: str) -> str:
    """Who set `field` of `config`, in words."""
    origin = config.origins.get(field)
    if origin is None:
        return "the default"
    file, _, variable = origin.rpartition(": ")
    return f"from {variable} in {file}" if file else f"from {variable}"
