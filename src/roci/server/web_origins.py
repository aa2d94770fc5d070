"""Which web pages may ask: origins as browsers send them, and what a page is told by the headers of CORS. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from roci.errors import ConfigError

Headers = list[tuple[bytes, bytes]]

_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_EXPOSED: Final = b"retry-after, www-authenticate, x-request-id, x-should-retry"
_REMEMBERED_S: Final = b"600"
_VARY_PREFLIGHT: Final = (
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
)
_HEADERS_LIMIT_BYTES: Final = 4096


def checked_origins(cors: bool | Iterable[str], origin: str) -> bool | tuple[str, ...]:
    """The setting `cors` with its origins as browsers write them; `*` in it is any.

    Args:
        origin: where the setting came from.

    Raises:
        ConfigError: an entry is no origin.
    """
    if isinstance(cors, bool):
        return cors
    entries = tuple(cors)
    return True if "*" in entries else tuple(_checked_origin(entry, origin) for entry in entries)


def allows(cors: bool | tuple[str, ...], origin: str) -> bool:
    """Whether pages of `origin` may ask by the setting `cors`."""
    return cors if isinstance(cors, bool) else origin in cors


def allow_headers(origin: str) -> Headers:
    """What an answer to an allowed page carries. The origin itself and never `*`; cookies play no part."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight_headers(origin: str, wanted: bytes | None, *, is_private_network: bool) -> Headers:
    """The answer to an allowed page's question whether it may ask.

    Args:
        wanted: the header names that it wants to send.
        is_private_network: whether the browser asks if this address, nearer than the page's, may be asked at all.
            Source: https://wicg.github.io/private-network-access/ section 3.1.2.
    """
    headers = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", _REMEMBERED_S),
        (b"vary", _VARY_PREFLIGHT),
        (b"content-length", b"0"),
    ]
    if wanted and len(wanted) <= _HEADERS_LIMIT_BYTES:
        headers.append((b"access-control-allow-headers", wanted))
    if is_private_network:
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers


def _checked_origin(entry: str, origin: str) -> str:
    text = entry.strip().rstrip("/").lower()
    if text == "null" or _is_origin(text):
        # Browsers leave out the port that a scheme has anyway.
        return text.removesuffix(":443") if text.startswith("https:") else text.removesuffix(":80")
    raise ConfigError(
        f"cors holds {entry!r} (from {origin}), which is no origin of a web page.",
        setting="cors",
        value=entry,
        origin=origin,
        hint="An origin looks like https://app.example or http://localhost:3000; true lets every page ask.",
    )


def _is_origin(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or any(character in text for character in " *@"):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.scheme and parts.hostname and parts.port != 0 and text == f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return False
