"""What a receipt says, from servers as they really answer and from recorded forms."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import roci
from roci import (
    GenerationSettings,
    LmStudioProvider,
    LocalProvider,
    ModelMessage,
    OpenAICompatibleProvider,
    ProviderRequest,
    ResponseFormat,
    RociConfig,
    ToolDefinition,
)
from roci.providers.context import fewest_tokens
from tests.support.canned_server import Reply, canned_server, chunk, completion
from tests.support.serve import Served
from tests.support.starter_gateway import KEY, starter_gateway
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
SHORT = GenerationSettings(max_tokens=8, temperature=0)


def asked(text: str = "hi", **fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user(text),), **fields)


@pytest.fixture(scope="module")
def served(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with starter_gateway(tmp_path_factory.mktemp("home"), starter_model, context_length=256) as gateway:
        yield gateway


# ---- a real server


def test_the_first_answer_of_a_server_tells_the_load_and_later_ones_none(served: Served) -> None:
    model = LmStudioProvider(KEY, base_url=served.url)
    first = model.generate_text(asked("Say hello.", settings=SHORT)).receipt
    second = model.generate_text(asked("Say hello.", settings=SHORT)).receipt

    assert (first.model_asked, first.model_answered) == (KEY, KEY)
    assert (first.load_s or 0) > 0
    assert second.load_s is None
    assert first.context_limit_tokens == second.context_limit_tokens == 256


def test_row_51_and_51b_every_answer_tells_tokens_used_and_kept_and_where_the_time_went(
    served: Served, twin: Twin
) -> None:
    model = LmStudioProvider(KEY, base_url=served.url)
    request = asked("Count to ten, slowly, and in words. " * 5 + twin.name, settings=SHORT)
    plain = twin.call(model, "generate_text", request)
    streamed = twin.streamed(model, request)

    for result in (plain, streamed):
        receipt = result.receipt
        assert receipt.context_used_tokens == result.usage.total_tokens > 0
        assert 0 < (receipt.prefill_s or 0) < 60
        assert 0 < (receipt.seconds_per_token or 0) < 60
        assert 0 < (receipt.time_to_first_token_s or 0) < 60
        assert (receipt.waiting_s or 0) >= 0
        assert (receipt.retries, receipt.reasoning_ran, receipt.schema) == ((), False, "none")
    assert streamed.receipt.cached_tokens > 0


def test_a_schema_that_the_server_enforced_is_said(served: Served, twin: Twin) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    request = asked(
        "Is it?", response_format=ResponseFormat.json_schema(schema), settings=GenerationSettings(max_tokens=60)
    )
    receipt = twin.call(LmStudioProvider(KEY, base_url=served.url), "generate_text", request).receipt

    assert receipt.schema == "enforced"
    assert any("fits the schema" in note for note in receipt.notes)


def test_what_the_server_ignored_is_said_with_what_was_asked(served: Served, twin: Twin) -> None:
    request = asked(settings=GenerationSettings(max_tokens=4, reasoning="high"))
    for receipt in (
        twin.call(LmStudioProvider(KEY, base_url=served.url), "generate_text", request).receipt,
        twin.streamed(LmStudioProvider(KEY, base_url=served.url), request).receipt,
    ):
        (change,) = [change for change in receipt.ignored if change.setting == "reasoning"]
        assert (change.asked, change.sent) == ("high", "")
        assert change.reason


def test_a_conversation_that_outgrows_a_real_context_goes_on_with_its_last_turns(served: Served, twin: Twin) -> None:
    story = "The cat sat on the mat and the dog lay on the log. " * 3
    talk = [message for _ in range(6) for message in (ModelMessage.user(story), ModelMessage.assistant("Nice."))]
    talk = [ModelMessage.system("Be brief."), *talk, ModelMessage.user("Who sat on the mat?")]
    model = LmStudioProvider(KEY, base_url=served.url)
    with pytest.raises(roci.ContextTooLongError) as caught:
        twin.call(model, "generate_text", ProviderRequest(messages=talk, settings=SHORT))
    result = twin.streamed(model, ProviderRequest(messages=talk, settings=SHORT, on_overflow="drop_oldest"))

    assert caught.value.limit_tokens == 256
    assert 0 < result.receipt.dropped_messages < 12
    assert 60 < result.usage.input_tokens < 256
    assert len(result.receipt.retries) <= 2


TEXTS = {
    "English": "It was a bright cold day in April, and the clocks were striking thirteen. ",
    "German": "Die Donaudampfschifffahrtsgesellschaft besitzt Rindfleischetikettierungsgesetze. ",
    "Chinese": "春眠不觉晓,处处闻啼鸟。夜来风雨声,花落知多少。",
    "Arabic": "ولد جميع الناس أحرارا متساوين في الكرامة والحقوق. ",
    "code": "    for index, value in enumerate(values):\n        print(f'{index}: {value}')\n",
    "numbers": "3.14159 2.71828 1.41421 0.57721 ",
    "a table": "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "lines": "================ ---------------- ~~~~~~~~~~~~~~~~ ",
    "white space": "a\t\t\t\t\n\n\n\n        b",
    "emoji": "🙂🙃😉 ",
}


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_has_fewer_tokens_than_the_estimate(name: str, served: Served) -> None:
    text = TEXTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        response = LmStudioProvider(KEY, base_url=served.url).generate_text(
            asked(text, settings=GenerationSettings(max_tokens=1))
        )

    assert response.usage.input_tokens >= fewest_tokens((ModelMessage.user(text),)) > 0


def test_the_embedded_engine_has_receipts_too(starter_home: Path, twin: Twin) -> None:
    with LocalProvider(KEY, config=RociConfig(roci_home=str(starter_home))) as model:
        response = twin.call(model, "generate_text", asked("Say hello.", settings=SHORT))
        limit = model.describe().loaded_context_length

    assert response.receipt.context_limit_tokens == limit
    assert (response.receipt.prefill_s or 0) > 0
    assert response.receipt.model_asked == KEY


# ---- what other servers tell


LLAMA_CPP_TIMINGS = {"prompt_n": 5, "prompt_ms": 120.0, "predicted_n": 11, "predicted_ms": 500.0}


def test_llama_cpps_timings_are_read(twin: Twin) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 11, "total_tokens": 16}
    last = {"choices": [], "usage": usage, "timings": LLAMA_CPP_TIMINGS}
    routes = {CHAT: Reply.json(completion(usage=usage, timings=LLAMA_CPP_TIMINGS))}
    streams = {CHAT: Reply.events(chunk("Hi."), chunk(finish="stop"), last)}
    with canned_server(routes) as server:
        plain = twin.call(OpenAICompatibleProvider("m", base_url=server.url), "generate_text", asked()).receipt
    with canned_server(streams) as server:
        streamed = twin.streamed(OpenAICompatibleProvider("m", base_url=server.url), asked()).receipt

    assert (plain.prefill_s, plain.seconds_per_token) == (0.12, 0.05)
    assert (streamed.prefill_s, streamed.seconds_per_token) == (0.12, 0.05)


def test_lm_studios_stats_are_read(twin: Twin) -> None:
    stats = {"tokens_per_second": 50.0, "time_to_first_token": 0.25, "generation_time": 1.0, "stop_reason": "eosFound"}
    reply = Reply.json(completion(stats=stats, model_info={"context_length": 4096, "arch": "llama"}))
    with canned_server({CHAT: reply}) as server:
        receipt = twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked()).receipt

    assert (receipt.seconds_per_token, receipt.time_to_first_token_s) == (0.02, 0.25)
    assert receipt.context_limit_tokens == 4096


@pytest.mark.parametrize("stats", [{}, [], "fast", {"tokens_per_second": "many"}, {"tokens_per_second": 0}])
def test_figures_of_another_form_never_spoil_an_answer(stats: Any, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion(stats=stats, timings=stats, roci=stats))}) as server:
        response = twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked())

    assert (response.text, response.receipt.seconds_per_token) == ("Hello.", None)


def test_what_lm_studios_dialect_cannot_say_is_told(twin: Twin) -> None:
    tools = (ToolDefinition(name="f"), ToolDefinition(name="g"))
    call = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    with canned_server({CHAT: Reply.json(completion("", "tool_calls", message=call))}) as server:
        model = LmStudioProvider("m", base_url=server.url)
        named = twin.call(
            model, "generate_text", asked(tools=tools, settings=GenerationSettings(tool_choice="f"))
        ).receipt
    with canned_server({CHAT: Reply.json(completion("{}"))}) as server:
        model = LmStudioProvider("m", base_url=server.url)
        form = twin.call(model, "generate_text", asked(response_format=ResponseFormat.json_object())).receipt

    assert [(change.setting, change.asked) for change in named.ignored] == [("tool_choice", "f")]
    assert [(change.setting, change.sent) for change in form.ignored] == [
        ("response_format", "json_schema of any object")
    ]


def test_a_model_that_thought_and_one_that_replaced_another_are_told(twin: Twin) -> None:
    thought = completion(message={"reasoning_content": "Hm."}, model="other")
    with canned_server({CHAT: Reply.json(thought)}) as server, pytest.warns(roci.ModelSubstitutedWarning):
        receipt = twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked()).receipt

    assert (receipt.reasoning_ran, receipt.model_asked, receipt.model_answered) == (True, "m", "other")


def test_an_error_in_a_stream_has_the_receipt_of_what_had_come(twin: Twin) -> None:
    events = (chunk("Hel"), {"error": {"message": "The worker died.", "code": "worker_died"}})
    with canned_server({CHAT: Reply.events(*events, done=False)}) as server:
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.streamed(LmStudioProvider("m", base_url=server.url), asked())

    assert (caught.value.receipt.model_asked, caught.value.receipt.model_answered) == ("m", "m")
    assert caught.value.receipt.time_to_first_token_s is not None


def test_a_usage_error_has_no_receipt_for_nothing_was_sent(twin: Twin) -> None:
    with canned_server({}) as server, pytest.raises(roci.UsageError) as caught:
        twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", ProviderRequest(messages=()))

    assert caught.value.receipt is None


def test_a_function_hands_the_receipt_on(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        with LmStudioProvider("m", base_url=server.url) as model:
            result = twin.call(roci, "generate_text", model, "hi")

    assert result.receipt.model_answered == "m"
