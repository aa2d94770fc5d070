"""Anthropic's own client, unchanged, against a gateway with the real engine and the starter model."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import pydantic
import pytest

from tests.server.conftest import Gateway
from tests.support.serve import PATIENCE_S, Served
from tests.support.starter_gateway import KEY, starter_gateway
from tests.support.tiny_images import coded, drawn
from tests.support.workers import fake_log, wait_until

TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HI: list[Any] = [{"role": "user", "content": "Say hi."}]
PNG: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": coded(drawn("PNG"))}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Iterator[Served]:
    with starter_gateway(tmp_path_factory.mktemp("home"), starter_model) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key="x", max_retries=0, timeout=PATIENCE_S) as made:
        yield made


def ask(*messages: Any, **more: Any) -> dict[str, Any]:
    """Arguments of the client, which has none for the temperature; a text is what the user says."""
    given = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
    fields: dict[str, Any] = {"model": KEY, "max_tokens": 8, "messages": given or HI}
    return fields | {"extra_body": {"temperature": 0}} | more


def post(served: Served, asked: dict[str, Any]) -> httpx2.Response:
    """The same without a client of Anthropic's."""
    body = {name: value for name, value in asked.items() if name != "extra_body"}
    return httpx2.post(f"{served.url}/v1/messages", json=body, timeout=PATIENCE_S)


def test_a_message_is_answered(client: anthropic.Anthropic):
    message = client.messages.create(**ask(system="You are a parrot."))
    (block,) = message.content
    assert block.type == "text"
    assert block.text
    assert (message.model, message.role, message.stop_reason) == (KEY, "assistant", "max_tokens")
    assert message.usage.output_tokens == 8


def test_a_stream_adds_up_to_the_plain_reply(client: anthropic.Anthropic):
    plain = client.messages.create(**ask())
    with client.messages.stream(**ask()) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.content[0].model_dump(include={"type", "text"}) == plain.content[0].model_dump(
        include={"type", "text"}
    )
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert final.usage.output_tokens == 8


def test_the_beta_client_works_too(client: anthropic.Anthropic):
    message = client.beta.messages.create(**ask(betas=["token-counting-2024-11-01"]))
    assert message.content[0].type == "text"


def test_no_header_of_anthropics_is_needed(served: Served):
    reply = post(served, ask())
    assert reply.status_code == 200
    assert reply.json()["type"] == "message"


def test_a_stop_sequence_is_told(client: anthropic.Anthropic):
    message = client.messages.create(**ask("Count: one two three four five six", stop_sequences=["e", "zz"]))
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "e")
    assert all("e" not in block.text for block in message.content if block.type == "text")


def test_a_tool_is_called_and_its_result_is_taken(client: anthropic.Anthropic):
    first = ask("What is the weather in Paris?", tools=[TOOL], max_tokens=40)
    message = client.messages.create(**first, tool_choice={"type": "any"})
    assert message.stop_reason == "tool_use"
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "get_weather"
    assert isinstance(call.input["city"], str)
    assert call.id.startswith("toolu_")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Rain."}]}
    more: list[Any] = [message.to_param(), {"role": "user", "content": [result]}]
    turns: list[Any] = [*HI, *more]
    with_result = client.messages.count_tokens(model=KEY, tools=[TOOL], messages=turns)
    assert with_result.input_tokens > client.messages.count_tokens(model=KEY, tools=[TOOL], messages=HI).input_tokens


def test_a_streamed_call_is_the_same_as_a_plain_one(client: anthropic.Anthropic):
    asked = ask("What is the weather in Paris?", tools=[TOOL], max_tokens=40)
    choice: Any = {"type": "tool", "name": "get_weather"}
    plain = client.messages.create(**asked, tool_choice=choice)
    with client.messages.stream(**asked, tool_choice=choice) as stream:
        final = stream.get_final_message()
    inputs = [[block.input for block in message.content if block.type == "tool_use"] for message in (plain, final)]
    assert inputs[0] == inputs[1]
    assert len(inputs[0]) == 1


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL]}, {"system": "Be brief."}], ids=["plain", "tools", "system"])
def test_tokens_are_counted_as_they_are_used(client: anthropic.Anthropic, more: dict[str, Any]):
    counted = client.messages.count_tokens(model=KEY, messages=HI, **more)
    usage = client.messages.create(**ask(**more)).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_an_answer_takes_the_form_that_is_asked_for(client: anthropic.Anthropic):
    class Verdict(pydantic.BaseModel):
        good: bool

    message = client.messages.parse(**ask("Is rain good?", max_tokens=40), output_format=Verdict)
    assert isinstance(message.parsed_output, Verdict)


def test_an_answer_that_was_begun_is_gone_on_with(client: anthropic.Anthropic):
    begun = {"role": "assistant", "content": "One, two,"}
    message = client.messages.create(**ask("Count to ten.", begun))
    (block,) = message.content
    assert block.type == "text"
    assert not block.text.startswith("One")


def test_a_wish_that_this_model_cannot_heed_is_noted(served: Served):
    reply = post(served, ask(thinking={"type": "enabled", "budget_tokens": 1024})).json()
    assert [note["code"] for note in reply["roci"]["notes"]] == ["reasoning_ignored"]


@pytest.mark.parametrize(
    ("asked", "error", "kind", "param"),
    [
        (ask(model="nobody"), anthropic.NotFoundError, "not_found_error", "model"),
        (ask(max_tokens=0), anthropic.BadRequestError, "invalid_request_error", "max_tokens"),
        (ask("word " * 2000), anthropic.BadRequestError, "invalid_request_error", "messages"),
        (ask({"role": "user", "content": [PNG]}), anthropic.BadRequestError, "invalid_request_error", "messages"),
        (
            ask(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
            anthropic.BadRequestError,
            "invalid_request_error",
            "tools[0].type",
        ),
    ],
    ids=["no such model", "bad field", "too long", "image", "server tool"],
)
def test_errors_are_anthropics(
    client: anthropic.Anthropic, asked: dict[str, Any], error: type[anthropic.APIStatusError], kind: str, param: str
):
    modes: list[dict[str, Any]] = [{}, {"stream": True}]
    for more in modes:
        with pytest.raises(error) as refused:
            client.messages.create(**asked, **more)
        body: Any = refused.value.body
        assert (body["type"], body["error"]["type"], body["error"]["param"]) == ("error", kind, param)


def test_overflow_tells_the_numbers(client: anthropic.Anthropic):
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**ask("word " * 2000))
    body: Any = refused.value.body
    assert body["error"]["code"] == "context_length_exceeded"
    assert body["error"]["limit_tokens"] == 1024
    assert body["error"]["given_tokens"] > 2000


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_bodies_that_are_no_request_are_refused_in_anthropics_shape(served: Served, path: str):
    for body in (b"", b"{", b"\xff", b"[1]", b'{"model": 3}'):
        reply = httpx2.post(f"{served.url}{path}", content=body, timeout=PATIENCE_S)
        assert reply.status_code == 400
        assert reply.json()["type"] == "error"
        assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_client_who_leaves_frees_the_slot(gateway: Gateway, stream: bool):
    body = {"model": "first", "max_tokens": 9, "messages": [{"role": "user", "content": "#slow"}], "stream": stream}
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=PATIENCE_S)
    connection.request("POST", "/v1/messages", json.dumps(body))
    gateway.wait_for_running(1)
    connection.close()
    gateway.wait_for_running(0)

    def ends() -> list[str]:
        return [note["how"] for note in fake_log(gateway.file("first")) if note["event"] == "end"]

    wait_until(lambda: ends() == ["client left"], "the worker to notice")
    assert gateway.running() == 0


def test_a_stream_whose_worker_dies_ends_with_an_error_event(gateway: Gateway):
    body = {"model": "first", "max_tokens": 9, "messages": [{"role": "user", "content": "#die"}], "stream": True}
    events = gateway.client.post("/v1/messages", json=body).text.removesuffix("\n\n").split("\n\n")
    assert events[0].startswith("event: message_start\n")
    name, data = events[-1].split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == "worker_died"
    assert not any("message_stop" in event for event in events)
