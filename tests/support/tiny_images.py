"""Small images of every kind, and images with something wrong."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

from PIL import Image

SIZE = (4, 2)
RED = (255, 0, 0)


def drawn(kind: str, *, mode: str = "RGB", color: Any = RED, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """A picture of one colour as PNG, JPEG, WEBP, GIF or another kind that Pillow writes."""
    out = io.BytesIO()
    Image.new(mode, size, color).save(out, kind, **options)
    return out.getvalue()


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{coded(data)}"


def decoded(data_uri: str) -> tuple[str, Image.Image]:
    """Kind by its type and the picture of what the engine is sent."""
    head, _, data = data_uri.partition(";base64,")
    return head.removeprefix("data:image/"), Image.open(io.BytesIO(base64.b64decode(data)))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


PNG = uri(drawn("PNG"))
