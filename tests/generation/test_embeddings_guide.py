"""The examples of the guide to embeddings run as written, against a real `roci serve` with a real embedding model."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serve import serve

ROOT = Path(__file__).parents[2]
MODEL = ROOT.parent / "shared" / "models" / "all-MiniLM-L6-v2.Q8_0.gguf"
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "embeddings.md").read_text(), re.DOTALL)
SAID = [r"384 numbers, \d+ tokens\nnear: 0\.\d+ far: -?0\.\d", r"first of 64 -?0\.\d+"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not MODEL.is_file():
        pytest.skip(f"no {MODEL}")
    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "sentence-transformers" / "all-MiniLM-L6-v2"
    folder.mkdir(parents=True)
    (folder / MODEL.name).symlink_to(MODEL)
    with serve(home) as served:
        yield served.url


def test_the_examples_were_found() -> None:
    assert len(EXAMPLES) == len(SAID)


@pytest.mark.parametrize("place", range(len(SAID)))
def test_an_example_runs_as_written(place: int, url: str) -> None:
    code = EXAMPLES[place].replace("http://localhost:1234", url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(SAID[place], done.stdout), done.stdout
