"""The command line of `python -m roci.worker`."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class WorkerFlags:
    """What a worker is told; the help text says what each means."""

    model: Path
    alias: str
    socket: Path
    context: int
    parallel: int
    threads: int
    batch: int | None
    gpu_layers: int
    embedding: bool
    parent: int


def read_flags(arguments: list[str]) -> WorkerFlags:
    """Leaves the process with status 2 and a usage line where `arguments` make no sense."""
    return WorkerFlags(**vars(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m roci.worker",
        description="Serve one model on a Unix socket. Prints one line of JSON when it can answer; "
        "ends when its standard input is closed or its parent is gone.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="PATH", help="the GGUF file to load")
    add("--alias", required=True, metavar="KEY", help="the name that replies carry as `model`")
    add(
        "--socket",
        type=_socket,
        required=True,
        metavar="PATH",
        help="where to listen; ends in .sock; its folder is removed with it if nothing else is in there",
    )
    add(
        "--context",
        type=_positive,
        default=4096,
        metavar="N",
        help="tokens that one slot can hold, prompt and answer together (default %(default)s)",
    )
    add(
        "--parallel",
        type=_positive,
        default=1,
        metavar="N",
        help="slots: requests answered at once, each with a context of its own (default %(default)s)",
    )
    add(
        "--threads",
        type=_positive,
        default=max(1, (os.cpu_count() or 2) - 1),
        metavar="N",
        help="threads that compute (default: cores minus one, here %(default)s)",
    )
    add(
        "--batch",
        type=_positive,
        metavar="N",
        help="prompt tokens computed in one step: the pause that a long prompt causes its neighbours, and the time "
        "that a client who leaves is still worked for (default: 64 on a CPU, 512 with a GPU)",
    )
    add(
        "--gpu-layers",
        type=_layers,
        default=-1,
        metavar="N",
        help="layers to place on a GPU, 0 for none, -1 for all (default %(default)s)",
    )
    add("--embedding", action="store_true", help="the model turns text into vectors instead of more text")
    add(
        "--parent",
        type=_positive,
        default=os.getppid(),
        metavar="PID",
        help="end as soon as this is no longer the parent (default: the parent at the start)",
    )
    return parser


def _socket(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".sock":  # llama.cpp takes any other ending for a host's name
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .sock")
    return path


def _positive(text: str) -> int:
    return _at_least(1, text)


def _layers(text: str) -> int:
    return _at_least(-1, text)


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not least <= number < 2**31:
        raise argparse.ArgumentTypeError(f"{number} is not {least} or more")
    return number
