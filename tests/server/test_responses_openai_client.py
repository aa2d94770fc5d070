"""OpenAI's own client, unchanged, against `/v1/responses`."""

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


def test_it_creates_retrieves_lists_and_deletes(client: openai.OpenAI):
    made = client.responses.create(model="first", input="hi")
    assert made.output_text == RECORDED_TEXT
    assert client.responses.retrieve(made.id) == made
    (item,) = client.responses.input_items.list(made.id)
    assert item.type == "message"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_its_stream_helper_comes_to_the_same_text(client: openai.OpenAI):
    with client.responses.stream(model="first", input="hi") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == RECORDED_TEXT
    assert final.usage is not None


def test_it_is_handed_function_calls_and_gives_their_results(gateway: Gateway, client: openai.OpenAI):
    write_tiny_gguf(model_file(gateway.home, "with-tools"))
    tools: list[Any] = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": None}]
    with client.responses.stream(model="with-tools", input="#tools", tools=tools) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert call.name == "get_weather"
    again = client.responses.create(
        model="with-tools",
        previous_response_id=final.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "Snow."}],
        tools=tools,
    )
    assert again.status == "completed"


def test_it_is_handed_its_own_output_as_input(client: openai.OpenAI):
    first = client.responses.create(model="first", input="hi", store=False)
    items: list[Any] = [*first.output, {"role": "user", "content": "and?"}]
    assert client.responses.create(model="first", input=items, store=False).output_text == RECORDED_TEXT


def test_it_raises_when_a_stream_breaks(client: openai.OpenAI):
    seen: list[str] = []
    stream = client.responses.create(model="first", input="#die", stream=True)
    with pytest.raises(openai.APIError) as broken:
        seen.extend(event.type for event in stream)
    assert broken.value.code == "worker_died"
    assert seen[-1] == "response.failed"


def test_it_raises_its_own_errors_with_our_codes(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="first", input="hi", previous_response_id="resp_x")
    assert refused.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError) as unsupported:
        client.responses.create(model="first", input="hi", background=True)
    assert unsupported.value.param == "background"
