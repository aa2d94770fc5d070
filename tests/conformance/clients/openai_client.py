"""openai: models, chat, tools, parsing, completions and embeddings, by its sync and its async client."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import openai
from checks import PATIENCE_S, ModelCannotError, Server, needs_embeddings, run
from pydantic import BaseModel

QUESTION = "The weather in Paris?"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather in a city", "parameters": PARAMETERS},
}
TIME: Any = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


class Verdict(BaseModel):
    good: bool


class GetWeather(BaseModel):
    city: str


def client(server: Server, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.v1, api_key="x", max_retries=0, timeout=PATIENCE_S, **more)


def asked(server: Server, text: str = "Say hello.", **more: Any) -> dict[str, Any]:
    fields = {"model": server.model, "messages": user(text), "max_completion_tokens": 8, "temperature": 0}
    return fields | more


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def check_models_are_listed(server: Server) -> None:
    with client(server) as ours:
        assert server.model in [model.id for model in ours.models.list()]
        assert ours.models.retrieve(server.model).id == server.model


def check_a_chat_is_answered(server: Server) -> None:
    with client(server) as ours:
        reply = ours.chat.completions.create(**asked(server))
    (choice,) = reply.choices
    assert choice.message.content
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 8
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 8
    assert reply.model == server.model


def check_a_stop_text_ends_an_answer(server: Server) -> None:
    with client(server) as ours:
        text = ours.chat.completions.create(**asked(server)).choices[0].message.content or ""
        stop = text.strip()[1]
        reply = ours.chat.completions.create(**asked(server, stop=[stop]))
    assert reply.choices[0].finish_reason == "stop"
    assert stop not in (reply.choices[0].message.content or "")


def check_several_answers_and_the_tokens_odds(server: Server) -> None:
    with client(server) as ours:
        # By the likeliest tokens: of a character that takes several tokens the engine tells the odds once.
        reply = ours.chat.completions.create(
            **asked(server, n=2, logprobs=True, top_logprobs=2, max_completion_tokens=3)
        )
    assert [choice.index for choice in reply.choices] == [0, 1]
    for choice in reply.choices:
        assert choice.logprobs is not None
        assert [len(token.top_logprobs) for token in choice.logprobs.content or []] == [2, 2, 2]


def check_a_stream_ends_with_reason_and_usage(server: Server) -> None:
    with client(server) as ours:
        chunks = list(
            ours.chat.completions.create(**asked(server), stream=True, stream_options={"include_usage": True})
        )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices)
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["length"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8
    assert len({chunk.id for chunk in chunks}) == 1


def check_the_stream_helper_puts_an_answer_together(server: Server) -> None:
    # An answer that the limit cuts is an exception to this helper.
    body = asked(server, "Is rain good?", response_format=Verdict, max_completion_tokens=60)
    with client(server) as ours, ours.chat.completions.stream(**body) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        reply = stream.get_final_completion()
    assert "".join(pieces) == reply.choices[0].message.content
    assert isinstance(reply.choices[0].message.parsed, Verdict)


async def check_the_async_client_answers_and_streams(server: Server) -> None:
    async with openai.AsyncOpenAI(base_url=server.v1, api_key="x", max_retries=0, timeout=PATIENCE_S) as ours:
        reply = await ours.chat.completions.create(**asked(server))
        stream = await ours.chat.completions.create(**asked(server), stream=True)
        chunks = [chunk async for chunk in stream]
    assert reply.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"


def check_a_stream_that_is_left_leaves_the_connection_usable(server: Server) -> None:
    with client(server) as ours:
        with ours.chat.completions.create(**asked(server, max_completion_tokens=900), stream=True) as stream:
            next(iter(stream))
        assert ours.models.retrieve(server.model).id == server.model


def check_a_required_and_a_named_tool_is_called(server: Server) -> None:
    choices: list[Any] = ["required", {"type": "function", "function": {"name": "get_weather"}}]
    for choice in choices:
        body = asked(server, QUESTION, tools=[WEATHER], tool_choice=choice, max_completion_tokens=40)
        with client(server) as ours:
            answer = ours.chat.completions.create(**body).choices[0]
        assert answer.finish_reason == "tool_calls"
        (call,) = answer.message.tool_calls or []
        expect_weather(call)


def check_a_tool_is_chosen_by_name_among_others(server: Server) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    body = asked(server, QUESTION, tools=[WEATHER, TIME], tool_choice=named, max_completion_tokens=40)
    with client(server) as ours:
        (call,) = ours.chat.completions.create(**body).choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_time"


def check_a_free_choice_of_tools_is_answered(server: Server) -> None:
    body = asked(server, QUESTION, tools=[WEATHER], max_completion_tokens=24)
    with client(server) as ours:
        answer = ours.chat.completions.create(**body).choices[0]
    if not answer.message.tool_calls:
        assert answer.message.content
        raise ModelCannotError("left to choose, it answers in words and calls no tool")
    expect_weather(answer.message.tool_calls[0])


def check_a_streamed_call_is_put_together(server: Server) -> None:
    body = asked(server, QUESTION, tools=[WEATHER], tool_choice="required", max_completion_tokens=40)
    with client(server) as ours, ours.chat.completions.stream(**body) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in kinds
    assert "tool_calls.function.arguments.done" in kinds
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.message.tool_calls or []
    expect_weather(call)


def check_a_tools_result_is_taken(server: Server) -> None:
    body = asked(server, QUESTION, tools=[WEATHER], tool_choice="required", max_completion_tokens=40)
    with client(server) as ours:
        message = ours.chat.completions.create(**body).choices[0].message
        (call,) = message.tool_calls or []
        turns = [*user(QUESTION), message, {"role": "tool", "tool_call_id": call.id, "content": "Rain."}]
        again = ours.chat.completions.create(**asked(server, messages=turns, tools=[WEATHER], tool_choice="none"))
    assert again.choices[0].message.content


def check_an_answer_is_parsed_into_a_type(server: Server) -> None:
    with client(server) as ours:
        reply = ours.chat.completions.parse(
            **asked(server, "Is rain good?", max_completion_tokens=60), response_format=Verdict
        )
    assert isinstance(reply.choices[0].message.parsed, Verdict)


def check_a_call_is_parsed_into_a_type(server: Server) -> None:
    tool = openai.pydantic_function_tool(GetWeather)
    body = asked(server, QUESTION, tools=[tool], tool_choice="required", max_completion_tokens=60)
    with client(server) as ours:
        (call,) = ours.chat.completions.parse(**body).choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, GetWeather)


def check_a_text_is_completed(server: Server) -> None:
    with client(server) as ours:
        reply = ours.completions.create(model=server.model, prompt="Once upon", max_tokens=5, echo=True)
        chunks = list(ours.completions.create(model=server.model, prompt="Once upon", max_tokens=5, stream=True))
    assert reply.choices[0].text.startswith("Once upon")
    assert reply.choices[0].finish_reason == "length"
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices)


@needs_embeddings
def check_texts_become_vectors_in_both_forms(server: Server) -> None:
    with client(server) as ours:
        # Left to itself, this client asks for base64 and hands out floats.
        usual = ours.embeddings.create(model=server.embedding_model, input=["a cat", "a tax form"])
        floats = ours.embeddings.create(model=server.embedding_model, input="a cat", encoding_format="float")
        packed = ours.embeddings.create(model=server.embedding_model, input="a cat", encoding_format="base64")
    assert [len(entry.embedding) for entry in usual.data] == [384, 384]
    data: Any = packed.data[0].embedding
    unpacked = struct.unpack("<384f", base64.b64decode(data))
    for first, second in zip(floats.data[0].embedding, unpacked, strict=True):
        assert abs(first - second) < 1e-6
    assert usual.usage.prompt_tokens > floats.usage.prompt_tokens > 0


def check_errors_are_its_own_classes_with_our_codes(server: Server) -> None:
    with client(server) as ours:
        chat = ours.chat.completions.create
        expect(openai.NotFoundError, "model_not_found", chat, **asked(server, model="nobody"))
        expect(openai.BadRequestError, "context_length_exceeded", chat, **asked(server, "word " * 4000))
        error = expect(openai.BadRequestError, None, chat, **asked(server, temperature=-1))
        assert error.param == "temperature"


def expect_weather(call: Any) -> None:
    assert call.type == "function"
    assert call.id
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def expect(error: type[openai.APIStatusError], code: str | None, ask: Any, **body: Any) -> openai.APIStatusError:
    try:
        ask(**body)
    except error as raised:
        if code in (None, raised.code):
            return raised
        raise
    raise AssertionError(f"no {error.__name__} with the code {code}")


if __name__ == "__main__":
    run(globals())
