"""Errors as `/v1/messages` tells them: the kinds of failure -> Anthropic's words for them.

Source: Anthropic API reference, "Errors", and the error types of the `anthropic` package 2.12, read in 2026.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from roci.wire.reply_writer import Failure

_KINDS: Final[dict[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CODES_OF_FULL_HOUSE: Final = ("busy", "queue_full", "shutting_down", "insufficient_memory")


def error_kind(failure: Failure) -> str:
    """Anthropic's word: `invalid_request_error`, `overloaded_error` and so on."""
    known = _KINDS.get(failure.status)
    if known is not None:
        return known
    if failure.status < 500:
        return "invalid_request_error"
    return "overloaded_error" if failure.code in _CODES_OF_FULL_HOUSE else "api_error"


def messages_error_body(failure: Failure) -> bytes:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`: a reply's body, or the data of a stream's event.

    The code, the field's path and numbers, which Anthropic has no places for, stand beside the message where there
    are any; clients skip what they do not know. `request_id` is null: nothing could be looked up by it.
    """
    told: dict[str, Any] = {"type": error_kind(failure), "message": failure.message}
    if failure.code is not None:
        told["code"] = failure.code
    if failure.param is not None:
        told["param"] = failure.param
    return msgspec.json.encode({"type": "error", "error": {**failure.facts, **told}, "request_id": None})
