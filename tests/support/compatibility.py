"""What roci does as LM Studio does, better, or not: marks on tests, and the page that is made from them.

`python -m tests.support.compatibility` writes `docs/compatibility.md`; a test fails where it is stale. The marks are
read from the tests' source, so that the page needs neither an engine nor a run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

Verdict = Literal["same", "better", "missing"]
Test = TypeVar("Test", bound=Callable[..., object])

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "compatibility.md"
FAMILIES = (
    ("/api/v1", "LM Studio's own API"),
    ("/v1/responses", "OpenAI's responses"),
    ("/v1/messages", "Anthropic's messages"),
    ("/v1", "OpenAI's API"),
    ("/api/v0", "LM Studio's earlier API"),
    ("", "The server"),
)
HEAD = """\
# Compatibility with LM Studio's server

Made from the tests by `make compatibility`; each line has a test that passes. LM Studio is meant as of 0.4.25, by its
documentation and by what its users report. *Same*: a client sees no difference. *Better*: what worked still works, and
the note says what is more. *Missing*: roci does not do it.

`compat: lmstudio` in the settings brings back what some clients may count on: 200 for unknown paths, and the only
model in memory answering to any name.
"""


@dataclass(frozen=True)
class Row:
    endpoint: str
    option: str
    verdict: Verdict
    note: str
    test: str
    """`tests/….py::name`."""


def compatible(endpoint: str, option: str | list[str], verdict: Verdict, note: str = "") -> Callable[[Test], Test]:
    """Marks a test as what stands behind a line of the page; literals only, as they are read from the source.

    Args:
        option: a field, an event or a behaviour; of a list each is a line of its own.
    """
    assert verdict in get_args(Verdict)
    return lambda test: test


def rows() -> list[Row]:
    """Every mark on a test, in the order of the files and their lines."""
    return [row for path in sorted(TESTS.rglob("test_*.py")) for row in _rows(path)]


def page(found: list[Row]) -> str:
    """The whole page."""
    counts = {verdict: sum(row.verdict == verdict for row in found) for verdict in get_args(Verdict)}
    text = HEAD + "\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ".\n"
    for prefix, title in FAMILIES:
        endpoints = sorted({row.endpoint for row in found if _family(row.endpoint) == prefix}, key=_place)
        if endpoints:
            text += f"\n## {title}\n"
        for endpoint in endpoints:
            text += f"\n### {endpoint}\n\n| | roci | note |\n|---|---|---|\n"
            # An option may be tested in several places; the first that says something speaks.
            by_option: dict[str, Row] = {}
            for row in found:
                if row.endpoint == endpoint and (row.option not in by_option or not by_option[row.option].note):
                    by_option[row.option] = row
            text += "".join(f"| {row.option} | {row.verdict} | {row.note} |\n" for row in by_option.values())
    return text


def _rows(path: Path) -> Iterator[Row]:
    if "@compatible(" not in (source := path.read_text()):
        return
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "compatible":
                endpoint, options, verdict, *note = [ast.literal_eval(argument) for argument in mark.args]
                test = f"{path.relative_to(TESTS.parent).as_posix()}::{node.name}"
                for option in [options] if isinstance(options, str) else options:
                    yield Row(endpoint, option, verdict, note[0] if note else "", test)


def _path(endpoint: str) -> str:
    return endpoint.split(" ")[1] if " /" in endpoint else ""


def _family(endpoint: str) -> str:
    return next(prefix for prefix, _ in FAMILIES if _path(endpoint).startswith(prefix))


def _place(endpoint: str) -> tuple[str, str]:
    return _path(endpoint), endpoint


if __name__ == "__main__":
    PAGE.write_text(page(rows()), encoding="utf-8")
