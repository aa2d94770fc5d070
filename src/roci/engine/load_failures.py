"""Why a model did not load, read from the worker's log: llama.cpp gives only words.

What the engine could be made to say here has a recorded sample in `tests/samples/llama_cpp/`; the other wordings are
those of its source.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from roci.errors import BadModelFileError, LoadFailedError, NotEnoughMemoryError

FILE_PATTERNS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"unknown model architecture: '(?P<name>[^']*)'",
        "unknown_architecture",
        "has the architecture {name!r}, which this version of llama.cpp does not know",
    ),
    (r"data is not within the file bounds", "truncated", "is cut short"),
    (r"failed to read key-value pairs|failed to read tensor info", "truncated", "is cut short in its header"),
    (r"failed to open GGUF file .*\(No such file", "missing", "does not exist"),
    (r"invalid magic characters", "not_gguf", "is not a GGUF model"),
    (
        r"tensor '(?P<name>[^']*)' not found",
        "damaged",
        "lacks the tensor {name}, which its architecture needs",
    ),
    (
        r"tensor '(?P<name>[^']*)' has wrong shape",
        "damaged",
        "holds the tensor {name} in a shape that its architecture cannot have",
    ),
    (r"key not found in model: (?P<name>\S+)", "damaged", "lacks the setting {name} in its header"),
)
"""Pattern, `BadModelFileError.reason`, and what is said of the file."""

OPTION_PATTERNS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"target and draft vocabs are not compatible|draft model vocab type must match|draft model .*vocab",
        "cannot be drafted for by that model: its vocabulary is another",
        "Take a draft model of the same family.",
    ),
    (
        r"The engine cannot speculate with this model",
        "cannot be used with speculation",
        "Leave draft_model and speculation out.",
    ),
    (
        r"The system does not allow to lock|failed to mlock",
        "cannot be locked in memory: the system does not allow it",
        "Raise the limit (ulimit -l unlimited), or leave use_mlock out.",
    ),
    (
        r"chat template parsing error|failed to initialize chat template",
        "has a chat template that is not valid Jinja, or uses what the engine does not know",
        "Give another one as chat_template.",
    ),
    (
        r"failed to load multimodal model|Failed to load CLIP model",
        "has a projector (mmproj) that the engine cannot load",
        "Take the projector that was published with this model.",
    ),
    (
        r"quantized V cache requires flash_attn|V cache quantization requires flash_attn",
        "cannot have a quantized KV cache without flash attention",
        "Take kv_cache_type f16, or leave flash_attention out.",
    ),
)
"""Pattern, what is said of the model, and what to do."""

FILE_HINTS: Final = {
    "unknown_architecture": "Update the engine (pip install -U xllamacpp), or take another model.",
    "missing": "See which models are there: roci models",
}
DOWNLOAD_AGAIN: Final = "Delete it and download it again."
MEMORY_PATTERN: Final = re.compile(
    r"failed to allocate|unable to allocate|insufficient memory|cannot allocate memory|out of memory|bad_alloc",
    re.IGNORECASE,
)
ERROR_LINE: Final = re.compile(r"^[\d.]+ E \s*(?P<text>.*)$")


def load_failure(
    key: str,
    path: Path,
    exit_code: int,
    log_tail: tuple[str, ...],
    *,
    needed_bytes: int | None = None,
    free_bytes: int | None = None,
) -> LoadFailedError:
    """The error for a worker that ended with `exit_code` before it was ready."""
    for pattern, words, hint in OPTION_PATTERNS:
        if _first_match(pattern, log_tail):
            return LoadFailedError(f"The model {key} {words}.", key=key, log_tail=log_tail, hint=hint)
    for pattern, reason, words in FILE_PATTERNS:
        match = _first_match(pattern, log_tail)
        if match:
            return BadModelFileError(
                f"The model file {path} {words.format(**match.groupdict())}.",
                path=str(path),
                reason=reason,
                key=key,
                log_tail=log_tail,
                hint=FILE_HINTS.get(reason, DOWNLOAD_AGAIN),
            )
    killed = exit_code == -signal.SIGKILL
    if killed or any(MEMORY_PATTERN.search(line) for line in log_tail):
        how = "was killed while it loaded, as happens when memory runs out" if killed else "found too little memory"
        return NotEnoughMemoryError(
            f"The worker for {key} {how}.",
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
            key=key,
            log_tail=log_tail,
            hint="Ask for a shorter context or fewer slots, unload other models, or take a smaller model.",
        )
    return LoadFailedError(
        f"The model {key} could not be loaded ({how_it_ended(exit_code)}): {_reason(log_tail)}",
        key=key,
        log_tail=log_tail,
        hint="The worker's last log lines are in .log_tail of this error.",
    )


def how_it_ended(exit_code: int) -> str:
    """`status 1`, or `signal SIGSEGV`."""
    if exit_code >= 0:
        return f"status {exit_code}"
    try:
        return f"signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"signal {-exit_code}"


def _first_match(pattern: str, lines: Iterable[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := re.search(pattern, line))), None)


def _reason(log_tail: tuple[str, ...]) -> str:
    """llama.cpp's first error line says most; what ends a Python process is in its last line."""
    errors = [match["text"] for line in log_tail if (match := ERROR_LINE.match(line))]
    if errors:
        return errors[0]
    return log_tail[-1] if log_tail else "it left no word"
