"""openai's client on the responses route: answers kept and gone on from, streams, parsing, functions."""

from __future__ import annotations

import json
from typing import Any

import openai
from checks import PATIENCE_S, Server, run
from openai_client import PARAMETERS, QUESTION, Verdict, client, expect, user

FUNCTION: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": PARAMETERS,
    "strict": True,
}


def responding(server: Server, text: str = "Say hello.", **more: Any) -> dict[str, Any]:
    return {"model": server.model, "input": text, "max_output_tokens": 16, "temperature": 0} | more


def check_a_response_is_made_kept_and_deleted(server: Server) -> None:
    with client(server) as ours:
        made = ours.responses.create(**responding(server, instructions="Be brief."))
        assert made.output_text
        assert made.status in ("completed", "incomplete")
        assert made.usage is not None
        assert made.usage.output_tokens > 0
        assert ours.responses.retrieve(made.id).output_text == made.output_text
        (item,) = ours.responses.input_items.list(made.id)
        assert item.type == "message"
        ours.responses.delete(made.id)
        expect(openai.NotFoundError, None, ours.responses.retrieve, response_id=made.id)


def check_a_response_goes_on_from_another(server: Server) -> None:
    with client(server) as ours:
        first = ours.responses.create(**responding(server))
        second = ours.responses.create(**responding(server, "And?", previous_response_id=first.id))
        ours.responses.create(**responding(server, [*user("Say hello."), *first.output, *user("And?")], store=False))
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens


def check_a_response_is_streamed_event_by_event(server: Server) -> None:
    # To this helper an answer that the limit cuts has no end.
    body = responding(server, "Is rain good?", text_format=Verdict, max_output_tokens=60)
    with client(server) as ours, ours.responses.stream(**body) as stream:
        events = list(stream)
        made = stream.get_final_response()
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == made.output_text
    assert isinstance(made.output_parsed, Verdict)


def check_a_response_is_parsed_into_a_type(server: Server) -> None:
    with client(server) as ours:
        made = ours.responses.parse(**responding(server, "Is rain good?", max_output_tokens=60), text_format=Verdict)
    assert isinstance(made.output_parsed, Verdict)


def check_a_response_calls_a_function_and_takes_its_result(server: Server) -> None:
    body = responding(server, QUESTION, tools=[FUNCTION], tool_choice="required", max_output_tokens=60)
    with client(server) as ours:
        with ours.responses.stream(**body) as stream:
            kinds = [event.type for event in stream]
            made = stream.get_final_response()
        assert "response.function_call_arguments.delta" in kinds
        assert "response.function_call_arguments.done" in kinds
        (call,) = [item for item in made.output if item.type == "function_call"]
        assert call.name == "get_weather"
        assert isinstance(json.loads(call.arguments)["city"], str)
        result = [{"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}]
        again = ours.responses.create(
            **responding(server, result, previous_response_id=made.id, tools=[FUNCTION], tool_choice="none")
        )
    assert again.output_text


async def check_the_async_client_makes_responses(server: Server) -> None:
    async with openai.AsyncOpenAI(base_url=server.v1, api_key="x", max_retries=0, timeout=PATIENCE_S) as ours:
        stream = await ours.responses.create(**responding(server), stream=True)
        kinds = [event.type async for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")


def check_errors_are_its_own_classes_with_our_codes(server: Server) -> None:
    unkept = responding(server, previous_response_id="resp_x")
    with client(server) as ours:
        expect(openai.BadRequestError, "previous_response_not_found", ours.responses.create, **unkept)


if __name__ == "__main__":
    run(globals())
