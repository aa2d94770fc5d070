"""Images in messages: what each kind of server is sent, and what it is not. Sync and async."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import roci
from roci import ImagePart, LmStudioProvider, LocalProvider, ModelMessage, OpenAICompatibleProvider
from roci.types.requests import checked
from tests.support.canned_server import CannedServer, Reply, canned_server, completion
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
ADDRESS = ImagePart.from_url("https://example.org/cat.png")
WEBP = ImagePart("data:image/webp;base64,UklGRhYAAABXRUJQVlA4TAoAAAAvAAAAAAfQ//73vw==")
GIF = ImagePart("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
PNG = ImagePart("data:image/png;base64,iVBORw0KGgo=")


def drawn(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(out, kind)
    return out.getvalue()


def asked(part: ImagePart) -> roci.ProviderRequest:
    return roci.ProviderRequest(messages=[ModelMessage.user(["What is this?", part])])


def sent_urls(server: CannedServer) -> list[str]:
    return [request.json()["messages"][0]["content"][1]["image_url"]["url"] for request in server.requests]


@pytest.mark.parametrize("kind", ["WebP", "GIF", "BMP", "TIFF"])
def test_row_48_kinds_that_lm_studio_refuses_reach_it_as_png(kind: str, twin: Twin, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(drawn(kind))
    with canned_server({CHAT: Reply.json(completion())}) as server:
        twin.call(
            LmStudioProvider("m", base_url=server.url), "generate_text", asked(ImagePart.from_path(tmp_path / "image"))
        )

    assert sent_urls(server)[0].startswith("data:image/png;base64,iVBORw0KGgo")


@pytest.mark.parametrize(
    ("part", "capability", "hint"),
    [
        (ADDRESS, "image_addresses", "fetch_image('https://example.org/cat.png')"),
        (WEBP, "image/webp", "pip install pillow"),
        (GIF, "image/gif", "pip install pillow"),
    ],
)
def test_row_48_what_lm_studio_would_refuse_with_misleading_words_is_never_sent(
    part: ImagePart, capability: str, hint: str, twin: Twin
) -> None:
    with canned_server({}) as server, pytest.raises(roci.UnsupportedError) as caught:
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked(part))

    assert (caught.value.capability, server.requests) == (capability, [])
    assert hint in caught.value.hint


@pytest.mark.parametrize("part", [ADDRESS, WEBP, GIF, PNG])
def test_other_servers_are_sent_what_the_api_allows(part: ImagePart, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        twin.call(OpenAICompatibleProvider("m", base_url=server.url), "generate_text", asked(part))

    assert sent_urls(server) == [part.url]


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,AAAA", "data:image/png;base64,", "cat.png", "", "file:///a.png"]
)
def test_an_image_that_is_no_image_is_refused_before_anything_is_sent(url: str, twin: Twin) -> None:
    with canned_server({}) as server, pytest.raises(roci.UsageError) as caught:
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked(ImagePart(url)))

    assert (caught.value.field, server.requests) == ("messages", [])


def test_the_embedded_engine_fetches_nothing(tmp_path: Path) -> None:
    model = LocalProvider(str(write_tiny_gguf(tmp_path / "m.gguf")))
    with pytest.raises(roci.UnsupportedError) as caught:
        model._body(checked(asked(ADDRESS)), stream=True)

    assert caught.value.capability == "image_addresses"


def image_reply(data: bytes, **headers: str) -> Reply:
    return Reply(200, {"content-type": "application/octet-stream", **headers}, [data])


def test_an_image_is_fetched_here_when_that_is_asked_for(twin: Twin) -> None:
    routes: dict[str, Any] = {
        "GET /a?size=2": Reply(302, {"location": "/b"}),
        "GET /b": image_reply(drawn("WebP")),
    }
    with canned_server(routes) as server:
        part = twin.call(roci, "fetch_image", server.url + "/a?size=2")

    assert part.url.startswith("data:image/png;base64,")
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply.text("<!doctype html>"), roci.UsageError, "no image"),
        (Reply.text("gone", status=404), roci.ReplyError, "status 404"),
        (Reply(301, {"location": "/a"}), roci.UsageError, "sends on more than 5 times"),
        (Reply(302, {"location": "file:///etc/passwd"}), roci.UsageError, "no address of an image"),
    ],
)
def test_what_cannot_be_fetched_as_an_image_is_said(reply: Reply, kind: Any, words: str, twin: Twin) -> None:
    with canned_server({"GET /a": reply}) as server, pytest.raises(kind, match=words):
        twin.call(roci, "fetch_image", server.url + "/a")
