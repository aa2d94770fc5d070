"""What tests of several folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roci.engine.starter import fetch_starter
from tests.support.twins import AsyncTwin, SyncTwin, Twin

# A real LM Studio, if the person who runs the tests has named one.
REAL_LMSTUDIO_URL = os.environ.get("LMSTUDIO_BASE_URL")

TEST_HOME = Path(__file__).parents[1] / ".cache" / "test-home"


@pytest.fixture(scope="session")
def starter_model() -> Path:
    """The real starter model's file, fetched once into the checkout's cache and then reused."""
    return fetch_starter(TEST_HOME)


@pytest.fixture(scope="session")
def starter_home(starter_model: Path) -> Path:
    """A roci home that holds the real starter model; not to be written to."""
    return TEST_HOME


@pytest.fixture(params=[SyncTwin(), AsyncTwin()], ids=lambda twin: twin.name)
def twin(request: pytest.FixtureRequest) -> Twin:
    """Runs a test once with the sync and once with the async methods."""
    return request.param


@pytest.fixture(autouse=True)
def a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of the person or machine that runs it."""
    for name in list(os.environ):
        if name.startswith(("LMSTUDIO_", "LM_", "OPENAI_", "ROCI_", "HF_")):
            monkeypatch.delenv(name)
