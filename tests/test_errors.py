"""The error tree: drawn as it is, standard where it can be, and whole after a journey between processes."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from roci import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.RociError)]


def test_the_tree_in_the_module_text_names_every_class_under_its_parent() -> None:
    parents: list[tuple[int, str]] = []
    drawn: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)(\w+Error)\b", line)
        if match is None:
            continue
        depth = len(match[1])
        parents = [entry for entry in parents if entry[0] < depth]
        if parents:
            drawn[match[2]] = parents[-1][1]
        parents.append((depth, match[2]))

    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES if kind is not errors.RociError}


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.UsageError, ValueError),
        (errors.ServerUnreachableError, ConnectionError),
        (errors.TimedOutError, TimeoutError),
    ],
)
def test_some_are_standard_errors_too(kind: type, standard: type) -> None:
    assert issubclass(kind, standard)


def test_the_hint_follows_the_message() -> None:
    error = errors.UsageError("It is wrong.", field="x", hint="Make it right.")

    assert (str(error), error.message, error.hint) == ("It is wrong.\nMake it right.", "It is wrong.", "Make it right.")


def test_facts_survive_pickling() -> None:
    error = errors.ContextTooLongError("long", limit_tokens=5, given_tokens=9, status=400, code="c", hint="h")
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is errors.ContextTooLongError
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
