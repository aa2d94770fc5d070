"""Images of requests made fit for the engine, which knows PNG and JPEG, but neither WebP nor how a photo was turned.

The engine takes a file that is cut short for an image with a grey part, and half of what it is sent for an address to
fetch from. So every image is decoded here first, in a thread and one at a time: a small file can hold a huge picture.
"""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from roci.errors import BadRequestError
from roci.wire.images import KINDS, GivenImage, data_uri, image_bytes, kind_of
from roci.wire.openai.request_faults import invalid

if TYPE_CHECKING:
    from PIL.Image import Image

PIXEL_LIMIT: Final = 50_000_000
"""Of one image; a telephone's largest photos have 48 million."""
TOTAL_PIXEL_LIMIT: Final = 200_000_000
COUNT_LIMIT: Final = 100
_SIDE_LIMIT: Final = 16_384
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = 1
_JPEG_QUALITY: Final = 95
_OPAQUE: Final = 255
# What Pillow raises for files that are no images after all.
_FAULTS: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    MemoryError,
    struct.error,
    zlib.error,
)


class Images:
    """Makes images fit, one at a time for the whole gateway, so that memory for one decoded image is enough."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def settle(self, given: Iterable[GivenImage]) -> None:
        """Puts in the place of each image a data URI with the same as PNG or JPEG, upright.

        Raises:
            BadRequestError: one is an address, no image, broken or too large, or there are too many; names the field.
        """
        pixels = 0
        for position, image in enumerate(given):
            if position == COUNT_LIMIT:
                raise invalid(f"There are more than {COUNT_LIMIT} images.", image.path, code="too_many_images")
            async with self._turn:
                uri, its_pixels = await asyncio.to_thread(settled, image.text, image.path)
            pixels += its_pixels
            if pixels > TOTAL_PIXEL_LIMIT:
                raise invalid(
                    f"The images have more than {TOTAL_PIXEL_LIMIT:,} pixels together.",
                    image.path,
                    code="image_too_large",
                )
            image.put(uri)


def settled(text: str, path: str) -> tuple[str, int]:
    """The image in `text` as a data URI for the engine, and its pixels.

    Raises:
        BadRequestError: as `Images.settle`.
    """
    data = image_bytes(text, path)
    kind = kind_of(data)
    if kind is None:
        raise invalid(
            f"{path} holds no image that this server knows; it takes {', '.join(KINDS)}.",
            path,
            code="image_not_supported",
        )
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise BadRequestError(
            "Images need a package that is not installed: Pillow.",
            status=501,
            code="not_implemented",
            param=path,
            hint="Install it with: pip install 'roci-ai[server]'",
        ) from error
    try:
        with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
            pixels = _checked_size(image, path)
            image.load()
            if kind == "PNG":
                # Pillow's own decoding forgives a missing end, which the engine does not.
                with Image.open(io.BytesIO(data), formats=["PNG"]) as again:
                    again.verify()
            kind, data = _fit(image, kind, data)
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise _broken(kind, path, "it cannot be read") from error
    except _FAULTS as error:
        raise _broken(kind, path, str(error)) from error
    return data_uri(kind, data), pixels


def _checked_size(image: Image, path: str) -> int:
    width, height = image.size
    if width * height > PIXEL_LIMIT or max(width, height) > _SIDE_LIMIT:
        raise _too_large(path, width, height)
    return width * height


def _fit(image: Image, kind: str, data: bytes) -> tuple[str, bytes]:
    """Kind and bytes for the engine: as they came, if it shows them as they are meant."""
    from PIL import ImageOps

    seen = image
    if image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
        seen = ImageOps.exif_transpose(seen)
    if seen.has_transparency_data:
        seen = _on_white(seen)
    if kind in ("PNG", "JPEG") and seen is image:
        return kind, data
    out = io.BytesIO()
    if kind == "JPEG":
        seen.save(out, "JPEG", quality=_JPEG_QUALITY)
        return kind, out.getvalue()
    seen.convert("RGB").save(out, "PNG", compress_level=1)
    return "PNG", out.getvalue()


def _on_white(image: Image) -> Image:
    """The image as a page shows it: the engine drops what says how transparent a pixel is. Itself, if none is."""
    from PIL import Image as Images

    seen = image.convert("RGBA")
    lowest = seen.getchannel("A").getextrema()[0]
    if lowest == _OPAQUE:
        return image
    page = Images.new("RGBA", seen.size, "white")
    return Images.alpha_composite(page, seen).convert("RGB")


def _too_large(path: str, width: int = 0, height: int = 0) -> BadRequestError:
    size = f"{width:,} by {height:,} pixels" if width else "too many pixels"
    return invalid(
        f"{path} has {size}; {PIXEL_LIMIT:,} are the most, and {_SIDE_LIMIT:,} on a side.",
        path,
        code="image_too_large",
    )


def _broken(kind: str, path: str, reason: str) -> BadRequestError:
    return invalid(f"{path} is a {kind} that is broken: {reason[:200]}.", path, code="image_broken")
