"""A stream's calls are those of the plain reply, whatever way a server has of sending them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import roci
from roci.wire.openai import convert
from roci.wire.openai.stream import ChatStreamDecoder
from tests.support.canned_server import Reply, canned_server
from tests.support.twins import Twin

SAMPLES = Path(__file__).parents[1] / "samples" / "tool_streams"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.sse"))
CHAT = "POST /v1/chat/completions"


def assembled(pieces: list[bytes]) -> list[tuple[str, str]]:
    decoder = ChatStreamDecoder(path="/v1/chat/completions", model="m")
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.close()
    assert decoder.failure is None
    calls: dict[int, list[str]] = {}
    for piece in (piece for delta in deltas for piece in delta.tool_calls):
        call = calls.setdefault(piece.index, ["", ""])
        call[0] = call[0] or piece.name
        call[1] += piece.arguments_json
    return [(name, arguments or "{}") for name, arguments in calls.values()]


def test_every_stream_has_its_plain_reply() -> None:
    assert len(NAMES) > 20
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_streamed_arguments_never_mix_however_the_bytes_are_cut(name: str, size: int) -> None:
    body = (SAMPLES / f"{name}.sse").read_bytes()
    plain = convert.response(convert.decode_reply((SAMPLES / f"{name}.json").read_bytes(), "application/json"), None)

    calls = assembled([body[at : at + size] for at in range(0, len(body), size)])

    assert calls == [(call.name, call.arguments_json) for call in plain.tool_calls]


@pytest.mark.parametrize("name", NAMES)
def test_a_streamed_answer_is_the_one_that_is_not_streamed(name: str, twin: Twin) -> None:
    tools = [roci.ToolDefinition(name=tool) for tool in ("weather", "now", "write")]
    sse, plain = (SAMPLES / f"{name}.sse").read_bytes(), json.loads((SAMPLES / f"{name}.json").read_bytes())

    def reply(request: object) -> Reply:
        streams = request.json().get("stream")  # type: ignore[attr-defined]
        return Reply(200, {"content-type": "text/event-stream"}, [sse]) if streams else Reply.json(plain)

    with canned_server({CHAT: reply}) as server, roci.LmStudioProvider("m", base_url=server.url) as model:
        whole = twin.call(roci, "generate_text", model, "hi", tools=tools)
        streamed = twin.streamed(roci, model, "hi", tools=tools)

    assert len({call.id for call in whole.tool_calls}) == len(whole.tool_calls)
    assert streamed.tool_calls == whole.tool_calls
    assert streamed.messages == whole.messages
    assert (streamed.text, streamed.finish_reason) == (whole.text, roci.FinishReason.TOOL_CALLS)
