"""How a dialect answers: the events of a generation -> the bytes of its stream, or of its plain reply. No I/O."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from roci.wire.generation import Event, Transcript


class Begun(Struct, frozen=True, kw_only=True):
    """What is known of an answer before its first event."""

    id: str
    """48 random hexadecimal digits; each dialect puts its own prefix before them, or takes fewer."""
    created: int
    """Seconds since 1970."""
    model: str
    """The id of the loaded instance that answers."""


class Failure(Struct, frozen=True, kw_only=True):
    """An error as a client is told it, before any dialect has given it its shape."""

    status: int
    message: str
    code: str | None = None
    """`context_length_exceeded`, `model_not_found`, `worker_died` and so on."""
    param: str | None = None
    """The path of the field at fault."""
    headers: dict[str, str] = {}
    facts: dict[str, Any] = {}
    """Numbers for programs, such as `limit_tokens` and `given_tokens`; they stand beside the message."""


class ReplyWriter(Protocol):
    """One answer in one dialect; made for each request, with what it needs of the request to echo it.

    A stream is `start`, then `feed` for each event, `Ended` being the last, or `fail` in place of the rest. Each of
    them may give nothing (`b""`). `PromptProgress` may also be fed before `start`, for what can be learned from it;
    nothing is sent of it then. A plain reply is `whole` alone.
    """

    starts_early: bool
    """Whether the stream begins before the model is loaded. Otherwise it begins with the first piece of the answer, so
    that whatever fails before can still have a status of its own."""

    def start(self, begun: Begun) -> bytes: ...

    def feed(self, event: Event) -> bytes: ...

    def fail(self, failure: Failure) -> bytes:
        """The end of a stream that has begun and broke."""
        ...

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        """The plain reply's JSON body, of a transcript that has ended."""
        ...
