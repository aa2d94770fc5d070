"""Bodies of `/v1/messages`: what they mean, and what is refused with the field's path."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from roci.errors import BadRequestError
from roci.wire.anthropic.convert import ask_of_count, ask_of_messages
from roci.wire.anthropic.requests import decode_count_request, decode_messages_request
from roci.wire.ask import Ask

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
TOOL = {"name": "get_weather", "description": "Weather.", "input_schema": {"type": "object", "properties": {}}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def body(*content: Any, **more: Any) -> dict[str, Any]:
    """A request whose last user message has these blocks, or says hi."""
    messages = [{"role": "user", "content": list(content) or "hi"}]
    return {"model": "m", "max_tokens": 16, "messages": messages, **more}


def ask(fields: dict[str, Any]) -> Ask:
    return ask_of_messages(decode_messages_request(json.dumps(fields).encode()))


def messages(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The chat messages as the worker would read them."""
    return msgspec.json.decode(msgspec.json.encode(ask(fields).chat.messages))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}


def test_the_settings_arrive():
    asked = ask(
        body(
            system="Be brief.",
            temperature=0.5,
            top_p=0.9,
            top_k=40,
            stop_sequences=["END"],
            stream=True,
            ttl=60,
            metadata={"user_id": "u"},
            service_tier="auto",
            container=None,
        )
    )
    chat = asked.chat
    assert (chat.temperature, chat.top_p, chat.top_k, chat.max_tokens, chat.ttl) == (0.5, 0.9, 40, 16, 60)
    assert chat.stop == ["END"]
    assert chat.stream is True
    assert asked.tells_stop_sequence
    assert [(message.role, message.content) for message in chat.messages] == [
        ("system", "Be brief."),
        ("user", "hi"),
    ]


def test_a_limit_beyond_any_context_is_lowered_instead_of_refused():
    assert ask(body(max_tokens=10**12)).chat.max_tokens == 2**31 - 1


def test_system_blocks_are_one_system_message():
    found = messages(body(system=[text("One."), text("Two.")]))
    assert found[0] == {"role": "system", "content": "One.\n\nTwo."}


def test_a_system_message_in_the_middle_stays_there():
    fields = body()
    fields["messages"].append({"role": "system", "content": [text("Now in French.")]})
    assert messages(fields)[1] == {"role": "system", "content": "Now in French."}


def test_text_blocks_become_one_text():
    assert messages(body(text("a"), text("b"))) == [{"role": "user", "content": "a\nb"}]


def test_images_become_data_links():
    (message,) = messages(body(text("What is it?"), IMAGE))
    assert message["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]


def test_a_document_of_text_is_its_text():
    source = {"type": "text", "media_type": "text/plain", "data": "All of it."}
    document = {"type": "document", "source": source, "title": "Report", "context": "Of May."}
    assert messages(body(document)) == [{"role": "user", "content": "Report\n\nOf May.\nAll of it."}]
    document = {"type": "document", "source": {"type": "content", "content": [text("part")]}}
    assert messages(body(document)) == [{"role": "user", "content": "part"}]


def test_a_search_result_is_its_text():
    block = {"type": "search_result", "source": "https://x.test", "title": "X", "content": [text("found")]}
    assert messages(body(block)) == [{"role": "user", "content": "X\nhttps://x.test\nfound"}]


def test_calls_and_results_become_tool_messages_with_the_results_first():
    fields = body(
        text("What now?"), {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("rain"), IMAGE]}
    )
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Köln"}}
    thinking = {"type": "thinking", "thinking": "Look it up.", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "xyz"}
    fields["messages"].insert(0, {"role": "assistant", "content": [thinking, hidden, text("I look."), call]})
    assistant, tool, user = messages(fields)
    assert assistant["content"] == "I look."
    assert assistant["reasoning_content"] == "Look it up."
    assert assistant["tool_calls"] == [
        {"function": {"name": "get_weather", "arguments": '{"city":"Köln"}'}, "id": "toolu_1", "type": "function"}
    ]
    assert (tool["role"], tool["tool_call_id"]) == ("tool", "toolu_1")
    assert [part["type"] for part in tool["content"]] == ["text", "image_url"]
    assert user == {"role": "user", "content": "What now?"}


def test_a_result_may_be_a_text_an_error_or_nothing():
    def result(**more: Any) -> dict[str, Any]:
        (message,) = messages(body({"type": "tool_result", "tool_use_id": "t", **more}))
        return message

    assert result(content="rain") == {"role": "tool", "content": "rain", "tool_call_id": "t"}
    assert result(content="no such city", is_error=True)["content"] == "Error:\nno such city"
    assert result()["content"] == ""


def test_tools_and_choices_are_openais():
    asked = ask(body(tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True})).chat
    assert asked.tools is not None
    assert asked.tools[0].function.parameters == TOOL["input_schema"]
    assert asked.tool_choice == "required"
    assert asked.parallel_tool_calls is False
    named = ask(body(tools=[TOOL], tool_choice={"type": "tool", "name": "get_weather"})).chat.tool_choice
    assert msgspec.to_builtins(named) == {"type": "function", "function": {"name": "get_weather"}}
    assert ask(body(tools=[TOOL], tool_choice={"type": "none"})).chat.tool_choice == "none"
    assert ask(body(tools=[TOOL])).chat.tool_choice is None
    assert ask(body(tools=[], tool_choice={"type": "auto"})).chat.tools is None


@pytest.mark.parametrize(
    ("more", "reasoning", "budget"),
    [
        ({}, None, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "on", 10),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "on", 15),
        ({"thinking": {"type": "disabled"}}, "off", None),
        ({"thinking": {"type": "adaptive"}}, None, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high", None),
        ({"output_config": {"effort": "low"}}, "low", None),
    ],
)
def test_thinking_is_switched(more: dict[str, Any], reasoning: str | None, budget: int | None):
    asked = ask(body(**more))
    assert (asked.reasoning, asked.thinking_budget_tokens) == (reasoning, budget)


@pytest.mark.parametrize("place", ["output_format", "output_config"])
def test_a_schema_is_taken_from_both_places(place: str):
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    found = ask(body(**{place: wanted if place == "output_format" else {"format": wanted}})).chat.response_format
    assert found is not None
    assert found.json_schema is not None
    assert found.json_schema.schema == {"type": "object"}


def test_counting_needs_no_limit():
    fields = body(system="S", tools=[TOOL])
    del fields["max_tokens"]
    asked = ask_of_count(decode_count_request(json.dumps(fields).encode()))
    assert [message.role for message in asked.chat.messages] == ["system", "user"]
    assert asked.chat.tools is not None


def without(name: str) -> dict[str, Any]:
    fields = body()
    del fields[name]
    return fields


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (without("max_tokens"), "max_tokens"),
        (without("messages"), "messages"),
        (body(max_tokens=0), "max_tokens"),
        (body(messages=[]), "messages"),
        (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "user"}]), "messages[0].content"),
        (body(temperature=-1), "temperature"),
        (body(top_k=-1), "top_k"),
        (body(stop_sequences=["a", ""]), "stop_sequences[1]"),
        (body(stop_sequences=["a"] * 65), "stop_sequences"),
        (body(thinking={"type": "sometimes"}), "thinking.type"),
        (body(thinking={"type": "enabled", "budget_tokens": 0}), "thinking.budget_tokens"),
        (body(tools=[{"name": "f"}]), "tools[0].input_schema"),
        (body(tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}]), "tools[1].type"),
        (body(tool_choice={"type": "any"}), "tool_choice"),
        (body(tools=[TOOL], tool_choice={"type": "tool"}), "tool_choice.name"),
        (body(tools=[TOOL], tool_choice={"type": "tool", "name": "g"}), "tool_choice.name"),
        (body(tools=[TOOL], tool_choice={"type": "some"}), "tool_choice.type"),
        (body(mcp_servers=[{"type": "url", "url": "https://x.test", "name": "x"}]), "mcp_servers"),
        (body(output_format={"type": "json_schema", "schema": {"type": "nonsense"}}), "output_format.schema.type"),
        (body(output_format={"type": "xml", "schema": {}}), "output_format.type"),
        (body({"type": "text"}), "messages[0].content[0].text"),
        (body({"type": "server_tool_use", "id": "x", "name": "y"}), "messages[0].content[0].type"),
        (body({"type": "tool_result", "content": "x"}), "messages[0].content[0].tool_use_id"),
        (body(image(type="url", url="https://x.test/a.png")), "messages[0].content[0].source.type"),
        (body(image(type="base64", media_type="image/tiff", data=PNG)), "messages[0].content[0].source.media_type"),
        (body(image(type="base64", media_type="image/png")), "messages[0].content[0].source.data"),
        (body(image(type="base64", media_type="image/png", data="%%%")), "messages[0].content[0].source.data"),
        (body(image(type="base64", media_type="image/png", data="")), "messages[0].content[0].source.data"),
        (body({"type": "image", "source": "x"}), "messages[0].content[0].source"),
        (body({"type": "document", "source": {"type": "base64"}}), "messages[0].content[0].source.type"),
        (
            body({"type": "tool_result", "tool_use_id": "t", "content": {"type": "x"}}),
            "messages[0].content[0].content",
        ),
        (
            body({"type": "tool_result", "tool_use_id": "t", "content": [image(type="url")]}),
            "messages[0].content[0].content[0].source.type",
        ),
        (body(system=[IMAGE]), "system[0].type"),
        (body(messages=[{"role": "assistant", "content": [IMAGE]}]), "messages[0].content[0].type"),
        (
            body(messages=[{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]}]),
            "messages[0].content[0].input",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_path(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequestError) as refused:
        ask(fields)
    assert refused.value.param == param
    assert refused.value.status == 400


@pytest.mark.parametrize("raw", [b"", b"{", b'{"model": NaN}', b'"\xff"', b"[" * 100_000, b"[]"])
def test_bodies_that_are_no_request_are_refused(raw: bytes):
    with pytest.raises(BadRequestError):
        decode_messages_request(raw)
    with pytest.raises(BadRequestError):
        decode_count_request(raw)
