"""Which model answers: the one named, else the one that the surroundings suggest."""

from __future__ import annotations

import sys

import msgspec

from roci.cli import output
from roci.cli.fetching import fetch_with_progress
from roci.cli.sighting import Sighting, look, word_of
from roci.config import RociConfig
from roci.engine.extras import INSTALL, has_engine, need_engine
from roci.engine.library import models_on_disk
from roci.engine.starter_model import STARTER_KEY
from roci.errors import AccessDeniedError, NoModelLoadedError, RociError, ServerUnreachableError
from roci.providers.provider import ModelProvider
from roci.providers.registry import default_registry
from roci.selector import LanguageModel


class Choice(msgspec.Struct, frozen=True):
    """A model, and why it is this one."""

    selector: str
    reason: str = ""
    """In words, for the one line that tells; empty where the user named the model."""
    may_fetch: bool = False
    """It is the starter model by default, to be fetched if it is not there."""


def choose(named: str | None, config: RociConfig) -> Choice:
    """The model that `-m` names; else `ROCI_MODEL`'s; else the server's loaded one; else the starter model.

    Raises:
        AccessDeniedError: the server wants a token.
        RociError: the server cannot answer, and there is no embedded engine.
    """
    if named is not None:
        return Choice(named)
    if config.model is not None:
        return Choice(config.model, word_of(config, "model"))
    sighting = look(config)
    if isinstance(sighting.failure, AccessDeniedError):
        raise sighting.failure
    model = sighting.answering
    if model is not None:
        state = "loaded" if model.is_loaded else "the only model"
        return Choice(f"lmstudio:{model.key}", f"{state} at {sighting.base_url}, {sighting.word}")
    if not has_engine():
        raise _nothing_answers(sighting)
    return Choice(f"local:{STARTER_KEY}", f"the starter model; {why_not_the_server(sighting)}", may_fetch=True)


def why_not_the_server(sighting: Sighting) -> str:
    """Why the server at the configured address does not answer, in half a sentence."""
    where = f"{sighting.base_url} ({sighting.word})"
    if isinstance(sighting.failure, ServerUnreachableError):
        return f"no server answers at {where}"
    if sighting.failure is not None:
        return f"the server at {where} cannot be used: {sighting.failure.message}"
    return f"the server at {where} has no model loaded"


def open_provider(choice: Choice, config: RociConfig) -> ModelProvider:
    """A provider for `choice`, to be closed; the starter model is fetched if it is not there.

    Raises:
        SelectorError, ModelNotFoundError, UnsupportedError, StarterModelError: there cannot be one.
    """
    selected = LanguageModel.parse(choice.selector)
    if selected.provider_key != "local":
        return default_registry().provider_for(selected, config)
    need_engine()
    if choice.may_fetch and not any(model.key == STARTER_KEY for model in models_on_disk(config.home)):
        fetch_with_progress(config.home)
    from roci.providers.local import LocalProvider

    # One of its own, so that closing it stops the worker.
    return LocalProvider(selected.model_id, config=config)


def announce(choice: Choice) -> None:
    """Say on standard error which model answers, and by whose word, unless the user named it."""
    if choice.reason:
        output.note(output.styled(output.printable(f"[{choice.selector}: {choice.reason}]"), "dim", sys.stderr))


def _nothing_answers(sighting: Sighting) -> RociError:
    error = sighting.failure or NoModelLoadedError(
        f"The server at {sighting.base_url} ({sighting.word}) has no model loaded.",
        available=tuple(model.key for model in sighting.models),
        hint="Load one in LM Studio or with `lms load`, or name one with -m lmstudio:MODEL.",
    )
    error.hint = f"{error.hint}\nOr let this machine answer by itself: {INSTALL}".lstrip()
    return error
