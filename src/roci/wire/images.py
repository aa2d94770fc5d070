"""Images as clients write them in requests: data URIs or bare base64. Pure; what the bytes show is not looked at.

Each dialect says where its images stand (`GivenImage`), so that whoever makes them fit for the engine can name the
field at fault and put the result in its place.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatMessage, ContentPart, ImageUrl

SIZE_LIMIT_BYTES: Final = 32 * 2**20
NOT_FETCHED: Final = "This server fetches nothing from elsewhere: send the image itself, as a data URI in base64."
KINDS: Final = ("PNG", "JPEG", "WebP", "GIF")
DATA_PREFIX: Final = "data:image/"
_SHOWN_CHARS: Final = 60
_DATA: Final = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]{1,30}:", re.IGNORECASE)
_PREFIXES: Final = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff"}


class GivenImage(Struct, frozen=True):
    """An image of a request, before anybody has looked at it."""

    path: str
    """Of the field that holds it."""
    text: str
    put: Callable[[str], None]
    """Replaces it by a data URI."""


def image_bytes(text: str, path: str) -> bytes:
    """The bytes that a data URI or bare base64 stands for.

    Raises:
        BadRequestError: it is an address, no base64, empty or larger than 32 MiB; names `path`.
    """
    head = _DATA.match(text)
    if head is not None:
        if not head[0][:-1].lower().endswith(";base64"):
            raise invalid(f"{path} is a data URI that is not in base64.", path)
    elif _ADDRESS.match(text):
        raise invalid(
            f"{path} is {text[:_SHOWN_CHARS]!r}, an address; images are taken as data only.",
            path,
            code="image_not_fetched",
            hint=NOT_FETCHED,
        )
    coded = text[head.end() :] if head is not None else text
    if len(coded) > SIZE_LIMIT_BYTES * 4 // 3 + 4:
        raise invalid(f"{path} is larger than {SIZE_LIMIT_BYTES // 2**20} MiB.", path, code="image_too_large")
    try:
        data = _decoded(coded)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{path} is not base64: {error}.", path) from error
    if not data:
        raise invalid(f"{path} holds no image.", path)
    return data


def kind_of(data: bytes) -> str | None:
    """One of `KINDS`, by the first bytes; None for all else."""
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((kind for kind, prefix in _PREFIXES.items() if data.startswith(prefix)), None)


def data_uri(kind: str, data: bytes) -> str:
    return f"{DATA_PREFIX}{kind.lower()};base64,{binascii.b2a_base64(data, newline=False).decode()}"


def chat_images(messages: Iterable[ChatMessage]) -> Iterator[GivenImage]:
    """The images of a chat request's messages."""
    for position, message in enumerate(messages):
        if not isinstance(message.content, list):
            continue
        for place, part in enumerate(message.content):
            if part.type == "image_url" and part.image_url is not None:
                yield _chat_image(part, f"messages[{position}].content[{place}].image_url")


def _chat_image(part: ContentPart, path: str) -> GivenImage:
    def put(uri: str) -> None:
        part.image_url = ImageUrl(uri)

    if isinstance(part.image_url, ImageUrl):
        return GivenImage(f"{path}.url", part.image_url.url, put)
    return GivenImage(path, part.image_url or "", put)


def _decoded(coded: str) -> bytes:
    """Strict, but for line breaks and a missing end, which some encoders make."""
    if "\n" in coded or " " in coded:
        coded = "".join(coded.split())
    missing = -len(coded) % 4
    return binascii.a2b_base64(coded + "=" * missing if missing < 3 else coded, strict_mode=True)
