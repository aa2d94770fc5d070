"""Every option of LM Studio's routes that the checklist's lines do not name: it reaches the model, or says why not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.checklist.conftest import HI, TOOL, heard, post
from tests.server.conftest import Gateway
from tests.server.test_chat import RECORDED_TEXT
from tests.support.compatibility import compatible

# One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DATA_URL = f"data:image/png;base64,{PNG}"


@compatible(
    "POST /v1/chat/completions",
    [
        "`temperature`, `top_p`, `top_k`, `min_p`, `repeat_penalty`",
        "`presence_penalty`, `frequency_penalty`, `logit_bias`",
        "`seed`, `stop`",
    ],
    "same",
)
@compatible("POST /api/v0/chat/completions", "the options of `/v1/chat/completions`", "same")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v0/chat/completions"])
def test_chat_sampling_reaches_the_model(shared: Gateway, path: str):
    options: dict[str, Any] = {
        "temperature": 0.3,
        "top_p": 0.5,
        "top_k": 7,
        "min_p": 0.1,
        "repeat_penalty": 1.2,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "seed": 11,
        "logit_bias": {"5": -1.0},
    }
    asked = heard(shared, path, **options)
    assert {name: asked[name] for name in options} == options
    stopped = post(shared, path, {"model": "first", "messages": HI, "stop": ["zzz"]})
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert heard(shared, "/v1/chat/completions", stop=["zzz"])["stop"] == ["zzz"]


@compatible("POST /v1/chat/completions", "`max_tokens`, -1 for no limit", "same")
@compatible("POST /v1/chat/completions", "`max_completion_tokens`", "better", "undocumented in LM Studio")
def test_chat_limits(shared: Gateway):
    assert heard(shared, "/v1/chat/completions", max_tokens=9)["max_tokens"] == 9
    assert "max_tokens" not in heard(shared, "/v1/chat/completions", max_tokens=-1)
    assert heard(shared, "/v1/chat/completions", max_completion_tokens=8, max_tokens=9)["max_tokens"] == 8


@compatible(
    "POST /v1/chat/completions", "`messages`: system, user, assistant, tool; `tool_calls`, `tool_call_id`", "same"
)
@compatible("POST /v1/chat/completions", "role `developer`", "same")
def test_chat_roles(shared: Gateway):
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    told: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {"role": "user", "content": "#echo"},
    ]
    reply = post(shared, "/v1/chat/completions", {"model": "tools", "messages": told, "tools": [TOOL]})
    assert "sunny" in reply["choices"][0]["message"]["content"]


@compatible(
    "POST /v1/chat/completions",
    "`image_url` with a data URL",
    "same",
    "for models with a projector",
)
@compatible("POST /v1/chat/completions", "`image_url` with a web address", "same", "refused: nothing is fetched")
def test_chat_images_are_refused_by_models_without_eyes_and_never_fetched(shared: Gateway):
    for url in (DATA_URL, "http://127.0.0.1:9/x.png"):
        content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
        body = {"model": "first", "messages": [{"role": "user", "content": content}]}
        assert post(shared, "/v1/chat/completions", body, 400)["error"]["param"]


@compatible(
    "POST /v1/chat/completions",
    "reply: `choices[0].message`, `finish_reason`, `usage`, `stats`",
    "same",
    "`tool_calls` is absent where there are none",
)
@compatible("POST /v1/chat/completions", "`reasoning_content`", "same", "`reasoning` too; absent where there is none")
def test_chat_reply(shared: Gateway):
    reply = post(
        shared, "/v1/chat/completions", {"model": "thinker", "messages": [{"role": "user", "content": "#think"}]}
    )
    message = reply["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (RECORDED_TEXT, "Let me see.")
    assert (reply["choices"][0]["finish_reason"], reply["stats"]) == ("stop", {})
    assert reply["id"].startswith("chatcmpl-")
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]


@compatible(
    "POST /v1/chat/completions",
    "`reasoning_effort`",
    "better",
    "every spelling that clients use; where a model cannot, a note says so",
)
@compatible("POST /v1/responses", "`reasoning.effort`", "same")
@compatible("POST /v1/messages", "`thinking`", "same")
@compatible("POST /api/v1/chat", "`reasoning`", "same", "refused where the model does not offer the value")
def test_reasoning_is_switched_in_every_family(shared: Gateway):
    for path, fields in (
        ("/v1/chat/completions", {"reasoning_effort": "none"}),
        ("/v1/responses", {"reasoning": {"effort": "none"}}),
        ("/v1/messages", {"thinking": {"type": "disabled"}}),
        ("/api/v1/chat", {"reasoning": "off"}),
    ):
        asked = heard(shared, path, model="thinker", **fields)
        assert asked["chat_template_kwargs"]["enable_thinking"] is False, path
    refused = post(shared, "/api/v1/chat", {"model": "first", "input": "hi", "reasoning": "high"}, 400)["error"]
    assert refused["param"] == "reasoning"


@compatible("POST /v1/chat/completions", "`tools`, `tool_choice: auto`, `none`", "same")
@compatible("POST /v1/chat/completions", "`parallel_tool_calls`", "better", "heeded; LM Studio ignores it")
def test_tools_of_a_model_that_knows_them(shared: Gateway):
    asked = heard(shared, "/v1/chat/completions", model="tools", tools=[TOOL], parallel_tool_calls=False)
    assert asked["tools"][0]["function"]["name"] == "get_weather"
    assert asked["parallel_tool_calls"] is False
    body = {"model": "tools", "messages": [{"role": "user", "content": "#tools"}], "tools": [TOOL]}
    reply = post(shared, "/v1/chat/completions", body)
    assert reply["choices"][0]["finish_reason"] == "tool_calls"
    silent = heard(shared, "/v1/chat/completions", model="tools", tools=[TOOL], tool_choice="none")
    assert silent.get("tool_choice", "none") == "none"


@compatible("POST /v1/chat/completions", "`draft_model`", "same", "for the load that the request makes")
@compatible(
    "POST /v1/chat/completions", "`user`, `metadata`, `service_tier`, OpenAI's `store`", "same", "taken, without effect"
)
def test_what_has_no_effect_is_taken(shared: Gateway):
    more = {"user": "me", "metadata": {"a": "b"}, "service_tier": "auto", "store": True}
    assert post(shared, "/v1/chat/completions", {"model": "first", "messages": HI, **more})["choices"]
    unknown = post(shared, "/v1/chat/completions", {"model": "second", "messages": HI, "draft_model": "nobody"}, 404)
    assert unknown["error"]["code"] == "model_not_found"


@compatible(
    "POST /v1/chat/completions", "`preset`", "missing", "taken without effect: roci has settings for each model instead"
)
def test_presets_have_no_effect(shared: Gateway):
    assert "preset" not in heard(shared, "/v1/chat/completions", preset="mine")


@compatible(
    "POST /v1/chat/completions",
    "a prompt beyond the context",
    "better",
    "always 400 with both numbers, before the answer; LM Studio answers 400, 500 or a broken stream",
)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "#overflow"}]}),
        ("/v1/responses", {"input": "#overflow"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "#overflow"}], "max_tokens": 9}),
        ("/api/v0/chat/completions", {"messages": [{"role": "user", "content": "#overflow"}]}),
    ],
)
def test_overflow_is_a_400_with_numbers(shared: Gateway, path: str, fields: dict[str, Any], stream: bool):
    error = post(shared, path, {"model": "first", "stream": stream, **fields}, 400)["error"]
    assert error["code"] == "context_length_exceeded"
    assert 0 < error["limit_tokens"] < error["given_tokens"]


@compatible(
    "POST /v1/responses",
    ["`input` as a text or items", "`instructions`", "`temperature`, `top_p`, `max_output_tokens`"],
    "same",
)
@compatible("POST /v1/responses", "`truncation`", "same", "echoed")
@compatible("POST /v1/responses", "`ttl`", "better", "heeded; LM Studio ignores it")
@compatible("POST /v1/responses", "`text.format`", "better", "enforced and checked; LM Studio's is reported broken")
@compatible("POST /v1/responses", "`include: message.output_text.logprobs`, `top_logprobs`", "same")
def test_responses_options(shared: Gateway):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    asked = heard(
        shared,
        "/v1/responses",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "#echo"}]}],
        instructions="Be brief.",
        temperature=0.3,
        top_p=0.5,
        max_output_tokens=50,
        truncation="disabled",
        ttl=600,
        text={"format": {"type": "json_schema", "name": "x", "schema": schema}},
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    assert asked["messages"][0]["content"] == "Be brief."
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.3, 0.5, 50)
    assert asked["response_format"]["type"] == "json_schema"
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)


@compatible("POST /v1/responses", "`tools` of type function, `tool_choice`, `parallel_tool_calls`", "same")
@compatible("POST /v1/responses", "`function_call`, `function_call_output` items", "same")
@compatible("POST /v1/responses", "reply: `status`, `output`, `usage`, what was asked", "same")
def test_responses_calls(shared: Gateway):
    flat = {"type": "function", **TOOL["function"]}
    body: dict[str, Any] = {"model": "tools", "tools": [flat], "parallel_tool_calls": False}
    reply = post(shared, "/v1/responses", {**body, "input": "#tools"})
    (call,) = [item for item in reply["output"] if item["type"] == "function_call"]
    assert (reply["status"], reply["parallel_tool_calls"], reply["tools"][0]["name"]) == (
        "completed",
        False,
        "get_weather",
    )
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    more = post(shared, "/v1/responses", {**body, "input": [result], "previous_response_id": reply["id"]})
    assert more["status"] == "completed"


@compatible(
    "POST /v1/messages",
    [
        "`system`, `messages`, `max_tokens`",
        "`temperature`, `top_p`, `top_k`, `stop_sequences`",
        "`tools`, `tool_choice`",
    ],
    "same",
)
@compatible(
    "POST /v1/messages",
    "`metadata`, `cache_control`, `anthropic-version`, beta headers",
    "same",
    "not needed, taken without effect",
)
@compatible("POST /v1/messages", "reply: `content`, `stop_reason`, `usage`", "same")
def test_messages_options(shared: Gateway):
    asked = heard(
        shared,
        "/v1/messages",
        model="tools",
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        temperature=0.3,
        top_p=0.5,
        top_k=7,
        metadata={"user_id": "me"},
        tools=[{"name": "get_weather", "input_schema": {"type": "object"}}],
        tool_choice={"type": "auto"},
    )
    assert asked["messages"][0]["content"] == "Be brief."
    assert (asked["temperature"], asked["top_p"], asked["top_k"]) == (0.3, 0.5, 7)
    assert asked["tools"][0]["function"]["name"] == "get_weather"
    body = {"model": "first", "max_tokens": 9, "messages": HI, "stop_sequences": ["welcome"]}
    reply = post(shared, "/v1/messages", body)
    assert (reply["type"], reply["role"], reply["stop_reason"]) == ("message", "assistant", "stop_sequence")
    assert {"input_tokens", "output_tokens"} <= set(reply["usage"])


@compatible("POST /v1/messages", "`image` blocks in base64", "same", "for models with a projector")
@compatible("POST /api/v1/chat", "`input` items `image` with `data_url`", "same", "for models with a projector")
@compatible("POST /v1/responses", "`input_image` with a data URL", "same", "for models with a projector")
def test_images_are_refused_by_models_without_eyes_in_every_family(shared: Gateway):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    messages = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    image = {"role": "user", "content": [{"type": "input_image", "image_url": DATA_URL}]}
    for path, fields in (
        ("/v1/messages", {"messages": messages, "max_tokens": 9}),
        ("/v1/responses", {"input": [image]}),
        ("/api/v1/chat", {"input": [{"type": "image", "data_url": DATA_URL}]}),
    ):
        error = post(shared, path, {"model": "first", **fields}, 400)["error"]
        assert error["code"] == "images_not_supported", path
