"""litellm: LM Studio's own prefix, and `openai/` with another address."""

from __future__ import annotations

import json
import os
from typing import Any

from checks import PATIENCE_S, Server, needs_embeddings, run

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it is fetched at import

import litellm
from pydantic import BaseModel

litellm.telemetry = False
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Verdict(BaseModel):
    good: bool


def asked(server: Server, prefix: str = "lm_studio", text: str = "Say hello.", **more: Any) -> dict[str, Any]:
    fields = {
        "model": f"{prefix}/{server.model}",
        "api_base": server.v1,
        "api_key": "x",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 8,
        "temperature": 0,
        "num_retries": 0,
        "timeout": PATIENCE_S,
    }
    return fields | more


def check_a_chat_is_answered_under_both_prefixes(server: Server) -> None:
    for prefix in ("lm_studio", "openai"):
        reply = litellm.completion(**asked(server, prefix))
        assert reply.choices[0].message.content
        assert reply.choices[0].finish_reason == "length"
        assert reply.usage.completion_tokens == 8
        assert reply.model.endswith(server.model)


def check_a_stream_is_put_together_and_tells_its_usage(server: Server) -> None:
    for prefix in ("lm_studio", "openai"):
        chunks = list(litellm.completion(**asked(server, prefix, stream=True, stream_options={"include_usage": True})))
        assert litellm.stream_chunk_builder(chunks).choices[0].message.content
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["length"]
        assert chunks[-1].usage.completion_tokens == 8


def check_a_required_tool_is_called(server: Server) -> None:
    for prefix in ("lm_studio", "openai"):
        body = asked(server, prefix, "The weather in Paris?", tools=[WEATHER], tool_choice="required", max_tokens=40)
        reply = litellm.completion(**body)
        (call,) = reply.choices[0].message.tool_calls
        assert reply.choices[0].finish_reason == "tool_calls"
        assert call.function.name == "get_weather"
        assert isinstance(json.loads(call.function.arguments)["city"], str)
        assert call.id


def check_a_streamed_call_is_put_together(server: Server) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    body = asked(server, text="The weather in Paris?", tools=[WEATHER], tool_choice=choice, max_tokens=40, stream=True)
    built = litellm.stream_chunk_builder(list(litellm.completion(**body)))
    (call,) = built.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    assert built.choices[0].finish_reason == "tool_calls"


def check_a_tools_result_is_taken(server: Server) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    turns = [
        {"role": "user", "content": "The weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
    ]
    reply = litellm.completion(**asked(server, messages=turns, tools=[WEATHER]))
    assert reply.choices[0].finish_reason in ("stop", "length", "tool_calls")
    assert reply.usage.prompt_tokens > 0


def check_an_answer_takes_the_form_of_a_pydantic_model(server: Server) -> None:
    for prefix in ("lm_studio", "openai"):
        body = asked(server, prefix, "Is rain good?", response_format=Verdict, max_tokens=40)
        Verdict.model_validate_json(litellm.completion(**body).choices[0].message.content)


async def check_the_async_twins_answer(server: Server) -> None:
    reply = await litellm.acompletion(**asked(server))
    stream = await litellm.acompletion(**asked(server, stream=True))
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text
    assert reply.choices[0].message.content


def check_a_text_is_completed(server: Server) -> None:
    reply = litellm.text_completion(
        model=f"text-completion-openai/{server.model}",
        prompt="Once upon",
        max_tokens=5,
        api_base=server.v1,
        api_key="x",
        timeout=PATIENCE_S,
    )
    assert reply.choices[0].text
    assert reply.choices[0].finish_reason == "length"


def check_a_response_is_made(server: Server) -> None:
    reply = litellm.responses(
        model=f"openai/{server.model}",
        input="Say hello.",
        max_output_tokens=16,
        api_base=server.v1,
        api_key="x",
        timeout=PATIENCE_S,
    )
    assert reply.status in ("completed", "incomplete")
    assert reply.usage.output_tokens > 0
    assert reply.output[0].content[0].text


def check_an_anthropic_message_is_answered(server: Server) -> None:
    body = asked(server, "anthropic", api_base=server.url)
    reply = litellm.completion(**body)
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "length"


@needs_embeddings
def check_texts_become_vectors(server: Server) -> None:
    for prefix in ("lm_studio", "openai"):
        reply = litellm.embedding(
            model=f"{prefix}/{server.embedding_model}",
            input=["a cat", "a tax form"],
            api_base=server.v1,
            api_key="x",
            timeout=PATIENCE_S,
        )
        assert [len(entry["embedding"]) for entry in reply.data] == [384, 384]
        assert reply.usage.prompt_tokens > 0


def check_errors_are_its_own_classes(server: Server) -> None:
    expect(litellm.NotFoundError, server, model="lm_studio/nobody")
    expect(litellm.ContextWindowExceededError, server, messages=[{"role": "user", "content": "word " * 4000}])
    expect(litellm.BadRequestError, server, temperature=-1)


def expect(error: type[Exception], server: Server, **more: Any) -> None:
    try:
        litellm.completion(**asked(server, **more))
    except error:
        return
    raise AssertionError(f"no {error.__name__} for {list(more)}")


if __name__ == "__main__":
    run(globals())
