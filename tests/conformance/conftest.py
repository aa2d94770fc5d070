"""`roci serve` as a process of its own, with a model to chat with and, where there is one, a model for vectors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

KEY = "smollm2-135m-instruct"
EMBEDDING_KEY = "all-minilm-l6-v2"
EMBEDDING_FILE = Path(__file__).parents[3] / "shared" / "models" / "all-MiniLM-L6-v2.Q8_0.gguf"
# Three slots: an embedding model of 512 tokens cannot have them.
SETTINGS = {"context_length": 2048, "parallel": 3, "max_loaded": 2}


@dataclass(frozen=True)
class LiveServer:
    url: str
    model: str
    embedding_model: str
    """Empty where there is none."""


@pytest.fixture(scope="session")
def live_server(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for all the clients."""
    home = tmp_path_factory.mktemp("clients-home")
    files = {f"HuggingFaceTB/{starter_model.parent.name}": starter_model}
    if EMBEDDING_FILE.exists():
        files["sentence-transformers/all-MiniLM-L6-v2"] = EMBEDDING_FILE
    for folder, file in files.items():
        link = home / "models" / folder / file.name
        link.parent.mkdir(parents=True)
        link.symlink_to(file)
    (home / "server.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "roci", "serve", "--port", "0"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ROCI_")}
    environ |= {"ROCI_HOME": str(home), "HOME": str(home)}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", told)
            assert address is not None, told + process.stderr.read()
            yield LiveServer(address[0], KEY, EMBEDDING_KEY if EMBEDDING_FILE.exists() else "")
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def embedding_server(live_server: LiveServer) -> LiveServer:
    """The same, for a test that needs a real embedding model."""
    if not live_server.embedding_model:
        pytest.skip(f"there is no {EMBEDDING_FILE.name} in a folder shared/models beside the checkout")
    return live_server
