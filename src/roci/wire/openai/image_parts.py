"""An image of a message as a chat request carries it, if the server takes it at all. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from roci.errors import UnsupportedError, UsageError
from roci.types.messages import ImagePart


class ImagesTaken(NamedTuple):
    """What a kind of server takes. What it does not is refused here, with words that say what to do about it."""

    by: str
    media_types: tuple[str, ...] = ("image/png", "image/jpeg")
    addresses: bool = False
    """It fetches images from elsewhere."""


ANY_SERVER: Final = ImagesTaken("This server", ("image/png", "image/jpeg", "image/webp", "image/gif"), addresses=True)
LMSTUDIO: Final = ImagesTaken("LM Studio")
ENGINE: Final = ImagesTaken("The embedded engine")


def wire_image(part: ImagePart, taken: ImagesTaken) -> dict[str, Any]:
    """The part that carries `part`.

    Raises:
        UnsupportedError: the server fetches no images, or does not take this kind of image.
        UsageError: it is no image.
    """
    from roci.types.images import NEEDS_PILLOW, is_address, media_type_of_uri  # only for those who send some

    if is_address(part.url):
        if not taken.addresses:
            raise UnsupportedError(
                f"{taken.by} fetches no images: {part.url[:80]!r} is an address.",
                capability="image_addresses",
                hint=f"Fetch it here, with fetch_image({part.url[:80]!r}), or give the file to ImagePart.from_path.",
            )
    else:
        kind = media_type_of_uri(part.url)
        if kind is None:
            raise UsageError(
                f"An image of the messages is none: {part.url[:40]!r}….",
                field="messages",
                hint="Make it with ImagePart.from_path, from_bytes or from_data_uri: they look at what they get.",
            )
        if kind not in taken.media_types:
            raise UnsupportedError(
                f"{taken.by} takes {_listed(taken.media_types)}; this image is {kind}.",
                capability=kind,
                hint=f"Make it with ImagePart.from_path, from_bytes or from_data_uri. {NEEDS_PILLOW}",
            )
    return {"type": "image_url", "image_url": {"url": part.url}}


def _listed(kinds: tuple[str, ...]) -> str:
    return " and ".join(kind.removeprefix("image/").upper() for kind in kinds)
