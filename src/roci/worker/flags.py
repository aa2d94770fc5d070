"""The command line of `python -m roci.worker`."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

KV_TYPES = ("f16", "f32", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
POOLING = ("none", "mean", "cls", "last", "rank")


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
    mlock: bool
    mmap: bool | None
    flash_attention: bool | None
    kv_type: str | None
    kv_in_ram: bool
    rope_base: float | None
    rope_scale: float | None
    draft: Path | None
    ngram: bool
    seed: int | None
    chat_template: Path | None
    projector: Path | None
    embedding: bool
    pooling: str | None
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
    _add_memory_flags(parser)
    _add_model_flags(parser)
    add(
        "--parent",
        type=_positive,
        default=os.getppid(),
        metavar="PID",
        help="end as soon as this is no longer the parent (default: the parent at the start)",
    )
    return parser


def _add_memory_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--mlock", action="store_true", help="keep the weights from being swapped out; fails where that is forbidden")
    add("--mmap", type=_switch, metavar="on|off", help="map the file, or read it (default: as the engine finds best)")
    add(
        "--flash-attention",
        type=_switch,
        metavar="on|off",
        help="default: where the engine finds it of use; a quantized --kv-type needs it",
    )
    add("--kv-type", choices=KV_TYPES, metavar="TYPE", help=f"how keys and values are kept: {', '.join(KV_TYPES)}")
    add("--kv-in-ram", action="store_true", help="keep keys and values in the machine's memory, not on the GPU")


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--rope-base", type=_above_zero, metavar="X", help="RoPE's base frequency (default: the model's own)")
    add("--rope-scale", type=_above_zero, metavar="X", help="RoPE's frequency scale (default: the model's own)")
    add("--draft", type=Path, metavar="PATH", help="a small model of the same vocabulary that proposes tokens")
    add("--ngram", action="store_true", help="propose tokens out of the text so far")
    add("--seed", type=_seed, metavar="N", help="for requests without one (default: another each time)")
    add("--chat-template", type=Path, metavar="PATH", help="a file with a Jinja template instead of the model's own")
    add("--projector", type=Path, metavar="PATH", help="the file that turns images into tokens (mmproj)")
    add("--embedding", action="store_true", help="turn text into vectors")
    add("--pooling", choices=POOLING, metavar="HOW", help=f"how a text becomes one vector: {', '.join(POOLING)}")


def _socket(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".sock":  # llama.cpp takes any other ending for a host's name
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .sock")
    return path


def _positive(text: str) -> int:
    return _at_least(1, text)


def _seed(text: str) -> int:
    return _between(0, 2**32, text)


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return text == "on"


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


def _layers(text: str) -> int:
    return _at_least(-1, text)


def _at_least(least: int, text: str) -> int:
    return _between(least, 2**31, text)


def _between(least: int, end: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not least <= number < end:
        raise argparse.ArgumentTypeError(f"{number} is not from {least} to {end - 1}")
    return number
