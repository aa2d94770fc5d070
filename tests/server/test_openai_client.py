"""OpenAI's own client, unchanged, against the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.server.conftest import Gateway, model_file
from tests.server.test_chat import RECORDED_TEXT
from tests.support.tiny_gguf import write_tiny_gguf


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as made:
        yield made


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_it_lists(client: openai.OpenAI):
    assert [model.id for model in client.models.list()] == ["first", "second"]
    assert client.models.retrieve("first").owned_by == "organization_owner"


def test_it_chats(client: openai.OpenAI):
    reply = client.chat.completions.create(model="first", messages=user("hi"))
    assert reply.choices[0].message.content == RECORDED_TEXT
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens > 0


def test_it_streams(client: openai.OpenAI):
    stream = client.chat.completions.create(
        model="first", messages=user("hi"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == RECORDED_TEXT
    assert chunks[-1].usage is not None


def test_it_is_handed_tool_calls(gateway: Gateway, client: openai.OpenAI):
    write_tiny_gguf(model_file(gateway.home, "with-tools"))
    tools: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    reply = client.chat.completions.create(model="with-tools", messages=user("#tools"), tools=tools)
    assert reply.choices[0].message.tool_calls is not None
    call: Any = reply.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"


def test_it_raises_its_own_errors_with_our_codes(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=user("hi"))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model="first", messages=user("#overflow"))
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="first", messages=[])
    assert bad.value.param == "messages"


def test_it_raises_when_a_stream_breaks(client: openai.OpenAI):
    with pytest.raises(openai.APIError) as broken:
        list(client.chat.completions.create(model="first", messages=user("#die"), stream=True))
    assert broken.value.code == "worker_died"
