"""Chats through the gateway: what comes back, and what a client is told when it goes wrong."""

from __future__ import annotations

import json

import pytest

from tests.server.conftest import Gateway, chat, model_file
from tests.support.fake_worker import SAMPLES
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.tiny_images import PNG
from tests.support.workers import fake_log, text_of

RECORDED = (SAMPLES / "chat_stop_usage.sse").read_bytes()
RECORDED_TEXT = text_of(RECORDED.decode())


def events(body: str) -> list[str]:
    return [event.removeprefix("data: ") for event in body.split("\n\n") if event]


def loads(gateway: Gateway, key: str = "first") -> list[int]:
    return [note["pid"] for note in fake_log(gateway.file(key)) if note["event"] == "loaded"]


def test_a_plain_chat_is_one_whole_reply(gateway: Gateway):
    reply = gateway.ask(chat())
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == "first"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": RECORDED_TEXT}
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert body["timings"]["predicted_n"] == body["usage"]["completion_tokens"]


def test_a_stream_says_what_the_worker_said(gateway: Gateway):
    reply = gateway.ask(chat(stream=True, stream_options={"include_usage": True}))
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    assert text_of(reply.text) == RECORDED_TEXT
    *_, usage, done = events(reply.text)
    assert json.loads(usage)["usage"]["total_tokens"] > 0
    assert done == "[DONE]"


def test_the_worker_is_asked_for_a_stream_with_progress_and_usage_and_gets_the_engines_fields(gateway: Gateway):
    sent = chat("#echo", model="FIRST", temperature=0.5, zz={"deep": [1.50, None]}, stream=False, ttl=5)
    seen = json.loads(gateway.ask(sent).json()["choices"][0]["message"]["content"])
    del sent["ttl"]
    assert seen == sent | {
        "model": "first",
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }


def test_a_model_with_a_tool_template_calls_tools(gateway: Gateway):
    write_tiny_gguf(model_file(gateway.home, "with-tools"))
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    choice = gateway.ask(chat("#tools", model="with-tools", tools=tools)).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    assert call["function"]["name"] == "get_weather"
    assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_tools_for_a_model_without_a_tool_template_are_told_in_words(gateway: Gateway):
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    seen = json.loads(gateway.ask(chat("#echo", tools=tools)).json()["choices"][0]["message"]["content"])
    assert "tools" not in seen
    assert seen["messages"][0]["role"] == "system"
    assert "get_weather" in seen["messages"][0]["content"]
    assert "[TOOL_REQUEST]" in seen["messages"][0]["content"]


def test_images_for_a_model_that_sees_none_are_refused(gateway: Gateway):
    parts = [{"type": "image_url", "image_url": {"url": PNG}}]
    error = gateway.error({"model": "first", "messages": [{"role": "user", "content": parts}]}, 400)
    assert (error["code"], error["param"]) == ("images_not_supported", "messages")


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_says_how_long_both_are(gateway: Gateway, stream: bool):
    error = gateway.error(chat("#overflow", stream=stream), 400)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert "maximum context length is 2048 tokens" in error["message"]
    assert (error["given_tokens"], error["limit_tokens"]) == (3031, 2048)


@pytest.mark.parametrize("stream", [False, True])
def test_the_engines_own_refusal_names_its_field(gateway: Gateway, stream: bool):
    error = gateway.error(chat("#bad", stream=stream), 400)
    assert (error["param"], error["type"]) == ("n", "invalid_request_error")


def test_an_unknown_model_is_told_the_nearest_names(gateway: Gateway):
    error = gateway.error(chat(model="frist"), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "first" in error["message"]


def test_a_bad_field_is_refused_before_anything_is_loaded(gateway: Gateway):
    assert gateway.error(chat(temperature=-1), 400)["param"] == "temperature"
    assert gateway.error(json.dumps(chat(temperature=float("nan"))).encode(), 400)["param"] == "temperature"
    assert gateway.error(chat(n=3), 400)["param"] == "n"
    assert gateway.health()["models"] == []
    assert loads(gateway) == []


def test_bodies_that_are_no_request_are_refused(gateway: Gateway):
    assert gateway.error(b"", 400)["code"] == "empty_body"
    assert gateway.error(b"{", 400)["code"] == "invalid_json"
    assert gateway.error(b'{"model": "\xff"}', 400)["code"] == "invalid_json"
    assert gateway.error(b"[" * 100_000, 400)["code"] in ("invalid_json", "invalid_type")
    assert gateway.error(b'{"x": ' + b"[" * 100_000, 400)["code"] == "invalid_json"


def test_a_body_that_is_too_large_is_refused(make_gateway):
    with make_gateway(max_body_mb=1) as gateway:
        assert gateway.error(chat("x" * 1_100_000), 413)["code"] == "body_too_large"
        assert gateway.ask(chat("x" * 900_000)).status_code == 200


def test_an_embedding_model_does_not_chat(gateway: Gateway):
    write_tiny_gguf(model_file(gateway.home, "vectors"), architecture="bert")
    error = gateway.error(chat(model="vectors"), 400)
    assert (error["code"], error["param"]) == ("not_a_chat_model", "model")


def test_a_model_that_does_not_load_says_why(gateway: Gateway):
    write_tiny_gguf(model_file(gateway.home, "fails"))
    reply = gateway.ask(chat(model="fails"))
    assert reply.status_code == 500
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"]["code"] == "load_failed"
    assert "architecture" in reply.json()["error"]["message"]
    assert gateway.ask(chat()).status_code == 200


def test_a_file_that_is_no_model_says_so(gateway: Gateway):
    file = model_file(gateway.home, "text")
    file.parent.mkdir()
    file.write_text("this is no model, by any means")
    assert gateway.error(chat(model="text"), 500)["code"] == "load_failed"


def test_a_model_without_memory_for_it_says_so(gateway: Gateway):
    write_tiny_gguf(model_file(gateway.home, "oom"))
    assert gateway.error(chat(model="oom"), 507)["code"] == "insufficient_memory"


@pytest.mark.parametrize("word", ["#die", "#cut"])
def test_a_worker_that_breaks_off_in_mid_stream_ends_the_stream_with_an_error(gateway: Gateway, word: str):
    reply = gateway.ask(chat(word, stream=True))
    assert reply.status_code == 200
    *tokens, last = events(reply.text)
    assert len(tokens) == 4
    error = json.loads(last)["error"]
    assert error["code"] == "worker_died"
    assert {"message", "type", "param", "code"} <= set(error)
    assert "[DONE]" not in reply.text


@pytest.mark.parametrize("word", ["#die", "#cut"])
def test_a_worker_that_breaks_off_fails_a_plain_chat_and_what_had_come_is_in_the_error(gateway: Gateway, word: str):
    error = gateway.error(chat(word), 503)
    assert error["code"] == "worker_died"
    assert RECORDED_TEXT.startswith(error["partial"]["text"])
    assert error["partial"]["text"]


def test_the_request_after_a_death_is_answered_by_a_new_worker(gateway: Gateway):
    gateway.ask(chat("#die", stream=True))
    assert gateway.ask(chat()).status_code == 200
    before, after = loads(gateway)
    assert before != after


def test_an_error_of_the_engine_in_mid_stream_is_told_in_openais_shape(gateway: Gateway):
    reply = gateway.ask(chat("#error", stream=True))
    *_, last = events(reply.text)
    error = json.loads(last)["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert "Context size has been exceeded" in error["message"]
    assert "[DONE]" not in reply.text


def test_an_error_of_the_engine_in_mid_stream_fails_a_plain_chat(gateway: Gateway):
    error = gateway.error(chat("#error"), 500)
    assert error["code"] == "engine_failed"
    assert "Context size has been exceeded" in error["message"]
