"""The shape of an error on `/api/v1`, in a reply's body and in a stream's `error` event.

Source: LM Studio REST reference (types), replies of 0.4.25 in public issue threads (codes).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from roci.wire.reply_writer import Failure

# Codes that are types of their own; all others are told by the status.
_OWN_TYPES: Final = frozenset(
    {"model_not_found", "job_not_found", "not_implemented", "mcp_connection_error", "plugin_connection_error"}
)
# What the engine path calls by OpenAI's names.
_OWN_NAMES: Final = {"messages": "input", "max_tokens": "max_output_tokens"}


class NativeErrorFacts(Struct, omit_defaults=True):
    type: str
    """`invalid_request`, `model_not_found`, `internal_error` and so on: LM Studio's list."""
    message: str
    code: str | None = None
    param: str | None = None
    """The path of the field at fault."""


class NativeErrorBody(Struct):
    """Every error of `/api/v1`. Numbers for programs, such as `limit_tokens`, stand beside the message."""

    error: NativeErrorFacts


def native_error_body(failure: Failure) -> bytes:
    """The JSON body `{"error": {type, message, code, param}}`, with the failure's facts beside the message."""
    return msgspec.json.encode({"error": native_error(failure)})


def native_error(failure: Failure) -> dict[str, Any]:
    """What stands under `error`; `code` and `param` are left out where there is none."""
    error: dict[str, Any] = {"type": _error_type(failure), "message": failure.message}
    if failure.code is not None:
        error["code"] = failure.code
    if failure.param is not None:
        error["param"] = _OWN_NAMES.get(failure.param, failure.param)
    return error | {name: value for name, value in failure.facts.items() if name not in error}


def _error_type(failure: Failure) -> str:
    if failure.code in _OWN_TYPES:
        return failure.code
    return "invalid_request" if failure.status < 500 else "internal_error"
