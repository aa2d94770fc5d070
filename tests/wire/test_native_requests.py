"""What `/api/v1` takes, what it refuses, and what the engine path is asked for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from roci.errors import BadRequestError
from roci.wire.ask import Ask
from roci.wire.lmstudio.chat_requests import EphemeralMcpIntegration, PluginIntegration, decode_native_chat, native_ask
from roci.wire.lmstudio.load_requests import decode_load, decode_unload
from roci.wire.openai.requests import ChatMessage, ContentPart, ImageUrl
from tests.support.compatibility import compatible

SAMPLES = Path(__file__).parents[1] / "samples" / "errors"
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG....").decode()


def chat_fault(body: bytes | dict[str, Any]) -> BadRequestError:
    with pytest.raises(BadRequestError) as refused:
        decode_native_chat(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert refused.value.status == 400
    return refused.value


def ask(thread: tuple[ChatMessage, ...] = (), **fields: Any) -> Ask:
    body = {"model": "m", "input": "hi", **fields}
    return native_ask(decode_native_chat(json.dumps(body).encode()), thread)


def test_all_unknown_keys_are_named_at_once():
    fault = chat_fault({"model": "m", "input": "hi", "ttl": 3, "stop": ["x"], "seed": 1})
    assert fault.code == "unrecognized_keys"
    assert fault.message == "Unrecognized key(s): 'seed', 'stop', 'ttl'."


def test_a_thousand_unknown_keys_make_a_short_message():
    fault = chat_fault({"model": "m", "input": "hi"} | {f"{i:04}" * 1000: 1 for i in range(1000)})
    assert len(fault.message) < 3000
    assert "and 980 more" in fault.message


def test_a_missing_model_is_told_in_the_recorded_words():
    fault = chat_fault({"input": "hi"})
    recorded = json.loads((SAMPLES / "lmstudio_native_missing_model.json").read_bytes())["body"]["error"]
    assert {"message": fault.message, "code": fault.code, "param": fault.param, "type": "invalid_request"} == recorded


def test_an_input_item_of_another_type_names_what_there_is():
    fault = chat_fault({"model": "m", "input": [{"type": "input_text", "content": "x"}]})
    assert (fault.code, fault.param) == ("invalid_union", "input")
    assert "'text' | 'image'" in fault.message
    assert "input[0].type" in fault.message


@pytest.mark.parametrize(
    ("wrong", "param", "code"),
    [
        ({"input": []}, "input", "invalid_value"),
        ({"input": 5}, "input", "invalid_value"),
        ({"input": [{"type": "text"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [{"content": "x"}]}, "input[0].type", "missing_required_parameter"),
        ({"input": [{"type": "text", "content": "x", "role": "user"}]}, "input[0]", "unrecognized_keys"),
        ({"input": [{"type": "text", "content": "x", "data_url": PNG}]}, "input[0]", "unrecognized_keys"),
        ({"input": [{"type": "image"}]}, "input[0].data_url", "missing_required_parameter"),
        ({"temperature": 1.5}, "temperature", "invalid_value"),
        ({"top_p": -0.1}, "top_p", "invalid_value"),
        ({"min_p": "x"}, "min_p", "invalid_value"),
        ({"top_k": -1}, "top_k", "invalid_value"),
        ({"repeat_penalty": 0}, "repeat_penalty", "invalid_value"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
        ({"context_length": 0}, "context_length", "invalid_value"),
        ({"reasoning": "max"}, "reasoning", "invalid_value"),
        ({"store": "yes"}, "store", "invalid_value"),
        ({"integrations": [{"type": "web", "id": "x"}]}, "integrations[0].type", "invalid_value"),
        ({"integrations": [{"type": "plugin", "id": "mcp/x", "no": 1}]}, "integrations[0]", "unrecognized_keys"),
        (
            {"integrations": [{"type": "ephemeral_mcp", "server_label": "a", "server_url": "file:///etc/passwd"}]},
            "integrations[0].server_url",
            "invalid_value",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(wrong: dict[str, Any], param: str, code: str):
    fault = chat_fault({"model": "m", "input": "hi"} | wrong)
    assert (fault.param, fault.code) == (param, code)


@pytest.mark.parametrize("body", [b"", b"  ", b"{", b"[]", b"null", b'{"model": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes):
    assert chat_fault(body).code in ("empty_body", "invalid_json", "invalid_type")


def test_every_field_reaches_the_engine_path():
    asked = ask(
        temperature=0.5,
        top_p=0.9,
        min_p=0.1,
        top_k=5,
        repeat_penalty=1.2,
        max_output_tokens=7,
        reasoning="low",
        context_length=512,
        stream=True,
        system_prompt="Be kind.",
    )
    chat = asked.chat
    assert chat.messages == [ChatMessage("system", "Be kind."), ChatMessage("user", "hi")]
    assert (chat.temperature, chat.top_p, chat.min_p, chat.top_k, chat.repeat_penalty) == (0.5, 0.9, 0.1, 5, 1.2)
    assert (chat.max_tokens, chat.stream) == (7, True)
    assert (asked.reasoning, asked.reasoning_is_strict, asked.context_length) == ("low", True, 512)


def test_text_items_are_plain_text_by_either_of_their_names():
    items = [{"type": "text", "content": "a"}, {"type": "message", "content": "b"}]
    assert ask(input=items).chat.messages == [ChatMessage("user", "a\nb")]


def test_images_keep_their_place_among_texts():
    items = [{"type": "text", "content": "a"}, {"type": "image", "data_url": PNG}, {"type": "text", "content": "b"}]
    (turn,) = ask(input=items).chat.messages
    assert turn.content == [
        ContentPart("text", text="a"),
        ContentPart("image_url", image_url=ImageUrl(PNG)),
        ContentPart("text", text="b"),
    ]


def test_a_thread_goes_before_the_new_turn_and_keeps_its_system_prompt():
    thread = (ChatMessage("system", "s"), ChatMessage("user", "u"), ChatMessage("assistant", "a"))
    assert ask(thread).chat.messages == [*thread, ChatMessage("user", "hi")]


def test_another_system_prompt_takes_the_place_of_the_thread_s():
    thread = (ChatMessage("system", "s"), ChatMessage("user", "u"), ChatMessage("assistant", "a"))
    messages = ask(thread, system_prompt="new").chat.messages
    assert messages == [ChatMessage("system", "new"), *thread[1:], ChatMessage("user", "hi")]


def test_a_null_means_the_same_as_an_absent_field():
    names = ("system_prompt", "temperature", "reasoning", "store", "previous_response_id", "integrations", "stream")
    request = decode_native_chat(json.dumps({"model": "m", "input": "hi"} | dict.fromkeys(names)).encode())
    assert request == decode_native_chat(b'{"model": "m", "input": "hi", "stream": null}')
    assert request.is_stored
    assert request.wanted_integrations == []


@compatible("POST /api/v1/chat", "`integrations`: names, `plugin`, `ephemeral_mcp`", "same")
def test_integrations_are_read_in_all_three_forms():
    remote = {"type": "ephemeral_mcp", "server_label": "l", "server_url": "https://x", "headers": {"a": "b"}}
    named = {"type": "plugin", "id": "mcp/y", "allowed_tools": ["t"]}
    body = {"model": "m", "input": "hi", "integrations": ["mcp/x", named, remote]}
    assert decode_native_chat(json.dumps(body).encode()).wanted_integrations == [
        PluginIntegration("mcp/x"),
        PluginIntegration("mcp/y", ["t"]),
        EphemeralMcpIntegration("l", "https://x", headers={"a": "b"}),
    ]


def test_a_load_s_options_have_roci_s_names():
    body = {"model": "m", "identifier": "mine", "ttl": 60, "eval_batch_size": 128, "use_mmap": False, "stream": True}
    request = decode_load(json.dumps(body).encode())
    assert request.options == {"n_batch": 128, "use_mmap": False, "ttl_s": 60}
    assert (request.identifier, request.ttl, request.stream) == ("mine", 60, True)


@pytest.mark.parametrize(
    ("wrong", "param", "code"),
    [
        ({"rope_freq": 1}, None, "unrecognized_keys"),
        ({"n_batch": 1}, None, "unrecognized_keys"),
        ({"context_length": 0}, "context_length", "invalid_value"),
        ({"context_length": 2.5}, "context_length", "invalid_value"),
        ({"kv_cache_type": "q2"}, "kv_cache_type", "invalid_value"),
        ({"ttl": 0}, "ttl", "invalid_value"),
        ({"ttl": "abc"}, "ttl", "invalid_value"),
        ({"identifier": "a b"}, "identifier", "invalid_value"),
        ({"identifier": ""}, "identifier", "invalid_value"),
        ({"parallel": 0}, "parallel", "invalid_value"),
        ({"draft_model": "d", "speculation": "ngram"}, "speculation", "invalid_value"),
    ],
)
def test_a_wrong_load_is_refused_with_its_path(wrong: dict[str, Any], param: str | None, code: str):
    with pytest.raises(BadRequestError) as refused:
        decode_load(json.dumps({"model": "m"} | wrong).encode())
    assert (refused.value.param, refused.value.code) == (param, code)


def test_an_unload_takes_the_instance_alone():
    assert decode_unload(b'{"instance_id": "m:2"}').instance_id == "m:2"
    with pytest.raises(BadRequestError, match="'model'"):
        decode_unload(b'{"instance_id": "m", "model": "m"}')
    with pytest.raises(BadRequestError, match='"instance_id" is required'):
        decode_unload(b"{}")
