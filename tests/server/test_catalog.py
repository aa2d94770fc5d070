"""The models on disk as the gateway sees them: always as they are now, and read only when they change."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from roci.errors import BadModelFileError, BadRequestError, ModelNotFoundError
from roci.server.catalog import Catalog
from tests.support.model_files import put_model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Other programs' models on this machine do not count here."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    put_model(tmp_path / "roci/models", "p/Chat/chat-Q8_0.gguf")
    put_model(tmp_path / "roci/models", "p/Vectors/v.gguf", architecture="bert", more={"bert.pooling_type": 1})
    return tmp_path / "roci"


def test_every_kind_is_listed_and_chat_models_apart(home: Path):
    catalog = Catalog(home)
    assert [entry.model.key for entry in catalog.entries()] == ["chat", "vectors"]
    assert [entry.model.key for entry in catalog.chat_models()] == ["chat"]
    assert catalog.find("CHAT@q8_0").max_context_length == 2048


def test_what_is_of_another_kind_is_refused_in_words(home: Path):
    catalog = Catalog(home)
    with pytest.raises(BadRequestError, match="vectors is an embedding model; it cannot chat") as caught:
        catalog.find("vectors")
    assert caught.value.code == "not_a_chat_model"
    assert catalog.find("vectors", ("embedding",)).is_embedding
    assert catalog.find("vectors", None).is_embedding
    with pytest.raises(BadRequestError, match="chat is a chat model") as caught:
        catalog.find("chat", ("embedding",))
    assert caught.value.code == "not_an_embedding_model"


def test_files_that_come_and_go_and_change_are_seen_at_once(home: Path):
    catalog = Catalog(home)
    with pytest.raises(ModelNotFoundError):
        catalog.find("later")
    path = put_model(home / "models", "q/Later/later.gguf", context=1024)
    assert catalog.find("later").max_context_length == 1024
    put_model(home / "models", "q/Later/later.gguf", context=4096, name="Longer name")
    assert catalog.find("later").max_context_length == 4096
    put_model(home / "models", "q/Later/later-Q4_0.gguf")
    assert [entry.model.variant for entry in catalog.entries() if entry.model.publisher == "q"] == ["q4_0", "q8_0"]
    path.unlink()
    assert [entry.model.key for entry in catalog.entries() if entry.model.publisher == "q"] == ["later"]


def test_a_library_that_has_not_changed_is_not_walked_again(home: Path):
    import os

    for folder in [home / "models", *(home / "models").rglob("*")]:
        os.utime(folder, ns=(10**18, 10**18))
    catalog = Catalog(home)
    assert catalog.library() is catalog.library()


def test_a_broken_file_is_listed_with_a_flag_refused_and_logged_once(home: Path, caplog: pytest.LogCaptureFixture):
    put_model(home / "models", "p/Torn/torn.gguf").write_bytes(b"GGUF")
    catalog = Catalog(home)
    with caplog.at_level(logging.WARNING):
        usable = {entry.model.key: entry.is_usable for entry in catalog.entries()}
        put_model(home / "models", "p/New/new.gguf")
        catalog.entries()
    assert usable == {"chat": True, "vectors": True, "torn": False}
    assert len([record for record in caplog.records if "torn" in record.message]) == 1
    with pytest.raises(BadModelFileError, match="cut short"):
        catalog.find("torn")


def test_listed_folders_are_read(home: Path, tmp_path: Path):
    put_model(tmp_path / "listed", "p/Listed/x.gguf")
    assert Catalog(home, [tmp_path / "listed"]).find("listed").model.publisher == "p"
