"""Error replies -> our exceptions. The class follows status and code; where a server gives text only, `TEXTS` decides.

Every pattern in `TEXTS` has a recorded sample in `tests/samples/errors/`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from time import time
from typing import Any, Final, Literal, NamedTuple

import msgspec

from roci.errors import (
    AccessDeniedError,
    BadRequestError,
    ContextTooLongError,
    ModelNotFoundError,
    NoModelLoadedError,
    ReplyError,
    ServerBusyError,
    ServerFailedError,
    WrongEndpointError,
)

Kind = Literal["context", "model", "none_loaded", "endpoint"]

_BODY_LIMIT = 10_000
_FLAGS: Final = {"true": True, "false": False}


class TextPattern(NamedTuple):
    """A server's words that stand for an error which it gives no code for."""

    kind: Kind
    pattern: str
    """Letter case does not count; groups named `given` and `limit` are token counts. Compiled when first needed."""

    def search(self, message: str) -> re.Match[str] | None:
        return re.search(self.pattern, message, re.IGNORECASE | re.DOTALL)


TEXTS: Final = (
    # llama.cpp's server
    TextPattern("context", r"request \((?P<given>\d+) tokens\) exceeds the available context size \((?P<limit>\d+)"),
    TextPattern("context", r"context size has been exceeded"),
    TextPattern("context", r"request exceeds the available context size"),
    # llama-cpp-python
    TextPattern("context", r"requested tokens \((?P<given>\d+)\) exceed context window of (?P<limit>\d+)"),
    TextPattern("context", r"input \((?P<given>\d+) tokens\) is too large to process.*batch size: (?P<limit>\d+)"),
    TextPattern("context", r"input \((?P<given>\d+) tokens\) is larger than .*\((?P<limit>\d+)"),
    # Ollama
    TextPattern("model", r"model ['\"][^'\"]+['\"] not found"),
    TextPattern("context", r"prompt too long; exceeded (?:max )?context length"),
    TextPattern("context", r"input length exceeds the (?:maximum )?context length"),
    # OpenAI and vLLM
    TextPattern(
        "context",
        r"maximum context length is (?P<limit>\d+) tokens"
        r"(?:.*?(?:requested|resulted in|has|contains) (?P<given>\d+))?",
    ),
    # vLLM
    TextPattern(
        "context", r"prompt \(length (?P<given>\d+)\) is longer than the maximum model length of (?P<limit>\d+)"
    ),
    # SGLang
    TextPattern(
        "context",
        r"input \((?P<given>\d+) tokens\) is longer than the model's context length \((?P<limit>\d+) tokens\)",
    ),
    # TGI
    TextPattern(
        "context", r"`inputs` tokens \+ `max_new_tokens` must be <= (?P<limit>\d+)\. Given: (?P<given>\d+) `inputs`"
    ),
    # Anthropic, and gateways before it
    TextPattern("context", r"prompt is too long: (?P<given>\d+) tokens > (?P<limit>\d+) maximum"),
    # vLLM
    TextPattern("model", r"the model [`'\"][^`'\"]+[`'\"] does not exist"),
)


class WireError(msgspec.Struct):
    """The object under `error`, in any dialect."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
    n_prompt_tokens: int | None = None  # llama.cpp
    n_ctx: int | None = None  # llama.cpp
    limit_tokens: int | None = None  # roci
    given_tokens: int | None = None  # roci


class _Envelope(msgspec.Struct):
    error: WireError | str | None = None
    message: str | None = None  # vLLM of old puts the error's fields at the top
    detail: Any = None  # FastAPI


def read_error(body: bytes) -> WireError | None:
    """The error that a reply's body carries, whatever its shape; None where it carries none."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    error = envelope.error
    if isinstance(error, str):
        return WireError(message=error)
    if error is not None:
        return error
    if envelope.message is not None:
        return msgspec.json.decode(body, type=WireError)
    if envelope.detail is not None:
        return WireError(message=str(envelope.detail))
    return None


def reply_error(
    error: WireError,
    *,
    status: int,
    path: str,
    model: str = "",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    texts: tuple[TextPattern, ...] = TEXTS,
) -> ReplyError:
    """The exception that `error` means, with all its facts. `status` is 200 for an error inside a success."""
    found = _error_of(error, status, path, model, body, headers, texts)
    found.should_retry = _FLAGS.get((headers or {}).get("x-should-retry", "").lower())
    return found


def _error_of(
    error: WireError,
    status: int,
    path: str,
    model: str,
    body: bytes,
    headers: Mapping[str, str] | None,
    texts: tuple[TextPattern, ...],
) -> ReplyError:
    message = (error.message or "").strip() or f"The server answered {status} without a word."
    code = None if error.code is None or isinstance(error.code, int) else error.code
    facts: dict[str, Any] = {
        "status": status,
        "code": code or error.type,
        "param": error.param,
        "body": body[:_BODY_LIMIT].decode("utf-8", "replace"),
    }
    names = {code, error.type}
    match = next(((entry.kind, found) for entry in texts if (found := entry.search(message))), None)
    kind = match[0] if match else None
    if names & {"context_length_exceeded", "exceed_context_size_error"} or kind == "context":
        return _context_error(error, message, match[1] if match and kind == "context" else None, facts)
    if status in (401, 403) or "invalid_api_key" in names or "authentication_error" in names:
        return AccessDeniedError(
            f"The server is alive and refuses the token: {message}",
            hint="Set LM_API_TOKEN or pass token=… for LM Studio, OPENAI_API_KEY or api_key=… for another server.",
            **facts,
        )
    if names & {"model_not_found", "model_not_found_error"} or kind == "model":
        return ModelNotFoundError(message, key=model, **facts)
    if kind == "none_loaded":
        return NoModelLoadedError(
            message, hint="Load one in LM Studio or with `lms load`, or switch just-in-time loading on.", **facts
        )
    if 300 <= status < 400:
        return _redirected(path, (headers or {}).get("location", ""), facts)
    if kind == "endpoint" or (status in (404, 405) and error.param != "model"):
        return _wrong_endpoint(path, message, facts)
    if status in (429, 503):
        return ServerBusyError(message, retry_after_s=retry_after_s(headers), **facts)
    if 400 <= status < 500:
        return BadRequestError(message, **facts)
    return ServerFailedError(message, **facts)


def retry_after_s(headers: Mapping[str, str] | None) -> float | None:
    """`Retry-After` in seconds from now; None where it is missing or neither a number nor a date."""
    text = (headers or {}).get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        from email.utils import parsedate_to_datetime  # slow to import, and seldom needed

        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _context_error(
    error: WireError, message: str, found: re.Match[str] | None, facts: dict[str, Any]
) -> ContextTooLongError:
    groups = found.groupdict() if found else {}
    limit, given = error.limit_tokens or error.n_ctx, error.given_tokens or error.n_prompt_tokens
    limit = limit or (int(groups["limit"]) if groups.get("limit") else None)
    given = given or (int(groups["given"]) if groups.get("given") else None)
    return ContextTooLongError(
        message,
        limit_tokens=limit,
        given_tokens=given,
        hint="Shorten the conversation, or load the model with a longer context.",
        **facts,
    )


def _redirected(path: str, location: str, facts: dict[str, Any]) -> WrongEndpointError:
    # Not followed: the body and the token would go to an address that nobody named.
    return WrongEndpointError(
        f"The server sends {path} on to {location or 'another address'}.",
        path=path,
        hint="Use the address that answers by itself as the base URL.",
        **facts,
    )


def _wrong_endpoint(path: str, message: str, facts: dict[str, Any]) -> WrongEndpointError:
    return WrongEndpointError(
        f"The server has no {path}: {message}",
        path=path,
        hint="Check the base URL: it is the server's address, with or without /v1.",
        **facts,
    )
