"""The gateway process: `roci serve`. Stands on `engine`, `exchange` and `wire`; only `cli` imports it.

`create_app` makes the application, `serving.serve` runs it.
"""

from __future__ import annotations

from roci.server.app import create_app

__all__ = ["create_app"]
