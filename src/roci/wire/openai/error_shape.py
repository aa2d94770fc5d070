"""An error as OpenAI's API writes it, in a reply's body or in an event of a stream."""

from __future__ import annotations

from typing import Final

import msgspec

from roci.wire.reply_writer import Failure

INVALID_REQUEST: Final = "invalid_request_error"
SERVER_ERROR: Final = "server_error"


def openai_error_body(failure: Failure) -> bytes:
    """`{"error": {message, type, param, code}}`, with the failure's numbers beside them."""
    kind = INVALID_REQUEST if failure.status < 500 else SERVER_ERROR
    error = {"message": failure.message, "type": kind, "param": failure.param, "code": failure.code}
    return msgspec.json.encode({"error": error | failure.facts})
