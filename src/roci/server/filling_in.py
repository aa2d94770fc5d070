"""Prompts of a completion that need the model's own tokens: filling in before a suffix, and the text of token ids.

The engine's route for filling in is asked only how the model marks the three parts: it cuts what stands before and
behind the gap to less than a batch, without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from roci.errors import BadRequestError, ServerFailedError
from roci.server.pool.pool import ModelPool, Worker
from roci.server.worker_json import ask_worker_json
from roci.wire.openai.completions_requests import Prompt
from roci.wire.openai.request_faults import invalid

_BEFORE: Final = "BEFORE"
_BEHIND: Final = "BEHIND"


class _Shown(Struct):
    prompt: str


class _Tokens(Struct):
    tokens: list[int]


class _Text(Struct):
    content: str


async def filled_in(pool: ModelPool, worker: Worker, texts: Sequence[str], suffix: str) -> list[list[int]]:
    """For each of `texts`, the tokens that ask the model for what stands between it and `suffix`.

    Raises:
        BadRequestError: the model was not trained for it.
    """
    shape = {"input_prefix": _BEFORE, "input_suffix": _BEHIND, "n_predict": 1, "stream": False}
    try:
        shown = (await ask_worker_json(pool, worker, "/infill", shape, _Shown)).prompt
    except BadRequestError as error:
        raise invalid(
            "suffix needs a model that was trained to fill in; this one has no tokens for it.",
            "suffix",
            code="suffix_not_supported",
        ) from error
    head, found, rest = shown.partition(_BEFORE)
    middle, also_found, tail = rest.partition(_BEHIND)
    if not found or not also_found:
        raise ServerFailedError("The engine does not tell how this model fills in.")
    marks = [await _tokens(pool, worker, mark, is_mark=True) for mark in (head, middle, tail)]
    behind = await _tokens(pool, worker, suffix)
    return [[*marks[0], *await _tokens(pool, worker, text), *marks[1], *behind, *marks[2]] for text in texts]


async def prompt_text(pool: ModelPool, worker: Worker, prompt: Prompt) -> str:
    """The text of a prompt, of whatever it is made."""
    if isinstance(prompt, str):
        return prompt
    pieces: list[str] = []
    ids: list[int] = []
    for item in (*prompt, ""):
        if isinstance(item, int):
            ids.append(item)
            continue
        if ids:
            pieces.append((await ask_worker_json(pool, worker, "/detokenize", {"tokens": ids}, _Text)).content)
            ids = []
        pieces.append(item)
    return "".join(pieces)


async def _tokens(pool: ModelPool, worker: Worker, text: str, *, is_mark: bool = False) -> list[int]:
    """The tokens of `text`, in which `<…>` is the model's own mark only where it `is_mark`."""
    body = {"content": text, "add_special": False, "parse_special": is_mark}
    return (await ask_worker_json(pool, worker, "/tokenize", body, _Tokens)).tokens
