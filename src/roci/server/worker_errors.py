"""What a worker's refusals and error events mean: the engine's JSON -> roci's errors.

Source: llama.cpp's server, by trying; the tests' samples hold its words.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from roci.errors import BadRequestError, ContextTooLongError, RociError, ServerFailedError


class _EngineError(Struct):
    message: str = ""
    type: str = ""
    code: int | str | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class _EngineReply(Struct):
    error: _EngineError


_FIELD = re.compile(r"Field '(\w+)'")
# What the engine tells as failures of its own, though the request is at fault.
_INPUT_TOO_LONG = re.compile(
    r"input \((\d+) tokens\) is (?:too large to process.*\(current batch size: |larger than .*\()(\d+)"
)
_SHORTER = {
    "messages": "Send less of the conversation, or let the server load models with a longer context.",
    "input": "Split the text; a model of vectors takes no more at once.",
}
_TEMPLATE = re.compile(r"template|jinja|minja", re.IGNORECASE)


def worker_error(body: bytes, status: int | None = None) -> RociError:
    """The error that `body` tells of.

    Args:
        status: the reply's; None for an error in mid-stream, which carries its status inside.
    """
    try:
        told = msgspec.json.decode(body, type=_EngineReply).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ServerFailedError(
            f"The model's process answered with status {status} and no reason.",
            body=body[:10_000].decode("utf-8", "replace"),
        )
    if status is None:
        status = told.code if isinstance(told.code, int) else 500
    if told.type == "exceed_context_size_error":
        return _too_long(told)
    too_long = _INPUT_TOO_LONG.search(told.message)
    if too_long is not None:
        return _too_long(_EngineError(n_prompt_tokens=int(too_long[1]), n_ctx=int(too_long[2])), "input")
    if status == 500 and _TEMPLATE.search(told.message):
        return BadRequestError(
            f"The model's chat template refuses these messages: {told.message}",
            status=400,
            code="template_refused",
            param="messages",
            hint="Many templates want user and assistant in turns, and a system message only at the beginning.",
        )
    if 400 <= status < 500 or status == 501:
        field = _FIELD.search(told.message)
        return BadRequestError(
            told.message, status=400, code=told.type or None, param=field[1] if field is not None else None
        )
    return ServerFailedError(f"The engine failed: {told.message}", status=500)


def _too_long(told: _EngineError, param: str = "messages") -> ContextTooLongError:
    given, limit = told.n_prompt_tokens, told.n_ctx
    return ContextTooLongError(
        # With OpenAI's own words in it, by which agents know that they have to shorten a conversation.
        f"This model's maximum context length is {limit} tokens. However, your {param} resulted in {given} tokens.",
        given_tokens=given,
        limit_tokens=limit,
        status=400,
        code="context_length_exceeded",
        param=param,
        hint=_SHORTER[param],
    )
