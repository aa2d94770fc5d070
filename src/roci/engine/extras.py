"""What only the `server` extra brings: the gateway and the embedded engine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from roci.errors import UnsupportedError

INSTALL: Final = "pip install 'roci-ai[server]'"
ENGINE_PACKAGE: Final = "xllamacpp"
GATEWAY_PACKAGES: Final = ("litestar", "uvicorn", "uvloop", "httptools")


def has_engine() -> bool:
    return find_spec(ENGINE_PACKAGE) is not None


def need_engine() -> None:
    """Raise unless the embedded engine is installed.

    Raises:
        UnsupportedError: it is not.
    """
    if not has_engine():
        raise UnsupportedError(
            f"The embedded engine ({ENGINE_PACKAGE}) is not installed, so that no model can run on this machine.",
            capability="local",
            hint=f"Install it with: {INSTALL}",
        )


def need_gateway() -> None:
    """Raise unless everything that `roci serve` stands on is installed.

    Raises:
        UnsupportedError: something is not.
    """
    missing = [package for package in (*GATEWAY_PACKAGES, ENGINE_PACKAGE) if find_spec(package) is None]
    if missing:
        raise UnsupportedError(
            f"`roci serve` needs packages that are not installed: {', '.join(missing)}.",
            capability="serve",
            hint=f"Install them with: {INSTALL}",
        )
