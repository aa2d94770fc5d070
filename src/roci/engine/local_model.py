"""One model file on this machine, and all that is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from roci.engine.model_facts import ModelFacts, ModelKind
from roci.engine.model_folders import ModelRoot
from roci.engine.quantization_names import quantization_of
from roci.engine.shards import SHARD
from roci.engine.template_abilities import TemplateAbilities

ModelState = Literal["ok", "broken", "incomplete", "arriving"]
"""`broken`: it cannot be loaded as it is; `incomplete`: parts of it are missing; `arriving`: it is being downloaded."""


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A variant of a model on this disk: one file, or the parts of one that is split."""

    key: str
    """The lower-case name to ask for: the model's folder, with `publisher/` or `@variant` only if needed."""
    publisher: str
    path: Path
    """The file; the first part of a split model."""
    size_bytes: int
    """Of all parts that are there, without the projector."""
    other_keys: tuple[str, ...] = ()
    """Names that mean this model as well."""
    model_key: str = ""
    """The key that all variants of this model share; means the best of them."""
    name: str = ""
    """The model's folder as it is written."""
    variant: str = ""
    """What tells the variants apart, in lower case: the quantization, or the file's name."""
    parts: tuple[Path, ...] = ()
    """Every file of this variant that is there, in order."""
    projector: Path | None = None
    """The file beside it that gives it eyes."""
    projector_size_bytes: int = 0
    state: ModelState = "ok"
    problem: str = ""
    """Why it cannot be loaded, as a sentence; empty where it can."""
    reason: str = ""
    """As `BadModelFileError.reason`."""
    hint: str = ""
    root: ModelRoot | None = None
    """The folder it was found in; None for a file that was named by its path."""
    changed_s: int = 0
    """When its youngest file was last changed, in seconds since 1970."""
    facts: ModelFacts = ModelFacts()
    """What its header says; nothing where its state is not ok."""

    @property
    def kind(self) -> ModelKind:
        return self.facts.kind

    @property
    def abilities(self) -> TemplateAbilities:
        return self.facts.abilities

    @property
    def has_vision(self) -> bool:
        return self.projector is not None

    @property
    def display_name(self) -> str:
        """The name in its header, or else its folder's."""
        return self.facts.name or self.name or self.key

    @property
    def quantization(self) -> str:
        """As its header says, or else as its file is called; empty where neither does."""
        return self.facts.quantization or (quantization_of(SHARD.sub("", self.path.stem)) or "").upper()
