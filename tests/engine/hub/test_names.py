"""What users may call a model elsewhere, and where a token may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from roci.engine.hub.endpoint import Hub
from roci.engine.hub.names import FileLink, HubName, is_safe_path, parse_name
from roci.engine.hub.web import Hop, next_hop
from roci.errors import ConfigError, DownloadError, UsageError

HUB = Hub()
MIRROR = Hub(endpoint="https://mirror.example/hf")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/b", HubName(repo="a/b")),
        (" a/b@Q4_K_M ", HubName(repo="a/b", quantization="Q4_K_M")),
        ("a/b:q8_0", HubName(repo="a/b", quantization="q8_0")),
        ("hf.co/a/b:Q8_0", HubName(repo="a/b", quantization="Q8_0")),
        ("https://huggingface.co/a/b", HubName(repo="a/b")),
        ("https://huggingface.co/a/b/?library=x#files", HubName(repo="a/b")),
        ("https://huggingface.co/a/b/tree/v2", HubName(repo="a/b", revision="v2")),
        ("https://huggingface.co/a/b/blob/main/q/x.gguf", HubName(repo="a/b", file="q/x.gguf")),
        ("https://hf.co/a/b/resolve/v1/x%20y.gguf?download=true", HubName(repo="a/b", revision="v1", file="x y.gguf")),
        (
            "http://files.example:8080/m/x-Q4_0.gguf?key=1#top",
            FileLink(
                url="http://files.example:8080/m/x-Q4_0.gguf?key=1", publisher="files.example", file="x-Q4_0.gguf"
            ),
        ),
    ],
)
def test_a_name_is_understood(text: str, name: HubName | FileLink) -> None:
    assert parse_name(text, None, HUB) == name


def test_a_link_to_a_mirror_is_a_link_to_the_hub() -> None:
    assert parse_name("https://mirror.example/hf/a/b", None, MIRROR) == HubName(repo="a/b")
    assert parse_name("https://huggingface.co/a/b", None, MIRROR) == HubName(repo="a/b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/b/c",
        "../b",
        "a/..",
        "a/.b",
        "a\\b/c",
        "a/b\n",
        "a/b@",
        "a/b@../x",
        "x" * 5000,
        "ftp://huggingface.co/a/b",
        "file:///etc/passwd",
        "https://huggingface.co/a",
        "https://huggingface.co/a/b/blob/main/../../x.gguf",
        "https://huggingface.co/a/b/blob/main/x.bin",
        "https://huggingface.co/a/b/discussions/1",
        "https://user:secret@files.example/x.gguf",
        "https://files.example/page.html",
        "https:///x.gguf",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    if text == "a/b\n":
        assert parse_name(text, None, HUB) == HubName(repo="a/b")  # the end of a line is no part of it
    else:
        with pytest.raises(UsageError) as caught:
            parse_name(text, None, HUB)
        assert "secret" not in str(caught.value)


def test_two_quantizations_are_one_too_many() -> None:
    assert parse_name("a/b@q4_0", "Q4_0", HUB) == HubName(repo="a/b", quantization="q4_0")
    with pytest.raises(UsageError, match="Two quantizations"):
        parse_name("a/b@Q4_0", "Q8_0", HUB)


@pytest.mark.parametrize(
    ("path", "is_safe"),
    [
        ("x.gguf", True),
        ("Q4/x.gguf", True),
        ("../x.gguf", False),
        ("/x.gguf", False),
        ("a//x.gguf", False),
        ("a\\x.gguf", False),
        (".hidden.gguf", False),
        ("a/\x00.gguf", False),
        ("x" * 300 + ".gguf", False),
    ],
)
def test_a_files_path_stays_in_its_folder(path: str, is_safe: bool) -> None:
    assert is_safe_path(path) is is_safe


# ---- the hub of the environment


def test_the_environment_names_hub_and_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("stored\n")

    assert Hub.from_env({"HOME": str(tmp_path)}) == Hub()
    assert Hub.from_env({"HF_HOME": str(tmp_path)}).token == "stored"
    assert Hub.from_env({"HF_HOME": str(tmp_path), "HF_TOKEN": "given"}).token == "given"
    assert Hub.from_env({"HF_ENDPOINT": "http://mirror/hf/", "HOME": "/"}).endpoint == "http://mirror/hf"
    with pytest.raises(ConfigError, match="HF_ENDPOINT"):
        Hub.from_env({"HF_ENDPOINT": "mirror"})


@pytest.mark.parametrize("text", ["", "two words", "line\nline", "\x1b[0m"])
def test_a_stored_token_that_is_none_is_not_sent(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)

    assert Hub.from_env({"HF_HOME": str(tmp_path)}).token is None


def test_the_token_goes_to_the_hub_alone_and_is_never_shown() -> None:
    hub = Hub(token="secret")

    assert hub.headers_for("https://huggingface.co/a/b") == {"authorization": "Bearer secret"}
    for url in ("http://huggingface.co/a", "https://huggingface.co:444/a", "https://cdn.huggingface.co/a"):
        assert hub.headers_for(url) == {}
    assert "secret" not in repr(hub)


# ---- redirects


def test_a_redirect_within_the_server_keeps_the_token() -> None:
    hop = Hop("https://huggingface.co/a/b?x", {"authorization": "t", "range": "r"})

    assert next_hop(hop, "/c/d") == Hop("https://huggingface.co/c/d", hop.headers)
    assert next_hop(hop, "https://cdn.example/z") == Hop("https://cdn.example/z", {"range": "r"})


def test_a_redirect_never_gives_up_encryption() -> None:
    with pytest.raises(DownloadError, match="not encrypted"):
        next_hop(Hop("https://huggingface.co/a", {}), "http://cdn.example/a?signature=secret")
    assert next_hop(Hop("http://localhost/a", {}), "https://cdn.example/a").url == "https://cdn.example/a"
