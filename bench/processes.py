"""Where measured processes run: which cores, which environment, which directory."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
_SETTINGS = ("ROCI_", "LMSTUDIO_", "LM_", "OPENAI_", "PYTHONPROFILE", "PYTHONIMPORTTIME", "PYTHONDONTWRITEBYTECODE")


def child_environment(**more: str) -> dict[str, str]:
    """The environment without what would change a contestant, and without a proxy between it and this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **more}


def pin_to(role: Literal["client", "server"]) -> None:
    """Keep this process on a core that the other role does not use, where there are two and the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0] if role == "client" else cores[-1]})


def cpu_s() -> float:
    """User and system time of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_s_of(pid: int) -> float:
    """The same of another process, as finely as the system tells."""
    if sys.platform == "linux":
        # The clock that clock_getcpuclockid(3) names: nanoseconds, where /proc counts in hundredths of a second.
        return time.clock_gettime((~pid << 3) | 2)
    import psutil  # not where contestants have an interpreter of their own

    used = psutil.Process(pid).cpu_times()
    return used.user + used.system
