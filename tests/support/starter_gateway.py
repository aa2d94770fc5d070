"""A gateway with the real engine and the starter model, in a home of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.serve import Served, serve

KEY = "smollm2-135m-instruct"
FILL_IN_KEY = "fills-in"
# Any tokens will do: the starter model was not trained to fill in.
_FILL_IN_TOKENS = {"pre": 3, "suf": 4, "mid": 5}
_HEAD = "<4sIQQ"


@contextmanager
def starter_gateway(folder: Path, starter_model: Path, **settings: Any) -> Iterator[Served]:
    """Serves from `folder`, into which nothing but a link to the starter model is put."""
    link = folder / "models" / "HuggingFaceTB" / starter_model.parent.name / starter_model.name
    link.parent.mkdir(parents=True)
    link.symlink_to(starter_model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "user"))  # nobody else's models beside it
        with serve(folder, **{"context_length": 1024, "parallel": 2, **settings}) as served:
            yield served


def write_fill_in_model(folder: Path, starter_model: Path) -> None:
    """A copy of the starter model whose header names tokens for filling in; its key is `FILL_IN_KEY`."""
    data = starter_model.read_bytes()
    magic, version, tensors, fields = struct.unpack_from(_HEAD, data)
    more = b"".join(
        _text(f"tokenizer.ggml.fim_{part}_token_id") + struct.pack("<II", 4, token)
        for part, token in _FILL_IN_TOKENS.items()
    )
    # Tensors stay where they are only if what is put in is a multiple of their alignment.
    filler = _text("general.filler") + struct.pack("<I", 8)
    more += filler + _text("x" * (-(len(more) + len(filler) + 8) % 32))
    path = folder / "models" / "tests" / FILL_IN_KEY / f"{FILL_IN_KEY}.gguf"
    path.parent.mkdir(parents=True)
    head = struct.pack(_HEAD, magic, version, tensors, fields + len(_FILL_IN_TOKENS) + 1)
    path.write_bytes(head + more + data[struct.calcsize(_HEAD) :])


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
