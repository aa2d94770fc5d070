"""Many words to choose from, as a pattern that branches letter by letter.

The engine tries every alternative that is still possible against its whole vocabulary: with 2,000 of them side by side
two tokens took 40 s, as a pattern 0.1 s each. Source: xllamacpp 2026.10, by trying.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from roci.wire.schema.pattern import written_letter

_LETTERS_LIMIT: Final = 200

_Tree = dict[str, "Any"]
"""Letter -> what may follow it; the empty text -> nothing, where a word ends."""


def words_pattern(words: Sequence[str]) -> str | None:
    """A pattern for the grammar that these words fit and nothing else; None where it cannot be written."""
    tree: _Tree = {}
    for word in words:
        if len(word) > _LETTERS_LIMIT or not word:
            return None
        branch = tree
        for letter in word:
            if written_letter(letter) is None:
                return None
            branch = branch.setdefault(letter, {})
        branch[""] = {}
    return f"^{_tail(tree)}$"


def _written(tree: _Tree) -> str:
    ends = "" in tree
    branches = [f"{written_letter(letter)}{_tail(rest)}" for letter, rest in tree.items() if letter]
    if not branches:
        return ""
    return _group(branches) + ("?" if ends else "")


def _tail(tree: _Tree) -> str:
    """What follows a letter; a long run of single letters is not walked by calling."""
    run = ""
    while len(tree) == 1 and "" not in tree:
        ((letter, tree),) = tree.items()
        run += written_letter(letter) or ""
    return run + _written(tree)


def _group(branches: Iterable[str]) -> str:
    return f"({'|'.join(branches)})"
