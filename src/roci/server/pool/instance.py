"""A loaded model as the gateway's other parts name and see it. One model may be loaded several times."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import count
from typing import Final, Literal

from msgspec import Struct

from roci.engine.local_model import LocalModel
from roci.engine.worker_options import WorkerOptions, WorkerReady
from roci.errors import BadRequestError

ID_LIMIT_CHARACTERS: Final = 256

Phase = Literal["loading", "ready", "draining", "stopping"]


class Instance(Struct, frozen=True, kw_only=True):
    """A model that is to be in memory, and how."""

    id: str = ""
    """Names it while it is in memory; replies carry it as `model`. On demand it is the model's key. Empty in an
    explicit load: the pool takes the key, or `key:2`, `key:3` where that is taken."""
    model: LocalModel
    options: WorkerOptions
    is_on_demand: bool = True
    """Loaded because a request needed it: counts against `max_loaded`, and makes room for another."""
    ttl_s: float | None = None
    """Seconds after its last answer at which it is unloaded; None: never."""


class InstanceState(Struct, frozen=True, kw_only=True):
    """How an instance stands at this moment."""

    instance: Instance
    phase: Phase
    """`loading` also while it waits for memory that others still hold; `draining`: it takes nobody any more."""
    progress_ratio: float
    """Of its load, from 0 to 1."""
    running: int
    """Requests inside."""
    queued: int
    """Requests that wait for it."""
    slots: int
    """Answers that it can make at once; 0 until it is ready."""
    ready: WorkerReady | None
    """What its worker said of itself; None until then. It has the context length and slots in force."""
    needed_bytes: int | None
    """Memory that it is thought to take; None until that was judged."""
    pid: int | None
    loaded_at: float | None
    """Seconds since 1970, as the next two; None until it is ready."""
    last_used_at: float | None
    """When a request last went in or came out."""
    expires_at: float | None
    """When it will be unloaded unless somebody asks; None where it has no ttl or is not idle."""

    @property
    def id(self) -> str:
        return self.instance.id

    @property
    def model_key(self) -> str:
        return self.instance.model.key


def free_id(instance: Instance, taken: AbstractSet[str]) -> str:
    """The id under which `instance` can be loaded beside those that are `taken`.

    Raises:
        BadRequestError: the id that it was given is taken, blank, too long or unprintable.
    """
    key = instance.model.key
    if not instance.id:
        names = (key if number == 1 else f"{key}:{number}" for number in count(1))
        return next(name for name in names if name not in taken)
    if instance.id in taken:
        raise _bad_id(f"The identifier {instance.id!r} is taken by another loaded model.", "identifier_taken")
    if len(instance.id) > ID_LIMIT_CHARACTERS or not instance.id.isprintable() or not instance.id.strip():
        raise _bad_id(f"An identifier has 1 to {ID_LIMIT_CHARACTERS} printable letters.", "invalid_identifier")
    return instance.id


def _bad_id(message: str, code: str) -> BadRequestError:
    return BadRequestError(message, status=400, code=code, param="identifier")
