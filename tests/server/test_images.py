"""Images on every route: what the worker is sent of them, and which are refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from roci.errors import BadRequestError
from roci.server.images import COUNT_LIMIT, PIXEL_LIMIT, settled
from tests.server.conftest import model_file
from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S, serve
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.tiny_images import PNG, RED, SIZE, bomb, coded, decoded, drawn, uri
from tests.support.workers import FAKE_WORKER

KINDS = ("PNG", "JPEG", "WEBP", "GIF")
SEES = "first-vision"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of a gateway with one model that takes images."""
    home = tmp_path_factory.mktemp("home")
    write_tiny_gguf(model_file(home, SEES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with (
            serve(home, worker_command=FAKE_WORKER, parallel=2) as served,
            httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
        ):
            yield client


def chat(image: str) -> tuple[str, dict[str, Any]]:
    parts = [{"type": "text", "text": "#echo"}, {"type": "image_url", "image_url": {"url": image}}]
    return "/v1/chat/completions", {"model": SEES, "messages": [{"role": "user", "content": parts}]}


def v0_chat(image: str) -> tuple[str, dict[str, Any]]:
    return "/api/v0/chat/completions", chat(image)[1]


def responses(image: str) -> tuple[str, dict[str, Any]]:
    parts = [{"type": "input_text", "text": "#echo"}, {"type": "input_image", "image_url": image}]
    return "/v1/responses", {"model": SEES, "input": [{"role": "user", "content": parts}]}


def messages(image: str) -> tuple[str, dict[str, Any]]:
    source = {"type": "base64", "media_type": "image/png", "data": image}
    parts = [{"type": "text", "text": "#echo"}, {"type": "image", "source": source}]
    return "/v1/messages", {"model": SEES, "max_tokens": 9, "messages": [{"role": "user", "content": parts}]}


def native(image: str) -> tuple[str, dict[str, Any]]:
    items = [{"type": "text", "content": "#echo"}, {"type": "image", "data_url": image}]
    return "/api/v1/chat", {"model": SEES, "input": items}


ROUTES: dict[Callable[[str], tuple[str, dict[str, Any]]], str] = {
    chat: "messages[0].content[1].image_url.url",
    v0_chat: "messages[0].content[1].image_url.url",
    responses: "input[0].content[1].image_url",
    messages: "messages[0].content[1].source.data",
    native: "input[1].data_url",
}


def heard(client: httpx2.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the worker was asked: the fake one's answer is the request's body."""
    reply = client.post(path, json=body)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    if "choices" in told:
        return json.loads(told["choices"][0]["message"]["content"])
    if "output" not in told:
        return json.loads(told["content"][0]["text"])
    said = told["output"][-1]["content"]
    return json.loads(said if isinstance(said, str) else said[0]["text"])


def sent(client: httpx2.Client, path: str, body: dict[str, Any]) -> list[str]:
    """The images that the worker was sent."""
    parts = heard(client, path, body)["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def refused(client: httpx2.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(path, json=body)
    assert reply.status_code == 400, reply.text
    return reply.json()["error"]


@compatible(
    "POST /v1/chat/completions", "`image_url`: PNG, JPEG, WebP and GIF", "better", "LM Studio often refuses WebP"
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("route", ROUTES)
def test_four_kinds_of_images_reach_the_worker_in_a_form_that_it_knows(
    client: httpx2.Client, route: Callable[[str], tuple[str, dict[str, Any]]], kind: str
):
    (image,) = sent(client, *route(coded(drawn(kind))))
    told, picture = decoded(image)
    assert (told, picture.format) == (("jpeg", "JPEG") if kind == "JPEG" else ("png", "PNG"))
    assert picture.size == SIZE
    assert (
        max(abs(ours - theirs) for ours, theirs in zip(picture.convert("RGB").getpixel((0, 0)), RED, strict=True)) < 8
    )


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a.png", "https://example.org/a.png", "file:///etc/passwd"])
def test_an_address_is_refused_before_a_worker_could_fetch_it(
    client: httpx2.Client, route: Callable[[str], tuple[str, dict[str, Any]]], address: str
):
    error = refused(client, *route(address))
    assert ROUTES[route] in error["message"]
    assert "fetches nothing" in error["message"]
    if route is not messages:
        assert error["param"] == ROUTES[route]


@pytest.mark.parametrize("route", ROUTES)
def test_a_broken_image_is_refused_with_its_path(
    client: httpx2.Client, route: Callable[[str], tuple[str, dict[str, Any]]]
):
    whole = drawn("JPEG", size=(200, 200))
    assert ROUTES[route] in refused(client, *route(coded(whole[: len(whole) // 2])))["message"]


def test_what_an_image_is_counts_and_not_what_it_is_called(client: httpx2.Client):
    (image,) = sent(client, *chat(uri(drawn("JPEG"), "png")))
    assert decoded(image)[0] == "jpeg"
    (image,) = sent(client, *chat("data:image/x-unknown;charset=utf-8;base64," + coded(drawn("PNG"))))
    assert decoded(image)[0] == "png"


def test_images_in_results_of_tools_and_in_other_roles_are_looked_at_too(client: httpx2.Client):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": coded(drawn("WEBP"))}}
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    turns = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, {"type": "text", "text": "#echo"}]},
    ]
    asked = heard(client, "/v1/messages", {"model": SEES, "max_tokens": 9, "messages": turns})
    assert "data:image/png;base64," in json.dumps(asked)
    turns = [{"role": "system", "content": [{"type": "image_url", "image_url": "http://x/a.png"}]}]
    error = refused(client, "/v1/chat/completions", {"model": SEES, "messages": turns})
    assert error["param"] == "messages[0].content[0].image_url"


def test_a_kept_conversation_keeps_the_images_that_the_worker_knows(client: httpx2.Client):
    path, body = native(coded(drawn("WEBP")))
    kept = client.post(path, json=body).json()["response_id"]
    asked = heard(client, path, {"model": SEES, "input": "#echo", "previous_response_id": kept})
    (image,) = [part["image_url"]["url"] for part in asked["messages"][0]["content"] if part["type"] == "image_url"]
    assert decoded(image)[0] == "png"


def test_too_many_images_are_refused(client: httpx2.Client):
    part = {"type": "image_url", "image_url": {"url": PNG}}
    turns = [{"role": "user", "content": [part] * (COUNT_LIMIT + 1)}]
    error = refused(client, "/v1/chat/completions", {"model": SEES, "messages": turns})
    assert (error["code"], error["param"]) == ("too_many_images", f"messages[0].content[{COUNT_LIMIT}].image_url.url")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("data:image/png;base64,!", "invalid_value"),
        ("data:image/png;base64,", "invalid_value"),
        ("data:image/png;base64,é", "invalid_value"),
        ("data:image/png,%89PNG", "invalid_value"),
        ("%%%", "invalid_value"),
        ("", "invalid_value"),
        (uri(drawn("TIFF"), "png"), "image_not_supported"),
        (uri(b"<svg/>" * 9, "svg+xml"), "image_not_supported"),
        (uri(drawn("PNG")[:-20]), "image_broken"),
        (uri(b"\x89PNG\r\n\x1a\n"), "image_broken"),
        (uri(bomb(60_000, 60_000)), "image_too_large"),
        (uri(bomb(16_000, PIXEL_LIMIT // 16_000 + 1)), "image_too_large"),
        (uri(bomb(1, 20_000)), "image_too_large"),
        ("A" * 45_000_000, "image_too_large"),
        ("ftp://x/y.png", "image_not_fetched"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_image_that_cannot_be_used_is_refused(text: str, code: str):
    with pytest.raises(BadRequestError) as fault:
        settled(text, "here")
    assert (fault.value.status, fault.value.code, fault.value.param) == (400, code, "here")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_image_is_an_image_or_a_refusal(kind: str):
    whole = drawn(kind, size=(40, 30))
    chance = random.Random(7)
    outcomes: set[str] = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(12, len(damaged))] = chance.randrange(256)
        try:
            settled(coded(bytes(damaged[: chance.randrange(12, 2 * len(damaged))])), "here")
            outcomes.add("taken")
        except BadRequestError as error:
            outcomes.add(error.code or "")
    assert "image_broken" in outcomes
    assert outcomes <= {"taken", "image_broken", "image_too_large"}


def test_an_image_that_the_engine_shows_right_is_passed_on_as_it_came():
    image = uri(drawn("JPEG"), "jpeg")
    assert settled(image, "here") == (image, SIZE[0] * SIZE[1])


def test_base64_with_line_breaks_and_without_its_end_is_understood():
    text = coded(drawn("PNG"))
    lines = "\r\n".join(text[at : at + 40] for at in range(0, len(text), 40))
    assert settled(lines, "here")[0] == settled(text.rstrip("="), "here")[0] == PNG


def test_a_photo_that_says_how_it_was_turned_is_turned():
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    kind, picture = decoded(settled(coded(drawn("JPEG", exif=exif)), "here")[0])
    assert (kind, picture.size) == ("jpeg", SIZE[::-1])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_shown_on_white(kind: str):
    seen = drawn(kind, mode="RGBA", color=(0, 0, 0, 0), **({"lossless": True} if kind == "WEBP" else {}))
    _, picture = decoded(settled(coded(seen), "here")[0])
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_gif_that_moves_is_its_first_picture():
    from PIL import Image

    moving = drawn("GIF", save_all=True, append_images=[Image.new("RGB", SIZE, (0, 0, 255))])
    _, picture = decoded(settled(coded(moving), "here")[0])
    assert picture.convert("RGB").getpixel((0, 0)) == RED
