"""The gateway process: `roci serve`. Stands on `engine`, `exchange` and `wire`; only `cli` imports it.

`create_app` makes the application, `serving.serve` runs it. Settings and tokens need no gateway to be installed, so the
application is imported when it is first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roci.server.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from roci.server.app import create_app

    return create_app
