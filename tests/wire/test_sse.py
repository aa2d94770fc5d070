"""Server-Sent Events: what a stream of bytes means, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from roci.errors import UnexpectedReplyError
from roci.wire import sse
from roci.wire.sse import SseDecoder


def events_of(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    decoder = SseDecoder()
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found + decoder.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data:a\n\n", [("", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", b"a"), ("", b"b")]),
        (b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b": a comment\n\ndata: a\n\n", [("", b"a")]),
        (b": a comment\ndata: a\n\n", [("", b"a")]),
        (b"event: error\ndata: {}\n\n", [("error", b"{}")]),
        (b"id: 7\nretry: 10\ndata: a\n\n", [("", b"a")]),
        (b"event: ping\n\ndata: a\n\n", [("", b"a")]),
        (b"\n\n\n\ndata: a\n\n\n\n", [("", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"data: a\n\ndata: [DONE]", [("", b"a"), ("", b"[DONE]")]),
        (b"data: a\n\ndata: b\n", [("", b"a"), ("", b"b")]),
        ("data: grüß 🦙\n\n".encode(), [("", "grüß 🦙".encode())]),
        (b"data\n\n", [("", b"")]),
        (b"data:  two blanks\n\n", [("", b" two blanks")]),
        (b"", []),
    ],
)
def test_a_stream_means_these_events_whole_and_byte_by_byte(stream: bytes, events: list[tuple[str, bytes]]) -> None:
    assert events_of([stream]) == events
    assert events_of([stream[i : i + 1] for i in range(len(stream))]) == events


LINES = st.sampled_from(
    [
        b"data: a",
        b"data: \xf0\x9f\xa6\x99",
        b"data:",
        b"data",
        b": ping",
        b"event: error",
        b"id: 1",
        b"",
        b"",
        b"",
        b"x",
    ]
)
ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDINGS), max_size=30).map(lambda pairs: b"".join(a + b for a, b in pairs))


@given(STREAMS | st.binary(max_size=200), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert events_of(pieces) == events_of([stream])


def test_a_megabyte_in_one_line_comes_whole_from_small_pieces() -> None:
    payload = b"x" * 1_000_000
    stream = b"data: " + payload + b"\n\n"

    assert events_of([stream[i : i + 1400] for i in range(0, len(stream), 1400)]) == [("", payload)]


def test_an_event_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_LIMIT_BYTES", 1000)
    decoder = SseDecoder()

    with pytest.raises(UnexpectedReplyError, match="larger than"):
        for _ in range(20):
            decoder.feed(b"data: " + b"x" * 100)
