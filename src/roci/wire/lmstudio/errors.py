"""LM Studio's errors that carry no code: its words, each with a recorded sample in `tests/samples/errors/`.

Source: replies of LM Studio 0.3.5 to 0.4.25 in public issue threads.
"""

from __future__ import annotations

from typing import Final

from roci.wire.openai.errors import TEXTS as OPENAI_TEXTS, TextPattern

TEXTS: Final = (
    TextPattern("endpoint", r"^unexpected endpoint or method"),
    TextPattern("none_loaded", r"\bno models? (?:is |are )?(?:currently )?loaded\b"),
    TextPattern("model", r"^invalid model identifier"),
    TextPattern("context", r"keep the first (?P<given>\d+) tokens when.*context length of only (?P<limit>\d+)"),
    TextPattern("context", r"cannot truncate prompt with n_keep \((?P<given>\d+)\) >= n_ctx \((?P<limit>\d+)\)"),
    TextPattern(
        "context",
        r"tokens to keep from the initial prompt is greater than the context length"
        r"(?: \(n_keep: (?P<given>\d+) ?>= ?n_ctx: (?P<limit>\d+)\))?",
    ),
    TextPattern("context", r"reached context length of (?P<limit>\d+) tokens.*mid-generation context overflow"),
    *OPENAI_TEXTS,
)
