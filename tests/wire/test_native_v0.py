"""The blocks that `/api/v0` adds to OpenAI's replies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roci.wire.generation import Ended, Event, Finish, TextDelta, Timing, TokenUsage, Transcript
from roci.wire.lmstudio.v0 import ModelInfoBlock, RuntimeBlock, V0Blocks, V0Writer, v0_stats, with_blocks
from roci.wire.openai.chat_writer import ChatWriter
from roci.wire.openai.requests import ChatMessage, ChatRequest, StreamOptions
from roci.wire.reply_writer import Begun, Failure
from tests.support.compatibility import compatible

BEGUN = Begun(id="0123456789ab" * 4, created=1, model="m")
ENDED = Ended(TokenUsage(prompt_tokens=3, completion_tokens=2), Timing(0.25, 0.5, 4.0))
ANSWER: list[Event] = [TextDelta("x"), Finish("stop"), ENDED]
BLOCKS = V0Blocks(
    model_info=ModelInfoBlock(arch="llama", quant="Q4_1", context_length=2048),
    runtime=RuntimeBlock(name="llama.cpp-linux-x86_64-cpu", version="1", supported_formats=["gguf"]),
)


def writer(**options: Any) -> V0Writer:
    chat = ChatRequest(model="m", messages=[ChatMessage("user", "hi")], **options)
    return V0Writer(lambda more: ChatWriter(chat, more=more), lambda: BLOCKS)


def chunks(made: V0Writer, given: list[Event]) -> list[dict[str, Any]]:
    frames = (made.start(BEGUN) + b"".join(made.feed(event) for event in given)).decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


def check_blocks(reply: dict[str, Any]) -> None:
    assert reply["stats"] == {
        "tokens_per_second": 4.0,
        "time_to_first_token": 0.25,
        "generation_time": 0.5,
        "stop_reason": "eosFound",
    }
    assert reply["model_info"] == {"arch": "llama", "quant": "Q4_1", "format": "gguf", "context_length": 2048}
    assert reply["runtime"]["supported_formats"] == ["gguf"]


def test_a_plain_reply_has_the_three_blocks():
    transcript = Transcript()
    for event in ANSWER:
        transcript.add(event)
    reply = json.loads(writer().whole(BEGUN, transcript))
    assert reply["object"] == "chat.completion"
    check_blocks(reply)


def test_a_stream_has_them_on_its_usage_chunk_alone():
    found = chunks(writer(stream_options=StreamOptions(include_usage=True)), ANSWER)
    check_blocks(found[-1])
    assert found[-1]["usage"]["total_tokens"] == 5
    assert not any("model_info" in chunk for chunk in found[:-1])


def test_a_stream_that_breaks_ends_as_openai_s():
    made = writer()
    made.start(BEGUN)
    assert made.fail(Failure(status=503, message="m", code="worker_died")).startswith(b'data: {"error"')


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (Finish("stop"), "eosFound"),
        (Finish("stop", stop_sequence="."), "stopStringFound"),
        (Finish("length"), "maxPredictedTokensReached"),
        (Finish("tool_calls"), "toolCalls"),
    ],
)
def test_an_end_is_told_in_lm_studio_s_words(finish: Finish, word: str):
    assert v0_stats(ENDED, finish).stop_reason == word


@compatible("POST /api/v0/chat/completions", "`stats` of speculative decoding", "same")
def test_speculation_is_counted():
    timing = Timing(draft_tokens=5, draft_tokens_accepted=3)
    stats = v0_stats(Ended(TokenUsage(), timing), Finish("stop"))
    assert (stats.total_draft_tokens_count, stats.accepted_draft_tokens_count) == (5, 3)
    assert stats.rejected_draft_tokens_count == 2


def test_another_reply_keeps_its_own_fields():
    reply = json.loads(with_blocks(b'{"object":"list","data":[{"embedding":[0.125]}]}', BLOCKS))
    assert reply["data"] == [{"embedding": [0.125]}]
    assert reply["model_info"]["arch"] == "llama"
