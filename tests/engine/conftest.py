"""A home for models, and a user who has none elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, empty: models of other programs on this machine do not count."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "user"


@pytest.fixture
def home(tmp_path: Path, users_home: Path) -> Path:
    """roci's home, not there yet."""
    return tmp_path / "roci"
