"""The gateway over `fast_worker.py` in place of the engine: `python -m bench.fast_gateway HOME`."""

from __future__ import annotations

import sys
from pathlib import Path

from roci.server.serving import Serving
from roci.server.settings import ServerSettings

WORKER_COMMAND = (sys.executable, "-m", "bench.fast_worker")


def main() -> None:
    with Serving(ServerSettings(port=0), Path(sys.argv[1]), worker_command=WORKER_COMMAND) as serving:
        serving.run()


if __name__ == "__main__":
    main()
