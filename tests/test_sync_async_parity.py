"""Every public function or method that does I/O, `x`, has its async twin `ax`: same signature, same words."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import roci

PLAIN_TWINS = {"stream_text", "stream_object"}
"""Their async twins are plain functions that return an async stream."""
NO_TWIN = {
    # nothing here waits for anything
    "parse", "of", "check", "from_env", "from_bytes", "register", "create_provider", "provider_for", "custom",
    "from_path", "from_url", "from_data_uri",
    "user", "system", "assistant", "tool_result", "text", "json_object", "json_schema", "auto", "none", "required",
    "named", "default_registry", "tool", "bind",
}  # fmt: skip
# The async form of a stream is a class of its own, whose `result` and `aclose` stand for `result` and `close`.
TWIN_CLASSES = {roci.TextStream: roci.AsyncTextStream, roci.ObjectStream: roci.AsyncObjectStream}


def functions_of(owner: Any) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(owner, inspect.isroutine)
        if not name.startswith("_") and str(getattr(member, "__module__", "")).startswith("roci")
    }


def owners() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "roci", {name: getattr(roci, name) for name in roci.__all__ if inspect.isfunction(getattr(roci, name))}
    for name in roci.__all__:
        value = getattr(roci, name)
        streams = (*TWIN_CLASSES, *TWIN_CLASSES.values())
        if inspect.isclass(value) and value not in streams and not issubclass(value, BaseException):
            yield name, functions_of(value)


PAIRS = [
    pytest.param(found[name], found.get("a" + name), name, id=f"{owner}.{name}")
    for owner, found in owners()
    for name in found
    if name not in NO_TWIN and not (name.startswith("a") and name[1:] in found)
]


def test_the_pairs_were_found() -> None:
    assert len(PAIRS) > 20


@pytest.mark.parametrize(("sync", "twin", "name"), PAIRS)
def test_twins_agree(sync: Any, twin: Any, name: str) -> None:
    assert twin is not None, f"{name} has no twin a{name}"
    assert inspect.iscoroutinefunction(twin) == (name not in PLAIN_TWINS)
    one, other = inspect.signature(sync), inspect.signature(twin)
    assert one.parameters == other.parameters
    if name not in PLAIN_TWINS:
        assert one.return_annotation == other.return_annotation
    if name != "close":
        assert inspect.getdoc(sync) == inspect.getdoc(twin)


def test_the_two_streams_agree() -> None:
    for sync, twin in TWIN_CLASSES.items():
        assert inspect.signature(sync.result) == inspect.signature(twin.result)
        assert inspect.getdoc(sync.result) == inspect.getdoc(twin.result)
        assert inspect.getdoc(sync.close) == inspect.getdoc(twin.aclose)
        assert set(functions_of(sync)) == {"result", "close"}
        assert set(functions_of(twin)) == {"result", "aclose"}
