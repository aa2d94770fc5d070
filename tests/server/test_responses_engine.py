"""`/v1/responses` on the real engine, through OpenAI's own client: what a fake worker cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.serve import PATIENCE_S, serve

MODEL = "smollm2-135m-instruct"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class City(BaseModel):
    name: str
    is_capital: bool


@pytest.fixture(scope="module")
def client(starter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(starter_home / "models", target_is_directory=True)
    with (
        serve(home, parallel=1, context_length=1024) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0, timeout=PATIENCE_S) as made,
    ):
        yield made


def test_a_schema_is_parsed_by_the_client_as_it_came(client: openai.OpenAI):
    reply = client.responses.parse(
        model=MODEL, input="Tell me of a city.", text_format=City, temperature=0, max_output_tokens=100
    )
    assert isinstance(reply.output_parsed, City)
    assert reply.output_text.startswith("{")


def test_a_call_can_be_required_of_any_model(client: openai.OpenAI):
    with client.responses.stream(
        model=MODEL,
        input="Weather in Oslo?",
        tools=[WEATHER],
        tool_choice="required",
        temperature=0,
        max_output_tokens=200,
    ) as stream:
        final = stream.get_final_response()
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert call.name == "get_weather"
    arguments: Any = call.parsed_arguments
    assert arguments["city"] in ("Oslo", "Rome")


def test_the_tokens_of_the_input_are_counted_as_they_are_used(client: openai.OpenAI):
    first = client.responses.create(model=MODEL, input="Name a colour.", max_output_tokens=5)
    counted = client.responses.input_tokens.count(model=MODEL, input="Another.", previous_response_id=first.id)
    second = client.responses.create(model=MODEL, input="Another.", previous_response_id=first.id, max_output_tokens=5)
    assert first.usage is not None
    assert second.usage is not None
    assert counted.input_tokens == second.usage.input_tokens > first.usage.input_tokens


def test_log_probabilities_come_for_each_token(client: openai.OpenAI):
    reply = client.responses.create(
        model=MODEL,
        input="Name a colour.",
        temperature=0,
        max_output_tokens=4,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    (message,) = reply.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert "".join(entry.token for entry in part.logprobs) == part.text
    assert all(len(entry.top_logprobs) == 2 and entry.logprob <= 0 for entry in part.logprobs)
