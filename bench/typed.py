"""CPU time of answers in a type of the user's and of rounds with a tool: the floor, roci, and three other clients."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from typing import Final, Literal

import msgspec

from bench.canned_server import canned_server
from bench.figures import Ratio, Series, add_to, rounds
from bench.plots import Bar, Group, Plot
from bench.processes import ROOT, child_environment
from bench.report import Table

Operation = Literal["object", "tools"]

MODES: Final = ("sync", "async")
TURN_LIMIT_S: Final = 300.0
_COLUMNS: Final = ("mode", "with", "µs of CPU", "÷ floor", "÷ roci")
_NOT_THERE: Final = "not there: `make clients` fetches it"


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes a turn."""

    name: str
    label: str
    operations: tuple[Operation, ...] = ("object", "tools")
    environment: str = ""
    """Under `.venv`, where it has one of its own."""
    packages: tuple[str, ...] = ()
    """Whose versions are told, where it has an environment of its own."""
    kind: Literal["floor", "ours", "peer"] = "peer"

    def interpreter(self) -> str | None:
        """None where its environment was not made."""
        if not self.environment:
            return sys.executable
        python = ROOT / ".venv" / self.environment / "bin" / "python"
        return str(python) if python.is_file() else None

    def versions(self) -> str:
        """Of what its own environment holds; empty where there is none."""
        library = Path(ROOT, ".venv", self.environment, "lib")
        paths = [str(path) for path in library.glob("python3*/site-packages")] if self.environment else []
        found = {each.name: each.version for each in distributions(path=paths)} if paths else {}
        return " on ".join(f"{name} {found[name]}" for name in self.packages if name in found)


CONTESTANTS: Final = (
    Contestant(name="floor", label="floor", kind="floor"),
    Contestant(name="roci", label="roci", kind="ours"),
    Contestant(name="roci_struct", label="roci, Struct", operations=("object",), kind="ours"),
    Contestant(name="openai", label="openai"),
    Contestant(
        name="instructor",
        label="instructor",
        operations=("object",),
        environment="instructor",
        packages=("instructor", "openai"),
    ),
    Contestant(
        name="pydantic_ai",
        label="pydantic-ai",
        environment="clients",
        packages=("pydantic-ai-slim", "openai"),
    ),
)


class TypedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured in one turn."""

    calls: int = 250
    warm_calls: int = 20
    """Before time is taken."""


def measure(plan: TypedPlan, count: int) -> Series:
    """Microseconds by `mode/contestant/operation`, one number a round; nothing of who is not there."""
    series: Series = {}
    with canned_server() as url:
        for _ in rounds(count, limit_s=0.0, least=count):
            for mode in MODES:
                for contestant in CONTESTANTS:
                    python = contestant.interpreter()
                    if python is not None:
                        add_to(series, _turn(contestant, python, mode, url, plan), f"{mode}/{contestant.name}/")
    return series


def tables(series: Series, plan: TypedPlan) -> list[Table]:
    """One an operation, each with its plot."""
    count = len(series["sync/floor/object"])
    versions = "; ".join(told for told in (each.versions() for each in CONTESTANTS) if told)
    how = (
        "User and system time of the client's process, all its threads, for each call, in turns; the server is another "
        f"process on another core and sends all of them the same bytes. {count} rounds of {plan.calls} calls one after "
        f"the other, after {plan.warm_calls} that are not counted, which build what is kept; all check what came. A "
        "ratio is the median of the rounds', with the lowest and the highest behind it. "
        f"In environments of their own: {versions or 'nobody'}."
    )
    return [
        _table(
            series,
            "object",
            "An answer in a type of the user's",
            f"{how} The type has four fields, one of them a list of objects, and the request carries its schema. The "
            "floor is httpx2 with a schema written by hand and a msgspec Struct; others read into a pydantic model: "
            "roci's `generate_object`, which takes a Struct too, openai's `parse`, instructor's `JSON_SCHEMA` mode, "
            "pydantic-ai's `NativeOutput`.",
        ),
        _table(
            series,
            "tools",
            "A tool call and the answer after it",
            f"{how} A call here is two requests: the model calls a function with two arguments, its result goes back, "
            "the model answers. Floor and openai have the loop and the tool's schema written by hand; roci's "
            "`generate_text` and pydantic-ai's `Agent` run it, check the arguments against the function's hints, and "
            "run a function that is not async in a thread. instructor runs no tools.",
        ),
    ]


def _table(series: Series, operation: Operation, title: str, how: str) -> Table:
    does = [each for each in CONTESTANTS if operation in each.operations]
    return Table(
        title=title,
        how=how,
        columns=_COLUMNS,
        rows=tuple(_row(series, operation, mode, each) for mode in MODES for each in does),
        plot=Plot(
            file_name=f"benchmarks-{operation}.svg",
            title=f"{title}: µs of CPU for each call",
            groups=tuple(
                Group(heading=mode, bars=tuple(_bar(series, operation, mode, each) for each in does)) for mode in MODES
            ),
        ),
    )


def _row(series: Series, operation: Operation, mode: str, contestant: Contestant) -> tuple[str, ...]:
    times = series.get(f"{mode}/{contestant.name}/{operation}")
    if times is None:
        return (mode, contestant.label, _NOT_THERE, "", "")
    to_floor, to_roci = (str(Ratio(times, series[f"{mode}/{name}/{operation}"])) for name in ("floor", "roci"))
    return (mode, contestant.label, f"{median(times):.0f}", to_floor, to_roci)


def _bar(series: Series, operation: Operation, mode: str, contestant: Contestant) -> Bar:
    times = series.get(f"{mode}/{contestant.name}/{operation}")
    if times is None:
        return Bar(label=contestant.label, value=0.0, note="not there", kind=contestant.kind)
    ratio = Ratio(times, series[f"{mode}/floor/{operation}"]).median
    note = f"{median(times):,.0f} µs, {ratio:.1f} times the floor"
    return Bar(label=contestant.label, value=median(times), note=note, kind=contestant.kind)


def _turn(contestant: Contestant, python: str, mode: str, url: str, plan: TypedPlan) -> dict[str, float]:
    counts = (str(plan.calls), str(plan.warm_calls))
    process = subprocess.run(
        [python, "-m", "bench.typed_child", contestant.name, mode, url, *counts, *contestant.operations],
        check=True,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=child_environment(),
        timeout=TURN_LIMIT_S,
    )
    return msgspec.json.decode(process.stdout, type=dict[str, float])
