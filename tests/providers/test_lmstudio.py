"""The LM Studio provider against a server that says what LM Studio says, and what it must not. Sync and async."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

import roci
from roci import GenerationSettings, LmStudioModel, LmStudioProvider, ModelMessage, ProviderRequest, ResponseFormat
from tests.support.canned_server import CannedServer, Reply, canned_server, chunk, completion
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
V1_MODELS = {
    "models": [
        {
            "type": "llm",
            "publisher": "qwen",
            "key": "qwen/qwen3-4b",
            "display_name": "Qwen3 4B",
            "architecture": "qwen3",
            "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
            "size_bytes": 2_500_000_000,
            "params_string": "4B",
            "loaded_instances": [
                {"id": "qwen/qwen3-4b", "config": {"context_length": 8192, "parallel": 4}},
                {"id": "qwen/qwen3-4b:2", "config": {"context_length": 4096}},
            ],
            "max_context_length": 40960,
            "format": "gguf",
            "capabilities": {
                "vision": False,
                "trained_for_tool_use": True,
                "reasoning": {"allowed_options": ["on", "off"], "default": "on"},
            },
            "description": None,
        },
        {
            "type": "embedding",
            "publisher": "nomic",
            "key": "nomic-embed",
            "display_name": "Nomic",
            "quantization": None,
            "size_bytes": 84_000_000,
            "loaded_instances": [],
            "max_context_length": 2048,
            "format": "gguf",
        },
    ]
}
V0_MODELS = {
    "object": "list",
    "data": [
        {
            "id": "llama3.3",
            "object": "model",
            "type": "vlm",
            "publisher": "meta",
            "arch": "llama",
            "compatibility_type": "gguf",
            "quantization": "Q4_K_M",
            "state": "loaded",
            "max_context_length": 131072,
            "loaded_context_length": 4096,
        }
    ],
}
V1_LIST = {"object": "list", "data": [{"id": "llama3.3", "object": "model", "owned_by": "organization_owner"}]}
UNKNOWN_PATH = Reply.json({"error": "Unexpected endpoint or method. (GET /x)"})


def provider(server: CannedServer, model: str = "m", **kwargs: Any) -> LmStudioProvider:
    return LmStudioProvider(model, base_url=server.url, **kwargs)


def asked(text: str = "hi", **fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user(text),), **fields)


def test_an_answer_comes_back_whole(twin: Twin) -> None:
    reply = completion(
        "Hello.",
        message={"reasoning_content": "Hm."},
        usage={"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1}},
    )
    with canned_server({CHAT: Reply.json(reply)}) as server, provider(server) as model:
        response = twin.call(model, "generate_text", asked(session_id="s-1"))

    assert (response.text, response.reasoning, response.finish_reason) == ("Hello.", "Hm.", "stop")
    assert response.usage == roci.Usage(input_tokens=5, output_tokens=3, total_tokens=8, reasoning_tokens=1)
    assert (response.model, response.response_id, response.session_id) == ("m", "chatcmpl-1", "s-1")
    assert response.stats.total_time_s > 0
    assert server.requests[0].json() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_an_answer_comes_as_a_stream(twin: Twin) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    events = Reply.events(chunk("Hel"), chunk("lo"), chunk(finish="stop"), {"choices": [], "usage": usage})
    with canned_server({CHAT: events}) as server, provider(server) as model:
        deltas = twin.deltas(model, asked())
        result = twin.streamed(model, asked(session_id="s-1"))

    assert [delta.text for delta in deltas if delta.text] == ["Hel", "lo"]
    assert (result.text, result.finish_reason, result.usage.output_tokens) == ("Hello", "stop", 2)
    assert result.messages == (ModelMessage.user("hi"), ModelMessage.assistant("Hello"))
    assert result.steps[0].response.text == "Hello"
    assert result.session_id == "s-1"
    assert result.stats.time_to_first_token_s is not None
    sent = server.requests[0].json()
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_every_setting_reaches_the_server_under_its_name(twin: Twin) -> None:
    settings = GenerationSettings(
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=30,
        min_p=0.1,
        repeat_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        seed=4,
        stop_sequences=("END",),
        reasoning="off",
        extra={"ttl": 60, "seed": 5},
    )
    with canned_server({CHAT: Reply.json(completion())}) as server, provider(server) as model:
        twin.call(model, "generate_text", asked(settings=settings))

    sent = server.requests[0].json()
    del sent["messages"], sent["model"]
    assert sent == {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 30,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "seed": 5,
        "stop": ["END"],
        "reasoning_effort": "none",
        "ttl": 60,
    }


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (ResponseFormat.text(), {"type": "text"}),
        (
            ResponseFormat.json_object(),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "json_object",
                    "strict": True,
                    "schema": {"type": "object", "additionalProperties": True},
                },
            },
        ),
        (
            ResponseFormat.json_schema({"type": "array"}, name="list"),
            {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": {"type": "array"}}},
        ),
    ],
)
def test_response_formats_are_sent_as_lm_studio_takes_them(form: ResponseFormat, wire: Any, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server, provider(server) as model:
        twin.call(model, "generate_text", asked(response_format=form))

    assert server.requests[0].json()["response_format"] == wire


F = roci.ToolDefinition(name="f", description="F.", parameters={"type": "object", "properties": {}})
G = roci.ToolDefinition(name="g")
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def test_tools_go_out_and_calls_come_back(twin: Twin) -> None:
    reply = completion("", "tool_calls", message={"tool_calls": [CALL]})
    with canned_server({CHAT: Reply.json(reply)}) as server, provider(server) as model:
        result = twin.call(roci, "generate_text", model, "hi", tools=[F, G])

    assert [(call.id, call.name, call.arguments) for call in result.tool_calls] == [("1", "f", {"x": 1})]
    assert result.finish_reason is roci.FinishReason.TOOL_CALLS
    assert result.messages[-1].tool_calls == result.tool_calls
    sent = server.requests[0].json()
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f", "g"]
    assert sent["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert "tool_choice" not in sent


def test_a_tool_round_in_the_history_is_sent_in_the_dialect(twin: Twin) -> None:
    call = roci.ToolCall(id="1", name="f", arguments_json="{}")
    history = [
        ModelMessage.user("hi"),
        ModelMessage.assistant(tool_calls=[call]),
        ModelMessage.tool_result("1", "42"),
    ]
    with canned_server({CHAT: Reply.json(completion())}) as server, provider(server) as model:
        twin.call(roci, "generate_text", model, history)

    assert server.requests[0].json()["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "42", "tool_call_id": "1"},
    ]


@pytest.mark.parametrize(
    ("choice", "wire", "tools"),
    [("auto", "auto", ["f", "g"]), ("none", "none", ["f", "g"]), ("required", "required", ["f", "g"])]
    + [("g", "required", ["g"])],
)
def test_a_tool_choice_is_sent_as_lm_studio_takes_it(choice: str, wire: str, tools: list[str], twin: Twin) -> None:
    called = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}
    reply = Reply.json(completion("", "tool_calls", message=called))
    with canned_server({CHAT: reply}) as server, provider(server) as model:
        twin.call(roci, "generate_text", model, "hi", GenerationSettings(tool_choice=choice), tools=[F, G])

    sent = server.requests[0].json()
    assert sent["tool_choice"] == wire
    assert [tool["function"]["name"] for tool in sent["tools"]] == tools


def test_images_are_sent_as_parts(twin: Twin) -> None:
    message = ModelMessage.user(["See:", roci.ImagePart("data:image/png;base64,iVBORw0KGgo=")])
    with canned_server({CHAT: Reply.json(completion())}) as server, provider(server) as model:
        twin.call(roci, "generate_text", model, [message])

    assert server.requests[0].json()["messages"][0]["content"] == [
        {"type": "text", "text": "See:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_base_url_may_end_as_it_likes(suffix: str, twin: Twin) -> None:
    routes = {CHAT: Reply.json(completion()), "GET /api/v1/models": Reply.json(V1_MODELS)}
    with canned_server(routes) as server, LmStudioProvider("m", base_url=server.url + suffix) as model:
        assert twin.call(model, "generate_text", asked()).text == "Hello."
        assert twin.call(model, "list_models")


def test_the_environment_names_server_and_token(twin: Twin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with canned_server({CHAT: Reply.json(completion()), "GET /api/v1/models": Reply.json(V1_MODELS)}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url + "/v1")
        monkeypatch.setenv("LM_API_TOKEN", "sk-lm-x")
        assert twin.call(roci, "generate_text", "lmstudio:m", "hi").text == "Hello."
        with LmStudioProvider("m") as model:
            twin.call(model, "list_models")

    assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-lm-x"}


def test_no_token_is_sent_where_there_is_none(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server, provider(server) as model:
        twin.call(model, "generate_text", asked())

    assert "authorization" not in server.requests[0].headers


def test_models_are_listed_with_what_the_native_api_tells(twin: Twin) -> None:
    with canned_server({"GET /api/v1/models": Reply.json(V1_MODELS)}) as server, provider(server) as model:
        chat, copy, embedding = twin.call(model, "list_models")

    assert (chat.key, chat.kind, chat.is_loaded, chat.loaded_context_length) == ("qwen/qwen3-4b", "llm", True, 8192)
    assert (chat.max_context_length, chat.quantization, chat.publisher) == (40960, "Q4_K_M", "qwen")
    assert (chat.capabilities.tools, chat.capabilities.reasoning, chat.capabilities.context_length) == (
        True,
        True,
        8192,
    )
    assert (copy.key, copy.loaded_context_length) == ("qwen/qwen3-4b:2", 4096)
    assert (embedding.kind, embedding.is_loaded, embedding.quantization) == ("embedding", False, "")
    assert chat.source == "/api/v1/models"


@pytest.mark.parametrize("missing", [UNKNOWN_PATH, Reply.json({"error": "no"}, 404), Reply.text("<html>", status=404)])
def test_an_older_server_is_asked_in_the_older_ways(missing: Reply, twin: Twin) -> None:
    routes = {"GET /api/v1/models": missing, "GET /api/v0/models": Reply.json(V0_MODELS)}
    with canned_server(routes) as server, provider(server, "llama3.3") as model:
        info = twin.call(model, "describe")
    assert (info.source, info.loaded_context_length, info.capabilities.vision) == ("/api/v0/models", 4096, True)

    routes = dict.fromkeys(("GET /api/v1/models", "GET /api/v0/models"), missing)
    with canned_server(routes | {"GET /v1/models": Reply.json(V1_LIST)}) as server:
        info = twin.call(provider(server, "llama3.3"), "describe")
    assert (info.source, info.key, info.is_loaded) == ("/v1/models", "llama3.3", None)


def test_capabilities_are_assumed_until_the_server_is_asked(twin: Twin) -> None:
    assumed = LmStudioProvider("m", base_url="http://localhost:1").capabilities

    assert (assumed.tools, assumed.streaming, assumed.json_mode, assumed.system_messages) == (True, True, True, True)
    assert (assumed.json_schema, assumed.vision, assumed.reasoning) == (False, False, False)
    assert assumed.context_length == 32_768
    with canned_server({"GET /api/v1/models": Reply.json(V1_MODELS)}) as server:
        truth = twin.call(provider(server, "Qwen/Qwen3-4B"), "describe")
    assert truth.capabilities.json_schema
    assert truth.capabilities.context_length == 8192


def test_a_custom_model_stands_where_a_string_does(twin: Twin) -> None:
    custom = LmStudioModel.custom("m", roci.ModelCapabilities(vision=True))
    with canned_server({CHAT: Reply.json(completion())}) as server:
        model = LmStudioProvider(custom, base_url=server.url)
        assert twin.call(model, "generate_text", asked()).text == "Hello."

    assert (model.model_id, model.capabilities.vision, custom.model_id) == ("m", True, "m")


@pytest.mark.parametrize("answered", ["m:2", "m@q4_k_m", "M", "m", ""])
def test_another_spelling_of_the_model_is_no_substitution(answered: str, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion(model=answered))}) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert twin.call(provider(server), "generate_text", asked()).warnings == ()


def test_another_model_is_warned_about_in_both_ways(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion(model="other"))}) as server:
        with pytest.warns(roci.ModelSubstitutedWarning, match="other"):
            response = twin.call(provider(server), "generate_text", asked())
        server.routes[CHAT] = Reply.events(chunk("x", model="other"), chunk(finish="stop", model="other"))
        with pytest.warns(roci.ModelSubstitutedWarning, match="other"):
            result = twin.streamed(provider(server), asked())

    assert [warning.kind for warning in response.warnings + result.warnings] == ["model_substituted"] * 2


@pytest.mark.parametrize("streamed", [False, True])
def test_the_session_goes_to_the_result_and_the_log_and_not_to_the_server(
    streamed: bool, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "roci")
    reply = Reply.events(chunk("Hi."), chunk(finish="stop")) if streamed else Reply.json(completion())
    with canned_server({CHAT: reply}) as server, provider(server) as model:
        request = asked("a secret question", session_id="s-42")
        answer = twin.streamed(model, request) if streamed else twin.call(model, "generate_text", request)

    assert answer.session_id == "s-42"
    (record,) = caplog.records
    assert "s-42" in record.getMessage()
    assert "secret" not in record.getMessage()
    assert b"s-42" not in server.requests[0].body


def test_a_language_model_stands_where_a_selector_does(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        model = roci.LanguageModel(provider_key="lmstudio", model_id="m")
        assert twin.call(roci, "generate_text", model, [ModelMessage.user("hi")]).text == "Hello."


def test_keys_in_bodies_are_json_as_written(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        twin.call(provider(server), "generate_text", asked("grüß 🦙 \x00 \ud7ff"))

    assert json.loads(server.requests[0].body)["messages"][0]["content"] == "grüß 🦙 \x00 \ud7ff"
