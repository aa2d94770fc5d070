"""What it means when a hub or a file's server says no."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from roci.engine.hub.endpoint import Hub
from roci.engine.hub.web import host_of
from roci.errors import (
    AccessDeniedError,
    ModelNotFoundError,
    ReplyError,
    ServerBusyError,
    ServerFailedError,
    ServerUnreachableError,
    TransportError,
)

BUSY: Final = (408, 429, 503)


def refusal(status: int, headers: Mapping[str, str], *, what: str, url: str, hub: Hub, repo: str = "") -> ReplyError:
    """The error for a reply that is no success.

    Args:
        what: the model or file that was asked for, as users write it.
        url: where it was asked for.
        repo: its repository on `hub`; empty where it is a plain link.
    """
    code = headers.get("x-error-code")
    server = host_of(url)
    if code in ("RepoNotFound", "EntryNotFound", "RevisionNotFound") or status in (404, 410):
        return ModelNotFoundError(
            f"There is no {what} at {server}.", key=what, status=404, code="model_not_found", hint=_private(hub, repo)
        )
    if status in (401, 403):
        return _denied(status, code, what, server, hub, repo)
    if status in BUSY:
        wait_s = retry_after_s(headers)
        asked = "" if wait_s is None else f" It asks to wait {wait_s:.0f} s."
        return ServerBusyError(
            f"{server} has no time for {what} now (status {status}).{asked}",
            retry_after_s=wait_s,
            status=status,
            hint="Try again later."
            if hub.token or not repo
            else "Try again later; with a token in HF_TOKEN the hub allows more requests.",
        )
    return ServerFailedError(f"{server} answers status {status} when asked for {what}.", status=status)


def unreachable(error: TransportError, url: str) -> TransportError:
    """The error for a server of files that does not answer; the hint is for one that is far away."""
    hint = (
        "Check the network and, if there is one, the proxy (HTTPS_PROXY, NO_PROXY). HF_ENDPOINT names a mirror. "
        "Models that are on this machine work without a network: roci models"
    )
    message = f"Nothing answers at {host_of(url)}."
    if isinstance(error, ServerUnreachableError):
        # The reason stands in the parentheses of the transport's own sentence.
        _, opening, reason = error.message.rstrip(".").partition(" (")
        return ServerUnreachableError(
            f"{message[:-1]}{opening}{reason}." if opening else message, base_url=error.base_url, hint=hint
        )
    error.hint = hint
    return error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, by number or by date; None where it is absent or no sense."""
    text = (headers.get("retry-after") or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None


def _denied(status: int, code: str | None, what: str, server: str, hub: Hub, repo: str) -> AccessDeniedError:
    if not repo:
        return AccessDeniedError(f"{server} does not hand out {what} (status {status}).", status=status, code=code)
    page = hub.page(repo)
    if code == "GatedRepo" or status == 403:
        message = f"{what} is given only to those who have accepted its terms."
        hint = f"Accept them at {page}, then put your token into HF_TOKEN."
        if hub.token:
            hint = f"Accept them at {page} as the user whose token is in use (HF_TOKEN, or `hf auth login`)."
    elif hub.token:
        message = f"{server} does not take the token that came with the request for {what}."
        hint = f"Look at HF_TOKEN, or run `hf auth login` again. The model's page: {page}"
    else:
        # The hub does not tell strangers which of the two it is.
        message = f"There is no {what} at {server}, or it wants a token for it."
        hint = f"Look at {page}; if it is there, put your token into HF_TOKEN."
    return AccessDeniedError(message, status=status, code=code or ("gated" if status == 403 else None), hint=hint)


def _private(hub: Hub, repo: str) -> str:
    if not repo:
        return "Check the link."
    return "" if hub.token else "If it is private, put your token into HF_TOKEN."
