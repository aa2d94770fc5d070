"""Searches on a hub, and the recommended models as this machine sees them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from roci.engine.hub.endpoint import Hub
from roci.engine.hub.judging import Judged, judge
from roci.engine.hub.searching import Found, Query, SizeFilter, parse_size, search
from roci.engine.hub.web import Web
from roci.errors import ServerUnreachableError, UnexpectedReplyError, UsageError
from tests.engine.hub.conftest import GB, REPO
from tests.support.command_line import refused_url
from tests.support.fake_hub import Body, FakeHub


def searched(hub: FakeHub, **query: Any) -> list[Found]:
    async def found() -> list[Found]:
        async with Web() as web:
            return await search(web, Hub(endpoint=hub.url), Query(**query), 16 * GB)

    return asyncio.run(found())


def names(found: list[Found]) -> list[str]:
    return [one.name for one in found]


def add(hub: FakeHub, name: str, gigabytes: dict[str, float], **listing: Any) -> None:
    files = {f"m-{quantization}.gguf": b"x" for quantization in gigabytes}
    sizes = {f"m-{quantization}.gguf": int(size * GB) for quantization, size in gigabytes.items()}
    hub.add(name, files, sizes=sizes, **listing)


@pytest.fixture
def full(hub: FakeHub) -> FakeHub:
    """A hub with models of several kinds."""
    add(hub, "a/Chat-4B-GGUF", {"Q4_K_M": 2.5, "Q8_0": 4.5}, downloads=50, gguf={"total": 4 * GB})
    add(hub, "a/Chat-70B-GGUF", {"Q4_K_M": 42, "Q2_K": 26}, downloads=90, gated="manual")
    add(hub, "a/Coder-7B-GGUF", {"Q4_K_M": 4.4}, downloads=40, gguf={"chat_template": "{% if tools %}"})
    add(hub, "a/Embed-GGUF", {"F16": 0.3}, downloads=30, pipeline_tag="sentence-similarity")
    add(hub, "a/Eyes-4B-GGUF", {"Q4_K_M": 2.6}, downloads=20, tags=["image-text-to-text"])
    return hub


def test_the_most_downloaded_come_first_with_what_fits_marked(full: FakeHub) -> None:
    found = searched(full, words="a/chat")

    assert names(found) == ["a/Chat-70B-GGUF", "a/Chat-4B-GGUF"]
    assert (found[0].best, found[0].is_gated) == (None, True)
    assert [(one.quantization, one.fits) for one in found[0].quantizations] == [("Q2_K", False), ("Q4_K_M", False)]
    assert (found[1].best, found[1].parameters) == ("Q8_0", 4 * GB)
    assert found[1].link == f"{full.url}/a/Chat-4B-GGUF"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"task": "embedding"}, ["a/Embed-GGUF"]),
        ({"task": "code"}, ["a/Coder-7B-GGUF"]),
        ({"task": "tools"}, ["a/Coder-7B-GGUF"]),
        ({"task": "vision"}, ["a/Eyes-4B-GGUF"]),
        ({"size": "4b"}, ["a/Chat-4B-GGUF", "a/Eyes-4B-GGUF"]),
        ({"size": ">60b"}, ["a/Chat-70B-GGUF"]),
        ({"size": "<500MB", "task": "embedding"}, ["a/Embed-GGUF"]),
        ({"quantization": "q8_0"}, ["a/Chat-4B-GGUF"]),
        ({"limit": 1}, ["a/Chat-70B-GGUF"]),
    ],
)
def test_a_search_is_narrowed(full: FakeHub, query: dict[str, Any], expected: list[str]) -> None:
    if "size" in query:
        query = {**query, "size": parse_size(query["size"])}
    assert names(searched(full, words="a/", **query)) == expected


def test_a_size_of_files_leaves_only_those_that_are_so_large(full: FakeHub) -> None:
    found = searched(full, words="chat-4b", size=parse_size("<3GB"))

    assert [one.quantization for one in found[0].quantizations] == ["Q4_K_M"]
    assert found[0].best == "Q4_K_M"


def test_a_search_asks_for_gguf_models_and_is_bounded(full: FakeHub) -> None:
    searched(full, words="chat", limit=1)

    query = full.requests[0].query
    assert (query["filter"], query["sort"], query["limit"]) == (["gguf"], ["downloads"], ["1"])
    assert len(full.requests) == 2


def test_a_name_that_could_be_no_repository_is_left_out(hub: FakeHub) -> None:
    hub.add("../evil", {"x.gguf": b"x"}, downloads=1)

    assert names(searched(hub)) == [REPO]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4b", SizeFilter("", 4e9, is_bytes=False)),
        ("<8B", SizeFilter("<", 8e9, is_bytes=False)),
        (">= 500MB", SizeFilter(">=", 5e8, is_bytes=True)),
        ("135m", SizeFilter("", 135e6, is_bytes=False)),
        ("<=1.5gb", SizeFilter("<=", 1.5e9, is_bytes=True)),
    ],
)
def test_a_size_is_understood(text: str, size: SizeFilter) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "4", "-4b", "0b", "<", "1e9b", "9" * 50 + "b"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no size"):
        parse_size(text)


def test_without_a_network_it_says_what_to_check(hub: FakeHub) -> None:
    with refused_url() as url:
        hub.url = url
        with pytest.raises(ServerUnreachableError, match="Nothing answers"):
            searched(hub)


def test_a_login_page_is_no_hub(hub: FakeHub) -> None:
    hub.listing_faults.append(Body(b"<html>Sign in</html>"))

    with pytest.raises(UnexpectedReplyError, match="does not answer as the Hugging Face hub"):
        searched(hub)


# ---- the recommended models


def judged(url: str, home: Path, memory_bytes: int = 24 * GB) -> dict[str, Judged]:
    async def found() -> list[Judged]:
        async with Web() as web:
            return await judge(web, Hub(endpoint=url), home, memory_bytes)

    return {one.name: one for one in asyncio.run(found())}


def test_without_a_hub_the_stated_sizes_count(tmp_path: Path) -> None:
    with refused_url() as url:
        found = judged(url, tmp_path)

    assert (found["phi-3-mini"].size_bytes, found["phi-3-mini"].size_origin) == (2 * GB, "stated")
    assert {name: one.fits for name, one in found.items()} == {
        "llama-3.3-70b": False,
        "mistral-7b": True,
        "codellama-34b": False,
        "mixtral-8x7b": False,
        "deepseek-r1": True,
        "phi-3-mini": True,
    }


def test_the_hubs_sizes_count_more_and_those_on_disk_most(hub: FakeHub, tmp_path: Path) -> None:
    add(hub, "bartowski/Mistral-7B-Instruct-v0.3-GGUF", {"Q8_0": 7.7})
    add(hub, "bartowski/Phi-3-mini-4k-instruct-GGUF", {"Q4_K_M": 2.4})
    file = tmp_path / "models" / "bartowski" / "Phi-3-mini-4k-instruct-GGUF" / "Phi-3-Q4_K_M.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 1000)
    found = judged(hub.url, tmp_path, 9 * GB)

    mistral, phi = found["mistral-7b"], found["phi-3-mini"]
    assert (mistral.size_bytes, mistral.size_origin, mistral.fits) == (7_700_000_000, "hub", False)
    assert (phi.size_bytes, phi.size_origin, phi.is_here) == (1000, "disk", True)
