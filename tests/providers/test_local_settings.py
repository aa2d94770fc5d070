"""The embedded engine is loaded and asked by the same settings as a model of the server."""

from __future__ import annotations

from pathlib import Path

import pytest

import roci
from roci import GenerationSettings, LocalProvider, ModelMessage, ProviderRequest
from roci.engine.settings_files import change_settings, model_file
from roci.engine.worker_options import WorkerOptions
from roci.errors import ConfigError
from roci.types.requests import checked
from tests.support.tiny_gguf import write_tiny_gguf


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> roci.RociConfig:
    """A home with the model `tiny`, and nobody else's models."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    write_tiny_gguf(tmp_path / "models" / "tests" / "tiny" / "tiny.gguf")
    return roci.RociConfig(roci_home=str(tmp_path))


def options(model: LocalProvider) -> WorkerOptions:
    return model._engine.options


def test_files_and_environment_say_how_it_is_loaded(config: roci.RociConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert options(LocalProvider("tiny", config=config)) == WorkerOptions(parallel=1)
    change_settings(config.home / "server.json", {"port": 1, "threads": 2, "n_batch": 32})
    change_settings(model_file(config.home, "tiny"), {"n_batch": 64, "context_length": 256})
    monkeypatch.setenv("ROCI_PARALLEL", "3")
    expected = WorkerOptions(parallel=3, threads=2, n_batch=64, context_length=256)
    assert options(LocalProvider("tiny", config=config)) == expected
    assert options(LocalProvider("tiny", config=config, options=WorkerOptions(threads=1))) == WorkerOptions(threads=1)


def test_sampling_by_the_models_file_holds_unless_the_call_says_otherwise(config: roci.RociConfig) -> None:
    change_settings(model_file(config.home, "tiny"), {"temperature": 0.2, "top_k": 7})
    with LocalProvider("tiny", config=config) as model:
        settings = GenerationSettings(temperature=0.9)
        request = ProviderRequest(messages=(ModelMessage.user("Hi"),), settings=settings)
        body = model._body(checked(request), stream=True)
    assert (body["temperature"], body["top_k"]) == (0.9, 7)


def test_a_file_that_cannot_be_used_is_told_at_once(config: roci.RociConfig) -> None:
    change_settings(model_file(config.home, "tiny"), {"contex_length": 1})
    with pytest.raises(ConfigError, match="Did you mean context_length"):
        LocalProvider("tiny", config=config)
