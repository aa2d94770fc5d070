"""anthropic: messages, streams, tools, counting, parsing, by its sync and its async client."""

from __future__ import annotations

from typing import Any

import anthropic
from checks import PATIENCE_S, ModelCannotError, Server, run
from pydantic import BaseModel

QUESTION = "The weather in Paris?"
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CHOICES: list[Any] = [{"type": "any"}, {"type": "tool", "name": "get_weather"}]


class Verdict(BaseModel):
    good: bool


def client(server: Server) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="x", max_retries=0, timeout=PATIENCE_S)


def asked(server: Server, text: str = "Say hello.", **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": server.model, "messages": user(text), "max_tokens": 8}
    return fields | {"extra_body": {"temperature": 0}} | more


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def check_models_are_listed(server: Server) -> None:
    with client(server) as ours:
        assert server.model in [model.id for model in ours.models.list()]


def check_a_message_is_answered(server: Server) -> None:
    with client(server) as ours:
        message = ours.messages.create(**asked(server, system="Be brief."))
    (block,) = message.content
    assert block.type == "text"
    assert block.text
    assert (message.role, message.stop_reason, message.model) == ("assistant", "max_tokens", server.model)
    assert message.usage.output_tokens == 8


def check_a_stop_sequence_is_told(server: Server) -> None:
    with client(server) as ours:
        message = ours.messages.create(**asked(server, stop_sequences=["e", "a", "o"], max_tokens=40))
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence in ("e", "a", "o")


def check_a_stream_is_put_together(server: Server) -> None:
    with client(server) as ours, ours.messages.stream(**asked(server)) as stream:
        kinds: list[str] = []
        pieces: list[str] = []
        for event in stream:
            kinds.append(event.type)
            if event.type == "text":
                pieces.append(event.text)
        message = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "".join(pieces) != ""
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 8)


async def check_the_async_client_answers_and_streams(server: Server) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="x", max_retries=0, timeout=PATIENCE_S) as ours:
        message = await ours.messages.create(**asked(server))
        async with ours.messages.stream(**asked(server)) as stream:
            text = "".join([piece async for piece in stream.text_stream])
    assert message.content
    assert text


def check_a_tool_is_called_and_its_result_is_taken(server: Server) -> None:
    for choice in CHOICES:
        with client(server) as ours:
            body = asked(server, QUESTION, tools=[TOOL], tool_choice=choice, max_tokens=40)
            message = ours.messages.create(**body)
            assert message.stop_reason == "tool_use"
            (call,) = [block for block in message.content if block.type == "tool_use"]
            expect_weather(call)
    with client(server) as ours:
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain."}
        turns = [*user(QUESTION), message.to_param(), *user([result])]
        again = ours.messages.create(**asked(server, messages=turns, tools=[TOOL]))
    assert again.content


def check_a_streamed_call_is_put_together(server: Server) -> None:
    body = asked(server, QUESTION, tools=[TOOL], tool_choice=CHOICES[0], max_tokens=40)
    with client(server) as ours, ours.messages.stream(**body) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_message()
    assert "input_json" in kinds
    (call,) = [block for block in message.content if block.type == "tool_use"]
    expect_weather(call)
    assert message.stop_reason == "tool_use"


def check_a_free_choice_of_tools_is_answered(server: Server) -> None:
    with client(server) as ours:
        message = ours.messages.create(**asked(server, QUESTION, tools=[TOOL], max_tokens=24))
    calls = [block for block in message.content if block.type == "tool_use"]
    if not calls:
        assert message.stop_reason in ("end_turn", "max_tokens")
        raise ModelCannotError("left to choose, it answers in words and calls no tool")
    expect_weather(calls[0])


def check_tokens_are_counted_as_they_are_used(server: Server) -> None:
    with client(server) as ours:
        for more in ({}, {"tools": [TOOL]}, {"system": "Be brief."}):
            counted = ours.messages.count_tokens(model=server.model, messages=user("Say hello."), **more)
            usage = ours.messages.create(**asked(server, max_tokens=1, **more)).usage
            assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def check_an_answer_is_parsed_into_a_type(server: Server) -> None:
    with client(server) as ours:
        message = ours.messages.parse(**asked(server, "Is rain good?", max_tokens=60), output_format=Verdict)
    assert isinstance(message.parsed_output, Verdict)


def check_errors_are_its_own_classes(server: Server) -> None:
    expect(anthropic.NotFoundError, "not_found_error", server, model="nobody")
    expect(anthropic.BadRequestError, "invalid_request_error", server, messages=user("word " * 4000))
    expect(anthropic.BadRequestError, "invalid_request_error", server, max_tokens=0)


def expect_weather(call: Any) -> None:
    assert call.name == "get_weather"
    assert isinstance(call.input["city"], str)
    assert call.id.startswith("toolu_")


def expect(error: type[anthropic.APIStatusError], kind: str, server: Server, **more: Any) -> None:
    for stream in (False, True):
        try:
            with client(server) as ours:
                ours.messages.create(**asked(server, **more), stream=stream)
        except error as raised:
            body: Any = raised.body
            assert body["error"]["type"] == kind
        else:
            raise AssertionError(f"no {error.__name__} for {list(more)}")


if __name__ == "__main__":
    run(globals())
