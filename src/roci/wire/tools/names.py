"""Tool names that templates and grammars take as they are, and the client's own for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from roci.wire.openai.request_faults import invalid

NAME_LIMIT: Final = 64
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Client's name -> name for the model: letters, digits, `_` and `-`, 64 at most, each once.

    Raises:
        BadRequestError: two tools of one name.
    """
    safe: dict[str, str] = {}
    taken: set[str] = set()
    names = list(names)
    fine = {name for name in names if is_safe(name)}
    for position, name in enumerate(names):
        if name in safe:
            path = f"tools[{position}].function.name"
            raise invalid(f"{path} is {name!r}, as an earlier tool's; names have to differ.", path)
        shown = name if name in fine else _free(_made_safe(name), fine | taken)
        safe[name] = shown
        taken.add(shown)
    return safe


def is_safe(name: str) -> bool:
    return 0 < len(name) <= NAME_LIMIT and not _UNSAFE.search(name)


def _made_safe(name: str) -> str:
    return _UNSAFE.sub("_", name).strip("_")[:NAME_LIMIT] or "tool"


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 2
    while free in taken:
        ending = f"_{number}"
        free, number = name[: NAME_LIMIT - len(ending)] + ending, number + 1
    return free
