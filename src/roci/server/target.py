"""A model that a request named, with all that is needed to load it and to ask it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from roci.engine.local_model import LocalModel
from roci.server.pool.instance import Instance


class Target(Struct, frozen=True, kw_only=True):
    """Which copy of which model answers; the copy need not be in memory yet."""

    instance: Instance
    sampling: dict[str, Any] = {}
    """The model's own settings for requests that say nothing: temperature, top_p and so on."""

    @property
    def model(self) -> LocalModel:
        return self.instance.model
