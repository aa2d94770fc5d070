"""Server-Sent Events: bytes -> events.

Source: WHATWG HTML, section 9.2 (server-sent events), read in 2026. Where servers of language models depart from it,
the lenient reading is taken: an event that the end of the body cuts off behind its last line is still an event.
"""

from __future__ import annotations

from typing import Final

from roci.errors import UnexpectedReplyError

SseEvent = tuple[str, bytes]
"""(`event:` name or "", the `data:` lines joined by line feeds)."""

EVENT_LIMIT_BYTES: Final = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class SseDecoder:
    """Cuts a stream of bytes into events; any split of the bytes gives the same events."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._held_return = False
        self._is_first = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes.

        Raises:
            UnexpectedReplyError: an event is larger than 64 MiB.
        """
        if self._held_return or self._is_first or b"\r" in data:
            data = self._normalised(data)
        buffer = self._buffer
        if not buffer and data.endswith(b"\n\n"):
            # Whole events in one read: by far the most frequent case.
            blocks = data.split(b"\n\n")
        else:
            buffer += data
            end = buffer.rfind(b"\n\n", max(self._searched - 1, 0))
            self._searched = len(buffer)
            if end < 0:
                if len(buffer) > EVENT_LIMIT_BYTES:
                    raise UnexpectedReplyError(
                        f"The stream holds an event larger than {EVENT_LIMIT_BYTES // 2**20} MiB.",
                        body=bytes(buffer[:10_000]).decode("utf-8", "replace"),
                    )
                return []
            blocks = bytes(buffer[:end]).split(b"\n\n")
            del buffer[: end + 2]
            self._searched = 0
        events: list[SseEvent] = []
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(("", block[6:]))
            elif block:
                event = _parse(block)
                if event is not None:
                    events.append(event)
        return events

    def close(self) -> list[SseEvent]:
        """The event that the end of the body completes, if a piece of one is there."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        event = _parse(rest) if rest else None
        return [] if event is None else [event]

    def _normalised(self, data: bytes) -> bytes:
        """`data` with every line ending as a line feed and without a byte order mark at the stream's start."""
        if self._held_return:
            data = b"\r" + data
            self._held_return = False
        if self._is_first:
            data = bytes(self._buffer) + data
            self._buffer.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._buffer += data
                return b""
            data = data.removeprefix(_BOM)
            self._is_first = False
        if data.endswith(b"\r"):
            # A line feed that belongs to it may come with the next piece.
            self._held_return = True
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parse(block: bytes) -> SseEvent | None:
    name = b""
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if not lines:
        return None
    return name.decode("utf-8", "replace"), b"\n".join(lines)
