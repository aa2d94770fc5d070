"""Images: what is one, what kind, and what becomes of it before any server sees it."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from roci import ImagePart, UsageError
from roci.types import images


def drawn(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (4, 3), "red" if mode != "RGBA" else (255, 0, 0, 0)).save(out, kind, **options)
    return out.getvalue()


def shown(part: ImagePart) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(part.url.partition(",")[2])))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_every_server_takes_is_left_as_it_is(kind: str) -> None:
    data = drawn(kind)
    part = ImagePart.from_bytes(data)

    assert part.url == f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
    assert images.media_type_of_uri(part.url) == f"image/{kind.lower()}"


@pytest.mark.parametrize("kind", ["WebP", "GIF", "BMP", "TIFF", "AVIF"])
def test_other_kinds_become_png(kind: str) -> None:
    data = drawn(kind)
    assert images.media_type_of(data) == f"image/{kind.lower()}"

    part = ImagePart.from_bytes(data, f"image/{kind.lower()}")

    assert part.url.startswith("data:image/png;base64,")
    assert (shown(part).format, shown(part).size) == ("PNG", (4, 3))


def test_what_is_transparent_stands_on_white() -> None:
    assert shown(ImagePart.from_bytes(drawn("WebP", "RGBA"))).getpixel((0, 0)) == (255, 255, 255)


def test_a_turned_picture_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    assert shown(ImagePart.from_bytes(drawn("WebP", exif=exif))).size == (3, 4)


def test_the_bytes_tell_the_kind_whatever_is_said_of_them() -> None:
    assert ImagePart.from_bytes(drawn("JPEG"), "image/png").url.startswith("data:image/jpeg;")


def test_a_file_and_a_data_uri_give_the_same(tmp_path: Path) -> None:
    data = drawn("PNG")
    (tmp_path / "a.bin").write_bytes(data)
    part = ImagePart.from_path(tmp_path / "a.bin")

    assert part == ImagePart.from_path(str(tmp_path / "a.bin")) == ImagePart.from_data_uri(part.url)
    assert part == ImagePart.from_url(part.url) == ImagePart.from_bytes(data)


def test_a_data_uri_of_webp_becomes_png_too() -> None:
    uri = "data:image/webp;base64," + base64.b64encode(drawn("WebP")).decode()

    assert ImagePart.from_data_uri(uri).url.startswith("data:image/png;")


def test_an_address_stays_an_address() -> None:
    assert ImagePart.from_url("https://example.org/a.png").url == "https://example.org/a.png"


NOT_IMAGES = {
    "empty": b"",
    "text": b"this is no image",
    "page": b"<!doctype html><html>",
    "pdf": b"%PDF-1.7",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "half a png": drawn("PNG")[:30],
    "half a jpeg": drawn("JPEG")[:200],
    "half a webp": drawn("WebP")[:20],
    "half a gif": drawn("GIF")[:10],
}


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_an_image_that_is_no_image_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        ImagePart.from_bytes(NOT_IMAGES[name], "image/png")

    assert caught.value.field == "image"
    assert "image" in caught.value.message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ImagePart.from_path("/nowhere/a.png"), "No such file"),
        (lambda: ImagePart.from_path("/"), "cannot be read"),
        (lambda: ImagePart.from_data_uri("https://example.org/a.png"), "no data URI"),
        (lambda: ImagePart.from_data_uri("data:image/png,abc"), "no data URI"),
        (lambda: ImagePart.from_data_uri("data:image/png;base64,***"), "not base64"),
        (lambda: ImagePart.from_data_uri("data:image/png;base64,AAAA"), "no image"),
        (lambda: ImagePart.from_url("ftp://example.org/a.png"), "no address"),
        (lambda: ImagePart.from_url("a.png"), "no address"),
        (lambda: ImagePart.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(images.SIZE_LIMIT_BYTES)), "33,554,432"),
    ],
)
def test_what_cannot_be_an_image_is_said_at_once(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_a_small_file_with_a_huge_picture_is_refused() -> None:
    out = io.BytesIO()
    Image.new("1", (8000, 7000)).save(out, "TIFF", compression="group4")

    with pytest.raises(UsageError, match="50,000,000"):
        ImagePart.from_bytes(out.getvalue())


def test_without_pillow_an_image_stays_what_it_is() -> None:
    script = (
        "import sys; sys.modules['PIL'] = None; import roci; "
        f"print(roci.ImagePart.from_bytes({drawn('GIF')!r}).url[:20])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("data:image/gif;")


def test_png_and_jpeg_need_no_pillow() -> None:
    script = (
        f"import sys, roci; roci.ImagePart.from_bytes({drawn('PNG')!r}); "
        "print([name for name in sys.modules if name.split('.')[0] == 'PIL'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
