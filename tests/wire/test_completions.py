"""Text completions: what is asked, what the worker is sent, how its recorded streams are read, and what goes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types import Completion

from roci.errors import BadRequestError
from roci.wire.generation import Ended, Event, Finish, Note, PromptProgress, TextDelta, Transcript
from roci.wire.llama_cpp.completion_stream import CompletionStreamDecoder, ended
from roci.wire.openai.completions_requests import CompletionAsk, decode_completion, worker_completion_body
from roci.wire.openai.completions_writer import CompletionsWriter
from roci.wire.reply_writer import Begun, Failure
from tests.support.compatibility import compatible

SAMPLES = Path(__file__).parents[1] / "samples" / "llama_cpp"
TWO_PROMPTS = (SAMPLES / "completion_two_prompts.sse").read_bytes()
LOGPROBS = (SAMPLES / "completion_logprobs.sse").read_bytes()
BEGUN = Begun(id="0123456789abcdef" * 3, created=7, model="m")


def decode(**fields: Any) -> CompletionAsk:
    return decode_completion(json.dumps({"model": "m", "prompt": "a", **fields}).encode())


def worker_body(asked: CompletionAsk) -> dict[str, Any]:
    return msgspec.json.decode(worker_completion_body(asked, asked.request.prompts, "w", defaults={"top_k": 7}))


def read(sample: bytes, answers: int = 1) -> list[Event]:
    decoder = CompletionStreamDecoder()
    events = decoder.feed(sample)
    assert decoder.is_done
    return [*events, ended(decoder.ends, answers)]


def chunks(data: bytes) -> list[dict[str, Any]]:
    *frames, last = data.decode().removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def stream(events: list[Event], writer: CompletionsWriter) -> list[dict[str, Any]]:
    return chunks(writer.start(BEGUN) + b"".join(writer.feed(event) for event in events))


def whole(events: list[Event], writer: CompletionsWriter) -> dict[str, Any]:
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    return json.loads(writer.whole(BEGUN, transcript))


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([1, "a", 2], [[1, "a", 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        (["a", [1]], ["a", [1]]),
    ],
)
def test_every_form_of_a_prompt(prompt: Any, prompts: list[Any]):
    assert decode(prompt=prompt).request.prompts == prompts


@compatible("POST /v1/completions", "`top_p`, `top_k`, `repeat_penalty`, penalties, `logit_bias`", "same")
def test_the_worker_is_asked_for_a_stream_with_everything():
    asked = decode(
        prompt=["a", "b"],
        max_tokens=5,
        stop=["x"],
        n=2,
        logprobs=0,
        mirostat=2,
        id_slot=3,
        response_format={"type": "json_object"},
        ttl=60,
        user="me",
        best_of=2,
    )
    body = worker_body(asked)
    assert body == {
        "model": "w",
        "prompt": ["a", "b"],
        "max_tokens": 5,
        "stop": ["x"],
        "n": 2,
        "logprobs": 1,
        "mirostat": 2,
        "user": "me",
        "top_k": 7,
        "json_schema": {"type": "object"},
        "stream": True,
        "return_progress": True,
    }
    assert asked.chat.ttl == 60
    assert worker_body(decode(prompt="a", max_tokens=-1, top_k=3)) == {
        "model": "w",
        "prompt": "a",
        "n": 1,
        "top_k": 3,
        "stream": True,
        "return_progress": True,
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": [[1], 2]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", []]}, "prompt"),
        ({"prompt": [-1]}, "prompt[0]"),
        ({"prompt": ["a"] * 2049}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"stop": [""]}, "stop[0]"),
        ({"n": 0}, "n"),
        ({"best_of": 3}, "best_of"),
        ({"n": 2, "best_of": 3}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"suffix": "b", "prompt": [1]}, "suffix"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}},
            "response_format.json_schema.schema.type",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_path(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequestError) as refused:
        decode(**fields)
    assert refused.value.param == param


def test_a_missing_prompt_is_named():
    with pytest.raises(BadRequestError) as refused:
        decode_completion(b'{"model": "m"}')
    assert refused.value.param == "prompt"


def test_a_recorded_stream_of_two_prompts_is_read_however_it_is_cut():
    expected = read(TWO_PROMPTS, answers=2)
    decoder = CompletionStreamDecoder()
    events: list[Event] = []
    for at in range(0, len(TWO_PROMPTS), 7):
        events += decoder.feed(TWO_PROMPTS[at : at + 7])
    assert [*events, ended(decoder.ends, 2)] == expected
    assert [event.reason for event in expected if isinstance(event, Finish)] == ["length"] * 4
    assert {event.choice for event in expected if isinstance(event, TextDelta)} == {0, 1, 2, 3}
    assert any(isinstance(event, PromptProgress) for event in expected)


def test_usage_counts_a_prompt_once_and_every_answer():
    end = read(TWO_PROMPTS, answers=2)[-1]
    assert isinstance(end, Ended)
    prompts = {
        chunk["choices"][0]["index"]: chunk["usage"]["prompt_tokens"]
        for chunk in (json.loads(frame[6:]) for frame in TWO_PROMPTS.split(b"\n\n") if b'"usage"' in frame)
    }
    assert end.usage.prompt_tokens == prompts[0] + prompts[2]
    assert end.usage.completion_tokens == 4 * 3
    assert end.timing.generation_time_s > 0
    assert end.timing.engine is None
    alone = read(LOGPROBS)[-1]
    assert isinstance(alone, Ended)
    assert alone.timing.engine is not None


def test_a_later_group_of_prompts_is_numbered_on():
    decoder = CompletionStreamDecoder(first_choice=4)
    events = decoder.feed(TWO_PROMPTS)
    assert {event.choice for event in events if isinstance(event, Finish)} == {4, 5, 6, 7}
    assert decoder.ends.keys() == {4, 5, 6, 7}


def test_a_stream_that_tells_of_an_error_or_lacks_an_end():
    decoder = CompletionStreamDecoder()
    decoder.feed(b'data: null\n\ndata: {"error":{"message":"no"}}\n\ndata: [DONE]\n\n')
    assert decoder.error == b'{"error":{"message":"no"}}'
    assert not decoder.is_done
    decoder = CompletionStreamDecoder()
    decoder.feed(b'data: {"choices":[{"text":"a","index":0}]}\n\ndata: [DONE]\n\n')
    assert decoder.lacks_reason
    assert not decoder.is_done


def test_the_plain_reply_is_openais():
    asked = decode(prompt=["a", "b"], n=2)
    reply = whole(read(TWO_PROMPTS, 2), CompletionsWriter(asked.request))
    read_back = Completion.model_validate(reply)
    assert reply["id"] == "cmpl-0123456789abcdef01234567"
    assert (read_back.object, read_back.model, read_back.created) == ("text_completion", "m", 7)
    assert [choice.index for choice in read_back.choices] == [0, 1, 2, 3]
    assert all(choice.finish_reason == "length" and choice.text for choice in read_back.choices)
    assert all(choice.logprobs is None for choice in read_back.choices)
    assert read_back.usage is not None
    assert read_back.usage.total_tokens == read_back.usage.prompt_tokens + 12


def test_the_stream_adds_up_to_the_plain_reply_and_ends_with_usage():
    asked = decode(prompt=["a", "b"], n=2)
    events = read(TWO_PROMPTS, 2)
    sent = stream(events, CompletionsWriter(asked.request))
    reply = whole(events, CompletionsWriter(asked.request))
    for choice in reply["choices"]:
        pieces = [piece for chunk in sent for piece in chunk["choices"] if piece["index"] == choice["index"]]
        assert "".join(piece["text"] for piece in pieces) == choice["text"]
        assert [piece["finish_reason"] for piece in pieces if piece["finish_reason"]] == ["length"]
    assert sent[-1]["usage"] == reply["usage"]
    assert all("usage" not in chunk for chunk in sent[:-1])
    assert all(chunk["id"] == reply["id"] and chunk["object"] == "text_completion" for chunk in sent)


def test_usage_that_is_asked_for_has_a_chunk_of_its_own():
    asked = decode(stream_options={"include_usage": True})
    sent = stream(read(LOGPROBS), CompletionsWriter(asked.request))
    assert sent[-1]["choices"] == []
    assert sent[-1]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("likeliest", [0, 1, 2])
def test_logprobs_are_in_openais_older_shape(likeliest: int):
    asked = decode(logprobs=likeliest)
    events = read(LOGPROBS)
    reply = whole(events, CompletionsWriter(asked.request))
    Completion.model_validate(reply)
    told = reply["choices"][0]["logprobs"]
    assert "".join(told["tokens"]) == reply["choices"][0]["text"]
    assert told["text_offset"] == [0, len(told["tokens"][0])]
    assert all(value <= 0 for value in told["token_logprobs"])
    if likeliest:
        assert [len(top) for top in told["top_logprobs"]] == [likeliest, likeliest]
    else:
        assert told["top_logprobs"] is None
    sent = [
        piece["logprobs"] for chunk in stream(events, CompletionsWriter(asked.request)) for piece in chunk["choices"]
    ]
    assert [offset for piece in sent if piece for offset in piece["text_offset"]] == told["text_offset"]


def test_further_fields_and_notes_stand_at_the_end():
    events: list[Event] = [TextDelta("a"), Note("schema_valid", "Fits."), Finish("stop"), read(LOGPROBS)[-1]]
    request = decode().request

    def more(end: Ended) -> dict[str, Any]:
        return {"stats": {"tokens": end.usage.completion_tokens}}

    reply = whole(events, CompletionsWriter(request, more=more))
    assert reply["stats"] == {"tokens": 2}
    assert reply["choices"][0]["roci"] == {"notes": [{"code": "schema_valid", "message": "Fits."}]}
    last = stream(events, CompletionsWriter(request, more=more))[-1]
    assert last["stats"] == {"tokens": 2}
    assert last["roci"]["notes"][0]["code"] == "schema_valid"


def test_a_stream_that_breaks_ends_with_an_error():
    sent = CompletionsWriter(decode().request).fail(Failure(status=503, message="Gone.", code="worker_died"))
    assert json.loads(sent.removeprefix(b"data: "))["error"]["code"] == "worker_died"
