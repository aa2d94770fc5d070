"""any-llm by HTTP: its providers for OpenAI's, llama.cpp's and Anthropic's routes.

Its provider `lmstudio` speaks LM Studio's WebSocket protocol, through LM Studio's own package; it is not of these.
"""

from __future__ import annotations

import json
from typing import Any

import any_llm
from checks import Server, needs_embeddings, run
from pydantic import BaseModel

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PROVIDERS = ("openai", "llamacpp")


class Verdict(BaseModel):
    good: bool


def asked(server: Server, provider: str = "openai", text: str = "Say hello.", **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": server.model,
        "provider": provider,
        "api_base": server.v1,
        "api_key": "x",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 8,
        "temperature": 0,
    }
    return fields | more


def check_models_are_listed(server: Server) -> None:
    for provider in PROVIDERS:
        listed = any_llm.list_models(provider=provider, api_base=server.v1, api_key="x")
        assert server.model in [model.id for model in listed]


def check_a_chat_is_answered(server: Server) -> None:
    for provider in PROVIDERS:
        reply = any_llm.completion(**asked(server, provider))
        assert reply.choices[0].message.content
        assert reply.choices[0].finish_reason == "length"
        assert reply.usage.completion_tokens == 8


def check_a_stream_is_put_together_and_tells_how_it_ended(server: Server) -> None:
    for provider in PROVIDERS:
        chunks = list(any_llm.completion(**asked(server, provider, stream=True)))
        choices = [choice for chunk in chunks for choice in chunk.choices]
        assert "".join(choice.delta.content or "" for choice in choices)
        assert choices[-1].finish_reason == "length"


def check_a_required_tool_is_called(server: Server) -> None:
    for provider in PROVIDERS:
        body = asked(server, provider, "The weather?", tools=[WEATHER], tool_choice="required", max_tokens=40)
        reply = any_llm.completion(**body)
        (call,) = reply.choices[0].message.tool_calls
        assert call.function.name == "get_weather"
        assert isinstance(json.loads(call.function.arguments)["city"], str)


def check_an_answer_takes_the_form_of_a_pydantic_model(server: Server) -> None:
    reply = any_llm.completion(**asked(server, text="Is rain good?", response_format=Verdict, max_tokens=60))
    assert isinstance(reply.choices[0].message.parsed, Verdict)


def check_a_response_is_made_whole_and_as_a_stream(server: Server) -> None:
    body = asked(server, input_data="Say hello.", max_output_tokens=16)
    del body["messages"], body["max_tokens"]
    reply = any_llm.responses(**body)
    assert reply.output_text
    events = list(any_llm.responses(**body, stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.output_text


def check_a_message_is_answered_by_the_route_of_anthropic(server: Server) -> None:
    reply = any_llm.messages(**asked(server, "anthropic", api_base=server.url))
    assert reply.content[0].text
    assert reply.stop_reason == "max_tokens"
    kinds = [event.type for event in any_llm.messages(**asked(server, "anthropic", api_base=server.url, stream=True))]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


async def check_the_async_twins_answer(server: Server) -> None:
    reply = await any_llm.acompletion(**asked(server))
    assert reply.choices[0].message.content


@needs_embeddings
def check_texts_become_vectors(server: Server) -> None:
    body = {"provider": "openai", "api_base": server.v1, "api_key": "x"}
    reply = any_llm.embedding(server.embedding_model, inputs=["a cat", "a tax form"], **body)
    assert [len(entry.embedding) for entry in reply.data] == [384, 384]
    assert reply.usage.prompt_tokens > 0


if __name__ == "__main__":
    run(globals())
