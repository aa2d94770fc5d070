"""Images as bytes: what kind they are, whether they are any, and how they become one that every server takes.

PNG and JPEG are what every server takes. Other kinds become PNG where Pillow is installed; it is imported then only.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Final

from roci.errors import UsageError

SIZE_LIMIT_BYTES: Final = 32 * 2**20
"""Of one image as a file."""
PIXEL_LIMIT: Final = 50_000_000
"""Of one image that is to be converted; a telephone's largest photos have 48 million."""
COMMON: Final = frozenset({"image/png", "image/jpeg"})
"""What every server takes."""
NEEDS_PILLOW: Final = "Install what converts it to PNG: pip install pillow. Or save the image as PNG or JPEG."
_FIELD: Final = "image"
_ORIENTATION: Final = 0x0112
_PREFIXES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
_ENDS: Final = {"image/png": b"IEND", "image/jpeg": b"\xff\xd9"}
# What Pillow raises for files that are no images after all.
_FAULTS: Final = (
    OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, MemoryError, struct.error,
    zlib.error,
)  # fmt: skip
_BMP_HEADER_BYTES: Final = 26
_HEAD_BYTES: Final = 30
_DATA: Final = re.compile(r"data:([^;,]{0,100})((?:;[^;,]{0,100}){0,10}),", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def media_type_of(data: bytes) -> str | None:
    """By the first bytes: PNG, JPEG, GIF, WebP, BMP, TIFF or AVIF; None for all else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    if data[:2] == b"BM" and len(data) >= _BMP_HEADER_BYTES and data[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return next((kind for prefix, kind in _PREFIXES.items() if data.startswith(prefix)), None)


def media_type_of_uri(uri: str) -> str | None:
    """What a data URI's bytes are, by the first of them; None where they are no image or it is no data URI."""
    head = _DATA.match(uri)
    if head is None:
        return None
    start = uri[head.end() : head.end() + _HEAD_BYTES * 4 // 3].rstrip("=")
    try:
        return media_type_of(base64.b64decode(start[: len(start) // 4 * 4] + _padded(start[len(start) // 4 * 4 :])))
    except (binascii.Error, ValueError):
        return None


def is_address(url: str) -> bool:
    return _ADDRESS.match(url) is not None


def data_uri(data: bytes) -> str:
    """`data` as a data URI, as PNG where it is of a kind that not every server takes and Pillow is installed.

    Raises:
        UsageError: it is no image, is cut short or too large, or cannot be read.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise _bad(f"The image has {len(data):,} bytes; {SIZE_LIMIT_BYTES:,} are the most.", "Make it smaller.")
    kind = media_type_of(data)
    if kind is None:
        what = "is empty" if not data else f"begins with {data[:8]!r}"
        raise _bad(
            f"These bytes are no image: what they hold {what}.", "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF are known."
        )
    if kind in _ENDS and _ENDS[kind] not in data:
        raise _bad(f"The image is cut short: it begins as {kind} and has no end.", "Load or save it again.")
    if kind not in COMMON:
        kind, data = _converted(kind, data)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def decoded_uri(uri: str) -> bytes:
    """The bytes of a data URI.

    Raises:
        UsageError: it is none, or not in base64.
    """
    head = _DATA.match(uri)
    if head is None or not head[2].lower().endswith(";base64"):
        raise _bad(f"{uri[:60]!r} is no data URI in base64.", "It begins like data:image/png;base64,…")
    coded = "".join(uri[head.end() :].split())
    if len(coded) > SIZE_LIMIT_BYTES * 4 // 3 + 4:
        raise _bad(f"The image has more than {SIZE_LIMIT_BYTES:,} bytes.", "Make it smaller.")
    try:
        return binascii.a2b_base64(_padded(coded), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(f"The data URI is not base64: {error}.") from error


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """What is in the file at `path`, read at once.

    Raises:
        UsageError: there is no such file, it cannot be read, or it is too large for an image.
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            data = opened.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise _bad(f"The image {str(path)!r} cannot be read: {error.strerror or error}.") from error
    if len(data) > SIZE_LIMIT_BYTES:
        raise _bad(f"The image {str(path)!r} has more than {SIZE_LIMIT_BYTES:,} bytes.", "Make it smaller.")
    return data


def _padded(coded: str) -> str:
    return coded + "=" * (-len(coded) % 4)


def _converted(kind: str, data: bytes) -> tuple[str, bytes]:
    """As PNG, upright, on white where it is transparent; as it came where Pillow is missing."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return kind, data
    try:
        with Image.open(io.BytesIO(data), formats=[kind.removeprefix("image/").upper()]) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                raise _bad(f"The image has {width:,} by {height:,} pixels; {PIXEL_LIMIT:,} are the most.")
            seen = ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION, 1) != 1 else image
            if seen.has_transparency_data:
                seen = seen.convert("RGBA")
                seen = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
            out = io.BytesIO()
            seen.convert("RGB").save(out, "PNG", compress_level=1)
    except UsageError:
        raise
    except (*_FAULTS, Image.DecompressionBombError) as error:
        raise _bad(
            f"The image begins as {kind} and cannot be read: {str(error)[:200]}.", "Load or save it again."
        ) from error
    return "image/png", out.getvalue()


def _bad(message: str, hint: str = "") -> UsageError:
    return UsageError(message, field=_FIELD, hint=hint)
