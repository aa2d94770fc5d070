"""Overflows however they are said, the sizes of contexts wherever they are told, and prompts that were cut silently."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import roci
from roci import GenerationSettings, LmStudioProvider, ModelMessage, OpenAICompatibleProvider, ProviderRequest
from roci.providers.context import fewest_tokens, truncation_warnings
from tests.support.canned_server import Reply, Request, canned_server, chunk, completion
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
WORDS = "one two three four five six seven eight nine ten "
LONG = WORDS * 800  # 8,000 words
LOADED_4096 = Reply.json(
    {
        "models": [
            {
                "key": "m",
                "type": "llm",
                "max_context_length": 32768,
                "loaded_instances": [{"id": "m", "config": {"context_length": 4096}}],
            }
        ]
    }
)


def asked(text: str = LONG, **fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user(text),), **fields)


def usage(prompt: int, answer: int = 0) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


EMPTY_SUCCESSES = [
    pytest.param(Reply.json(completion("", usage=usage(4096))), id="empty text, stopped"),
    pytest.param(Reply.json(completion("", "length", usage=usage(4095))), id="empty text, no room"),
    pytest.param(Reply.json(completion("", usage=None)), id="empty text, no count"),
    pytest.param(Reply.json({"choices": []}), id="no choice"),
    pytest.param(Reply.json({"choices": [{"message": {"content": ""}}]}), id="no reason"),
    pytest.param(Reply.json({}), id="nothing at all"),
]
EMPTY_STREAMS = [
    pytest.param(Reply.events(chunk(finish="stop"), {"choices": [], "usage": usage(4096)}), id="stopped"),
    pytest.param(Reply.events(chunk(finish="length"), {"choices": [], "usage": usage(4096)}), id="no room"),
    pytest.param(Reply.events(chunk(finish="stop")), id="no count"),
    pytest.param(Reply.events(), id="only [DONE]"),
    pytest.param(Reply.events(done=False), id="no event"),
]


@pytest.mark.parametrize("reply", EMPTY_SUCCESSES)
def test_row_16_an_overflow_as_an_empty_success_is_a_context_error(reply: Reply, twin: Twin) -> None:
    with canned_server({CHAT: reply, "GET /api/v1/models": LOADED_4096}) as server:
        with pytest.raises(roci.ContextTooLongError) as caught:
            twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked())

    assert caught.value.limit_tokens == 4096
    assert (caught.value.given_tokens or 0) >= 4095
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.receipt.model_asked == "m"


@pytest.mark.parametrize("reply", EMPTY_STREAMS)
def test_row_16_an_overflow_as_an_empty_stream_is_a_context_error(reply: Reply, twin: Twin) -> None:
    with canned_server({CHAT: reply, "GET /api/v1/models": LOADED_4096}) as server:
        with pytest.raises(roci.ContextTooLongError) as caught:
            twin.streamed(LmStudioProvider("m", base_url=server.url), asked())

    assert (caught.value.limit_tokens, caught.value.receipt.model_asked) == (4096, "m")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"},
        {"error": {"message": "Context size has been exceeded."}},
        {"error": {"message": "prompt too long; exceeded max context length by 4021 tokens"}},
    ],
)
def test_row_16_an_overflow_as_an_error_in_a_success_is_a_context_error(body: Any, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(body)}) as server, pytest.raises(roci.ContextTooLongError) as caught:
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked("hi"))

    assert caught.value.status == 200


def test_an_answer_that_is_empty_for_another_reason_stays_what_it_is(twin: Twin) -> None:
    quiet = {CHAT: Reply.json(completion("", usage=usage(9))), "GET /api/v1/models": LOADED_4096}
    with canned_server(quiet) as server:
        assert twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked("hi")).text == ""
        assert len(server.requests) == 1
    roomy = {CHAT: Reply.json(completion("", usage=usage(2000))), "GET /api/v1/models": LOADED_4096}
    with canned_server(roomy) as server:
        assert twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked(WORDS * 150)).text == ""
    mute = {CHAT: Reply.json({"choices": []})}
    with canned_server(mute) as server, pytest.raises(roci.EmptyReplyError):
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked())


# ---- what to leave out


def fits(limit: int) -> Callable[[Request], Reply]:
    """A server whose tokens are words."""

    def answer(request: Request) -> Reply:
        body = request.json()
        words = sum(len((message["content"] or "").split()) for message in body["messages"])
        if words > limit:
            text = f"request ({words} tokens) exceeds the available context size ({limit} tokens), try increasing it"
            error = {"code": 400, "message": text, "type": "exceed_context_size_error"}
            return Reply.json({"error": error | {"n_prompt_tokens": words, "n_ctx": limit}}, 400)
        if body.get("stream"):
            return Reply.events(chunk("Hello."), chunk(finish="stop"), {"choices": [], "usage": usage(words, 2)})
        return Reply.json(completion(usage=usage(words, 2)))

    return answer


TALK = (
    ModelMessage.system("Be kind."),
    *(
        message
        for turn in range(10)
        for message in (ModelMessage.user(f"{turn} {WORDS}"), ModelMessage.assistant(f"{turn} {WORDS}"))
    ),
    ModelMessage.user("And now?"),
)


def test_old_turns_are_left_out_and_the_receipt_says_how_many_messages(twin: Twin) -> None:
    request = ProviderRequest(messages=TALK, on_overflow="drop_oldest", settings=GenerationSettings(max_tokens=10))
    with canned_server({CHAT: fits(100)}) as server:
        model = LmStudioProvider("m", base_url=server.url)
        response = twin.call(model, "generate_text", request)
        streamed = twin.streamed(model, request)

    sent = server.requests[1].json()["messages"]
    assert (sent[0]["content"], sent[-1]["content"]) == ("Be kind.", "And now?")
    assert response.receipt.dropped_messages == len(TALK) - len(sent) == streamed.receipt.dropped_messages > 0
    assert [retry.generated_tokens for retry in response.receipt.retries] == [0]
    assert "exceeds" in response.receipt.retries[0].reason
    assert len(server.requests) == 4
    assert streamed.messages[: len(TALK)] == TALK


def test_a_stream_that_begins_with_the_overflow_is_begun_again(twin: Twin) -> None:
    frame = b'data: {"error": "Cannot truncate prompt with n_keep (150) >= n_ctx (100)"}\n\n'
    replies = [Reply.events(frame, done=False), Reply.events(chunk("Hello."), chunk(finish="stop"))]
    request = ProviderRequest(messages=TALK, on_overflow="drop_oldest")
    with canned_server({CHAT: lambda _: replies.pop(0)}) as server:
        result = twin.streamed(LmStudioProvider("m", base_url=server.url), request)

    assert (result.text, len(result.receipt.retries)) == ("Hello.", 1)
    assert result.receipt.dropped_messages > 0


def test_an_overflow_is_an_error_unless_told_otherwise(twin: Twin) -> None:
    with canned_server({CHAT: fits(100)}) as server, pytest.raises(roci.ContextTooLongError) as caught:
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", ProviderRequest(messages=TALK))

    assert (len(server.requests), caught.value.limit_tokens, caught.value.given_tokens) == (1, 100, 224)


def test_a_last_turn_that_is_too_long_alone_is_an_error_that_says_so(twin: Twin) -> None:
    request = ProviderRequest(messages=(*TALK[:-1], ModelMessage.user(LONG)), on_overflow="drop_oldest")
    with canned_server({CHAT: fits(100)}) as server, pytest.raises(roci.ContextTooLongError) as caught:
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", request)

    assert "last turn alone" in caught.value.hint
    assert caught.value.receipt.dropped_messages == 20
    assert len(server.requests) <= 9


def test_a_server_without_numbers_is_asked_a_bounded_number_of_times(twin: Twin) -> None:
    refusal = Reply.json({"error": {"message": "context size has been exceeded"}}, 500)
    talk = (*TALK[1:-1] * 50, ModelMessage.user("last"))
    with canned_server({CHAT: refusal}) as server, pytest.raises(roci.ContextTooLongError):
        request = ProviderRequest(messages=talk, on_overflow="drop_oldest")
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", request)

    assert len(server.requests) == 9


# ---- where the size of a context is told

V1 = {"data": [{"id": "m", "object": "model", "owned_by": "x"}]}
LLAMA_CPP_V1 = {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 8192}}]}
PROPS = {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 2}
SHOW = {"model_info": {"general.architecture": "llama", "llama.context_length": 131072}}
PS = {"models": [{"name": "m:latest", "model": "m:latest", "context_length": 4096}]}
V0 = {"data": [{"id": "m", "type": "llm", "state": "loaded", "max_context_length": 9, "loaded_context_length": 8}]}
VLLM = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 16384}]}
ROCI = {"data": [{"id": "m", "max_context_length": 64, "loaded_context_length": 32, "state": "loaded"}]}
ROUTES: list[Any] = [
    pytest.param({}, LOADED_4096, (32768, "/api/v1/models", 4096, "/api/v1/models"), id="LM Studio's own list"),
    pytest.param({"GET /api/v0/models": V0}, None, (9, "/api/v0/models", 8, "/api/v0/models"), id="its older list"),
    pytest.param({"GET /v1/models": ROCI}, None, (64, "/v1/models", 32, "/v1/models"), id="roci's entries"),
    pytest.param({"GET /v1/models": VLLM}, None, (16384, "/v1/models", 16384, "/v1/models"), id="vLLM's entries"),
    pytest.param(
        {"GET /v1/models": LLAMA_CPP_V1, "GET /props": PROPS},
        None,
        (8192, "/v1/models", 2048, "/props"),
        id="llama.cpp",
    ),
    pytest.param(
        {"GET /v1/models": V1, "GET /api/ps": PS, "POST /api/show": SHOW},
        None,
        (131072, "/api/show", 4096, "/api/ps"),
        id="Ollama",
    ),
    pytest.param({"GET /v1/models": V1}, None, (None, "", None, ""), id="nobody tells"),
]


@pytest.mark.parametrize("kind", [LmStudioProvider, OpenAICompatibleProvider])
@pytest.mark.parametrize(("routes", "own_list", "expected"), ROUTES)
def test_row_17_both_contexts_are_told_with_their_sources(
    routes: dict[str, Any], own_list: Reply | None, expected: Any, kind: Any, twin: Twin
) -> None:
    answers = {"GET /v1/models": Reply.json(V1)} | {route: Reply.json(value) for route, value in routes.items()}
    if own_list is not None:
        answers["GET /api/v1/models"] = own_list
    with canned_server(answers) as server:
        info = twin.call(kind("m", base_url=server.url), "describe")

    told = (
        info.max_context_length,
        info.max_context_source,
        info.loaded_context_length,
        info.loaded_context_source,
    )
    assert told == expected
    assert info.capabilities.context_length == (expected[2] or expected[0] or 32768)


@pytest.mark.parametrize(
    "reply", [Reply.text("<html>"), Reply.json([]), Reply.json({"models": 3}), Reply.text("", status=500)]
)
def test_other_programs_on_the_paths_that_are_tried_do_no_harm(reply: Reply, twin: Twin) -> None:
    paths = ("GET /api/v1/models", "GET /api/v0/models", "GET /props", "GET /api/ps", "POST /api/show")
    with canned_server({"GET /v1/models": Reply.json(V1)} | dict.fromkeys(paths, reply)) as server:
        info = twin.call(OpenAICompatibleProvider("m", base_url=server.url), "describe")

    assert (info.key, info.loaded_context_length) == ("m", None)


def test_a_described_context_is_in_later_receipts(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion()), "GET /api/v1/models": LOADED_4096}) as server:
        model = LmStudioProvider("m", base_url=server.url)
        before = twin.call(model, "generate_text", asked("hi")).receipt
        twin.call(model, "describe")
        after = twin.call(model, "generate_text", asked("hi")).receipt

    assert (before.context_limit_tokens, after.context_limit_tokens) == (None, 4096)
    assert after.context_used_tokens == 8


# ---- prompts that were cut


def test_row_18_a_prompt_that_was_cut_silently_is_a_warning_and_in_the_receipt(twin: Twin) -> None:
    cut = usage(4096, 3)
    stream = Reply.events(chunk("Hi."), chunk(finish="stop"), {"choices": [], "usage": cut})
    for reply, method in ((Reply.json(completion(usage=cut)), "call"), (stream, "streamed")):
        with canned_server({CHAT: reply}) as server:
            model = OpenAICompatibleProvider("m", base_url=server.url)
            with pytest.warns(roci.SuspectedTruncationWarning, match="4096"):
                response = ask(twin, method, model)
        assert response.receipt.suspected_truncation
        assert [warning.kind for warning in response.warnings] == ["suspected_truncation"]


def ask(twin: Twin, method: str, model: roci.ModelProvider) -> Any:
    return twin.call(model, "generate_text", asked()) if method == "call" else twin.streamed(model, asked())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param(WORDS * 45, 20, id="short prompts are never suspected"),
        pytest.param(LONG, 0, id="a server that does not count"),
        pytest.param(LONG, 7000, id="a tokenizer that joins words"),
        pytest.param("=" * 100_000, 600, id="a line of one sign"),
        pytest.param("-=" * 50_000, 600, id="a line of two signs"),
        pytest.param(" " * 100_000 + "\n" * 50_000, 600, id="white space"),
        pytest.param("春眠不觉晓处处闻啼鸟夜来风雨声花落知多少" * 500, 5000, id="Chinese"),
        pytest.param("สวัสดีชาวโลก" * 1000, 4000, id="Thai"),
        pytest.param("Donaudampfschifffahrtsgesellschaft " * 1000, 8000, id="long German words"),
    ],
)
def test_what_is_not_cut_is_not_suspected(text: str, tokens: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert truncation_warnings((ModelMessage.user(text),), tokens) == ()


def test_tokens_that_the_server_kept_count_as_read(twin: Twin) -> None:
    told = usage(100, 3) | {"prompt_tokens_details": {"cached_tokens": 9000}}
    with canned_server({CHAT: Reply.json(completion(usage=told))}) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        response = twin.call(OpenAICompatibleProvider("m", base_url=server.url), "generate_text", asked())

    assert not response.receipt.suspected_truncation
    assert response.receipt.cached_tokens == 9000


def test_the_estimate_counts_words_not_what_surrounds_them() -> None:
    calls = ModelMessage.assistant(tool_calls=[roci.ToolCall(id="1", name="f", arguments_json=json.dumps({"a": LONG}))])

    assert fewest_tokens((ModelMessage.user(WORDS), calls, ModelMessage.tool_result("1", LONG))) == 10
