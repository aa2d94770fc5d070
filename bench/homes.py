"""Homes for measured gateways: nobody else's models, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.processes import ROOT
from roci.engine.starter import fetch_starter

_FETCHED: Final = ROOT / ".cache" / "test-home"


def starter_file() -> Path:
    """The starter model, fetched once into the checkout's cache."""
    return fetch_starter(_FETCHED)


@contextmanager
def home_with(model: Path, key: str) -> Iterator[Path]:
    """A home with a link to the file `model`."""
    with TemporaryDirectory(prefix="roci-bench-") as folder:
        link = Path(folder) / "models" / "bench" / key / model.name
        link.parent.mkdir(parents=True)
        link.symlink_to(model)
        yield Path(folder)
