"""A worker's stream, passed on as it comes but cut between events, with an eye on its two special ones. No I/O.

Whole events only: what is added behind a stream that breaks must not land inside a half event.
"""

from __future__ import annotations

from typing import Final

from roci.errors import UnexpectedReplyError

EVENT_LIMIT_BYTES: Final = 64 * 2**20
_END: Final = b"\n\n"
_DONE: Final = b"data: [DONE]\n\n"
_ERROR: Final = b'data: {"error"'
_PROGRESS: Final = b'"prompt_progress":'


class FrameScanner:
    """Fed a stream's bytes, gives back those that can be passed on.

    Args:
        with_progress: pass on the events that tell of the prompt's progress. Every worker is asked for them, because
            only a stream that has begun notices in prefill that its client has left; few clients want to see them.
    """

    def __init__(self, *, with_progress: bool = False) -> None:
        self.is_done = False
        """The terminal mark was passed on; what comes after it is dropped."""
        self.error: bytes | None = None
        """The event `{"error": …}` as JSON, where the stream sent one; neither it nor what follows is passed on."""
        self._held = bytearray()
        self._is_before_answer = not with_progress

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes, byte for byte; empty where none is complete.

        Raises:
            UnexpectedReplyError: an event is larger than 64 MiB.
        """
        if self.is_done or self.error is not None:
            return b""
        if self._held or not data.endswith(_END):
            data = self._whole(data)
        if self._is_before_answer:
            data = self._answer_in(data)
        if _ERROR in data:
            data = self._before_error(data)
        if data.endswith(_DONE):
            self.is_done = True
        return data

    def _answer_in(self, data: bytes) -> bytes:
        """`data` from the first event on that is neither progress nor a comment; progress only comes before it."""
        start = 0
        while start < len(data):
            end = data.index(_END, start) + len(_END)
            event = data[start:end]
            if not event.startswith(b":") and _PROGRESS not in event:
                self._is_before_answer = False
                return data[start:]
            start = end
        return b""

    def _whole(self, data: bytes) -> bytes:
        held = self._held
        searched = max(len(held) - 1, 0)
        held += data
        end = held.rfind(_END, searched)
        if end < 0:
            if len(held) > EVENT_LIMIT_BYTES:
                raise UnexpectedReplyError(f"The stream holds an event larger than {EVENT_LIMIT_BYTES // 2**20} MiB.")
            return b""
        whole = bytes(held[: end + len(_END)])
        del held[: end + len(_END)]
        return whole

    def _before_error(self, data: bytes) -> bytes:
        # Inside a text of the model its quotes would be escaped; still, only the start of an event counts.
        start = 0 if data.startswith(_ERROR) else data.find(_END + _ERROR) + len(_END)
        if start < len(_END) and not data.startswith(_ERROR):
            return data
        self.error = data[start + len(b"data: ") :].partition(_END)[0]
        return data[:start]
