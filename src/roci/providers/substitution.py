"""Is the model that answered the one that was asked for?"""

from __future__ import annotations

import re
import warnings

from roci.errors import ModelSubstitutedWarning
from roci.types.results import GenerationWarning

_INSTANCE = re.compile(r":\d+$")
_DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


def is_same_model(asked: str, answered: str) -> bool:
    """True for the same model under another spelling: `key:2`, `key@quant`, a dated release, letter case."""
    return _bare(asked) == _bare(answered)


def _bare(model: str) -> str:
    name = _INSTANCE.sub("", model.lower()).partition("@")[0]
    return _DATED.sub("", name)


def substitution_warnings(asked: str, answered: str) -> tuple[GenerationWarning, ...]:
    """Warn, in Python's way too, where another model answered than asked for; nothing where the server is silent."""
    if not answered or answered == asked or is_same_model(asked, answered):
        return ()
    message = f"Asked for {asked!r}, answered by {answered!r}: the server replaced the model."
    warnings.warn(message, ModelSubstitutedWarning, stacklevel=2)
    return (GenerationWarning("model_substituted", message),)
