"""What a hub said to us, as we say it to our own client: its refusals of us are no refusals of the client's."""

from __future__ import annotations

from roci.errors import (
    AccessDeniedError,
    DiskFullError,
    DownloadError,
    ReplyError,
    RociError,
    ServerBusyError,
    ServerFailedError,
    TransportError,
    UnexpectedReplyError,
)


def as_our_own(error: RociError) -> RociError:
    """`error` with the status and code that our client should see; itself where it means the same for them."""
    if isinstance(error, AccessDeniedError):
        # Not 401, which would be about the client's own token.
        return AccessDeniedError(error.message, status=403, code="hub_access_denied", param="model", hint=error.hint)
    if isinstance(error, ServerBusyError):
        return ServerBusyError(
            error.message, retry_after_s=error.retry_after_s, status=503, code="hub_busy", hint=error.hint
        )
    if isinstance(error, DiskFullError):
        return ReplyError(error.message, status=507, code="insufficient_storage", hint=error.hint)
    if isinstance(error, TransportError):
        return ServerFailedError(error.message, status=502, code="hub_unreachable", hint=error.hint)
    if isinstance(error, (ServerFailedError, UnexpectedReplyError, DownloadError)):
        return ServerFailedError(error.message, status=502, code="hub_failed", hint=error.hint)
    return error
