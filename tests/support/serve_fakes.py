"""`roci serve` with fake workers, as a process: `python -m tests.support.serve_fakes HOME`. Ctrl-C ends it."""

from __future__ import annotations

import sys
from pathlib import Path

from roci.server.serving import Serving
from roci.server.settings import ServerSettings
from tests.support.workers import FAKE_WORKER

with Serving(
    ServerSettings(port=0, parallel=2, max_loaded=3, verbose=True), Path(sys.argv[1]), worker_command=FAKE_WORKER
) as serving:
    serving.run()
