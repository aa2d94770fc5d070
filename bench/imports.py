"""What it costs to start: wall time and peak memory of whole Python processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench.canned_server import MODEL, canned_server
from bench.figures import Ratio, Series, add_to, less, rounds
from bench.processes import ROOT, child_environment
from bench.report import Table, at_most, verdict

BUDGET: Final = 1.3
PROCESS_LIMIT_S: Final = 60.0
BARE: Final = "Python alone"
FLOOR: Final = "httpx2 and msgspec"
NAMES: Final = "roci and its main names"
OPENAI: Final = "openai"
IMPORTS: Final = {
    BARE: "pass",
    "roci": "import roci",
    FLOOR: "import httpx2, msgspec",
    NAMES: "from roci import (generate_text, stream_text, LmStudioProvider, ModelMessage, GenerationSettings, "
    "RociConfig)",
    OPENAI: "import openai",
}
CALLS: Final = {
    FLOOR: f"""
import httpx2, msgspec
class Message(msgspec.Struct):
    content: str
class Choice(msgspec.Struct):
    message: Message
class Reply(msgspec.Struct):
    choices: list[Choice]
body = {{"model": "{MODEL}", "messages": [{{"role": "user", "content": "hello"}}]}}
with httpx2.Client() as client:
    reply = client.post(URL + "/v1/chat/completions", json=body)
assert msgspec.json.decode(reply.content, type=Reply).choices[0].message.content
""",
    "roci": f"""
from roci import LmStudioProvider, generate_text
with LmStudioProvider("{MODEL}", base_url=URL) as model:
    assert generate_text(model, "hello").text
""",
    OPENAI: f"""
from openai import OpenAI
with OpenAI(base_url=URL + "/v1", api_key="x") as client:
    reply = client.chat.completions.create(model="{MODEL}", messages=[{{"role": "user", "content": "hello"}}])
assert reply.choices[0].message.content
""",
}
# The kernel's mark for this program alone: what getrusage tells may still be its parent's.
_PEAK: Final = """
try:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
_VERSION: Final = "roci --version"


class Run(msgspec.Struct, frozen=True):
    wall_ms: float
    peak_mb: float


def measure(count: int, limit_s: float) -> Series:
    """Milliseconds and megabytes by `import/…`, `call/…` and `roci --version`; one number a round."""
    series: Series = {}
    with canned_server() as url:
        programs = {f"import/{name}": code for name, code in IMPORTS.items()}
        programs |= {f"call/{name}": f'URL = "{url}"\n{code}' for name, code in CALLS.items()}
        for code in programs.values():
            _run_code(code)  # the first run may still write byte code
        _version_ms()
        for _ in rounds(count, limit_s):
            for name, code in programs.items():
                run = _run_code(code)
                add_to(series, {"ms": run.wall_ms, "mb": run.peak_mb}, f"{name}/")
            add_to(series, {_VERSION: _version_ms()})
    return series


def tables(series: Series) -> list[Table]:
    return [_import_table(series), _call_table(series), _version_table(series)]


def _import_table(series: Series) -> Table:
    bare, floor = series[f"import/{BARE}/ms"], series[f"import/{FLOOR}/ms"]
    rows: list[tuple[str, ...]] = []
    for name in IMPORTS:
        times = series[f"import/{name}/ms"]
        own = Ratio(less(times, bare), less(floor, bare))
        memory = median(series[f"import/{name}/mb"])
        judged = (f"≤ {BUDGET}", at_most(BUDGET, own.by_round)) if name == NAMES else ("", "")
        rows.append((name, f"{median(times):.0f}", str(own) if name != BARE else "", f"{memory:.1f}", *judged))
    return Table(
        title="Importing",
        columns=("import", "ms", "own time ÷ httpx2 and msgspec's", "peak MB", "budget", ""),
        rows=tuple(rows),
        how="Wall time and peak resident memory of `python -c`, with byte code already written, in turns, "
        f"{len(bare)} rounds. A module's "
        "own time is what it takes beyond Python alone in the same round. Main names: `generate_text`, `stream_text`, "
        "`LmStudioProvider`, `ModelMessage`, `GenerationSettings`, `RociConfig`.",
    )


def _call_table(series: Series) -> Table:
    floor_ms, floor_mb = series[f"call/{FLOOR}/ms"], series[f"call/{FLOOR}/mb"]
    rows: list[tuple[str, ...]] = []
    for name in CALLS:
        times, peaks = series[f"call/{name}/ms"], series[f"call/{name}/mb"]
        memory = Ratio(peaks, floor_mb)
        judged = (f"≤ {BUDGET}", at_most(BUDGET, memory.by_round)) if name == "roci" else ("", "")
        speed = str(Ratio(times, floor_ms))
        rows.append((name, f"{median(times):.0f}", speed, f"{median(peaks):.1f}", str(memory), *judged))
    return Table(
        title="A small script that makes one call",
        columns=("with", "ms", "time ÷ floor", "peak MB", "memory ÷ floor", "budget (memory)", ""),
        rows=tuple(rows),
        how="Whole processes from start to exit: import, one plain chat call to the canned server, close.",
    )


def _version_table(series: Series) -> Table:
    bare, ours = median(series[f"import/{BARE}/ms"]), median(series[_VERSION])
    limit = 2 * bare + 60
    row = (f"{bare:.0f}", f"{ours:.0f}", f"≤ {limit:.0f} (twice Python alone, and 60)", verdict(ours <= limit))
    return Table(
        title="`roci --version`",
        columns=("python -c pass, ms", "roci --version, ms", "budget", ""),
        rows=(row,),
        how="Wall time of whole processes, in turns with those above.",
    )


def _run_code(code: str) -> Run:
    wall_ms, output = _timed([sys.executable, "-c", f"{code}\n{_PEAK}"])
    return Run(wall_ms, int(output) / 1024)


def _version_ms() -> float:
    return _timed([str(Path(sys.executable).with_name("roci")), "--version"])[0]


def _timed(command: Sequence[str]) -> tuple[float, str]:
    started = time.perf_counter()
    process = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=child_environment(),
        timeout=PROCESS_LIMIT_S,
    )
    return (time.perf_counter() - started) * 1000, process.stdout
