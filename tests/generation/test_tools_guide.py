"""The examples of the guide to tools run as written, against a real `roci serve` with the starter model."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serve import serve

GUIDE = Path(__file__).parents[2] / "docs" / "tools.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
SAID = [
    r"called weather\(\{'city': '(Bern|Oslo)'.*\{\"city\":\"(Bern|Oslo)\",\"days\":.*\d answers, \d+ tokens",
    r"Error: the call was refused: Only the user may delete files\.",
    r"\[now: noon\]\n\nround of \d+ tokens\n.*round of \d+ tokens",
    r"pick_colour \['title'\] (stop|length)",
]


@pytest.fixture(scope="module")
def url(starter_home: Path) -> Iterator[str]:
    with serve(starter_home) as served:
        yield served.url


def test_the_examples_were_found() -> None:
    assert len(EXAMPLES) == len(SAID)


@pytest.mark.parametrize("place", range(len(SAID)))
def test_an_example_runs_as_written(place: int, url: str) -> None:
    code = EXAMPLES[place].replace("http://localhost:1234", url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(SAID[place], done.stdout, re.DOTALL), done.stdout
