"""How many threads a worker may compute with."""

from __future__ import annotations

import math
import os

from roci.engine import cgroup


def default_threads() -> int:
    """The cores that this process may use, minus one for the gateway and its clients; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup.cores()
    usable = affinity if quota is None else min(affinity, math.ceil(quota))
    return max(1, usable - 1)
