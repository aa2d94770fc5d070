"""`/v1/responses` over HTTP: streams, kept answers, threads, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import TypeAdapter

from roci.server.state.conversations import new_response_id
from tests.server.conftest import Gateway, GatewayMaker, model_file
from tests.server.test_chat import RECORDED_TEXT
from tests.support.tiny_gguf import write_tiny_gguf

ANY_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}


def ask(gateway: Gateway, said: str = "hi", /, **fields: Any) -> httpx2.Response:
    return gateway.client.post("/v1/responses", json={"model": "first", "input": said, **fields})


def answer(gateway: Gateway, said: str = "hi", /, **fields: Any) -> dict[str, Any]:
    reply = ask(gateway, said, **fields)
    assert reply.status_code == 200, reply.text
    Response.model_validate(reply.json())
    return reply.json()


def stream(gateway: Gateway, said: str = "hi", /, **fields: Any) -> list[dict[str, Any]]:
    reply = ask(gateway, said, stream=True, **fields)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "[DONE]" not in reply.text
    events: list[dict[str, Any]] = []
    for frame in reply.text.split("\n\n"):
        if frame.startswith("event: "):
            event = json.loads(frame.partition("\ndata: ")[2])
            ANY_EVENT.validate_python(event)
            events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


def heard(gateway: Gateway, said: str = "#echo", /, **fields: Any) -> dict[str, Any]:
    """What the worker was asked."""
    return json.loads(text_of(answer(gateway, said, **fields)))


def error(reply: httpx2.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    return reply.json()["error"]


def test_it_answers(gateway: Gateway):
    response = answer(gateway)
    assert text_of(response) == RECORDED_TEXT
    assert (response["status"], response["model"], response["error"]) == ("completed", "first", None)
    assert response["usage"]["input_tokens"] > 0
    assert response["usage"]["output_tokens"] > 0


def test_it_streams_events_that_end_with_the_whole_response(gateway: Gateway):
    events = stream(gateway)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text_of(events[-1]["response"]) == RECORDED_TEXT


def test_what_the_token_limit_cuts_is_incomplete(gateway: Gateway):
    response = answer(gateway, "#length", max_output_tokens=5)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert stream(gateway, "#length")[-1]["type"] == "response.incomplete"


def test_a_conversation_is_continued_and_branched(gateway: Gateway):
    first = answer(gateway, "one", instructions="Be brief.")
    second = stream(gateway, "two", previous_response_id=first["id"])[-1]["response"]
    said = heard(gateway, "#echo", previous_response_id=second["id"], instructions="Be kind.")["messages"]
    assert [(message["role"], message["content"]) for message in said] == [
        ("system", "Be kind."),
        ("user", "one"),
        ("assistant", RECORDED_TEXT),
        ("user", "two"),
        ("assistant", RECORDED_TEXT),
        ("user", "#echo"),
    ]
    branch = heard(gateway, "#echo", previous_response_id=first["id"])["messages"]
    assert [message["content"] for message in branch] == ["one", RECORDED_TEXT, "#echo"]
    assert second["previous_response_id"] == first["id"]


def test_an_incomplete_answer_can_be_continued(gateway: Gateway):
    cut = answer(gateway, "#length")
    said = heard(gateway, previous_response_id=cut["id"])["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]


def test_a_call_is_answered_by_its_id_alone(gateway: Gateway):
    write_tiny_gguf(model_file(gateway.home, "with-tools"))
    asked = answer(gateway, "#tools", model="with-tools", tools=[TOOL])
    (call,) = [item for item in asked["output"] if item["type"] == "function_call"]
    assert call["name"] == "get_weather"
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "Snow."}
    echo = {"role": "user", "content": "#echo"}
    said = heard(gateway, model="with-tools", input=[result, echo], previous_response_id=asked["id"], tools=[TOOL])[
        "messages"
    ]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "user"]
    assert said[1]["tool_calls"][0]["id"] == said[2]["tool_call_id"] == call["call_id"]
    wrong = error(ask(gateway, input=[result | {"call_id": "call_x"}], previous_response_id=asked["id"]), 400)
    assert wrong["param"] == "input[0].call_id"


def test_a_kept_answer_is_had_again_as_it_was_and_deleted(gateway: Gateway):
    first = answer(gateway)
    second = stream(gateway)[-1]["response"]
    for response in (first, second):
        path = f"/v1/responses/{response['id']}"
        assert gateway.client.get(path).json() == response
        assert gateway.client.delete(path).json() == {"id": response["id"], "object": "response", "deleted": True}
        assert error(gateway.client.get(path), 404)["code"] == "response_not_found"
        assert error(gateway.client.delete(path), 404)["code"] == "response_not_found"
        assert error(ask(gateway, previous_response_id=response["id"]), 400)["param"] == "previous_response_id"


def test_what_was_asked_is_listed(gateway: Gateway):
    items = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    path = f"/v1/responses/{answer(gateway, input=items)['id']}/input_items"
    page = gateway.client.get(path, params={"limit": 2}).json()
    ResponseItemList.model_validate(page)
    assert [item["content"][0]["text"] for item in page["data"]] == ["c", "b"]
    rest = gateway.client.get(path, params={"after": page["last_id"]}).json()
    assert [item["content"][0]["text"] for item in rest["data"]] == ["a"]
    in_order = gateway.client.get(path, params={"order": "asc"}).json()
    assert [item["content"][0]["text"] for item in in_order["data"]] == ["a", "b", "c"]
    assert gateway.client.get(path, params={"limit": 0}).status_code == 400


def test_what_is_not_to_be_stored_is_not(gateway: Gateway):
    response = answer(gateway, store=False)
    assert response["store"] is False
    assert gateway.client.get(f"/v1/responses/{response['id']}").status_code == 404
    assert error(ask(gateway, previous_response_id=response["id"]), 400)["code"] == "previous_response_not_found"


def test_answers_outlive_the_server(make_gateway: GatewayMaker):
    with make_gateway() as gateway:
        first = answer(gateway, "one")
    with make_gateway() as gateway:
        said = heard(gateway, previous_response_id=first["id"])["messages"]
    assert [message["content"] for message in said] == ["one", RECORDED_TEXT, "#echo"]


def test_an_unknown_answer_cannot_be_continued(gateway: Gateway):
    refusal = error(ask(gateway, previous_response_id=new_response_id()), 400)
    assert (refusal["param"], refusal["code"]) == ("previous_response_id", "previous_response_not_found")


def test_a_prompt_that_is_too_long_is_refused_before_the_stream_begins(gateway: Gateway):
    for is_stream in (False, True):
        assert error(ask(gateway, "#overflow", stream=is_stream), 400)["code"] == "context_length_exceeded"


def test_a_stream_that_breaks_ends_with_what_there_is_and_is_not_kept(gateway: Gateway):
    events = stream(gateway, "#die")
    failed, told = events[-2:]
    assert (failed["type"], told["type"], told["error"]["code"]) == ("response.failed", "error", "worker_died")
    response = failed["response"]
    assert (response["status"], response["error"]["type"]) == ("failed", "worker_died")
    assert RECORDED_TEXT.startswith(text_of(response))
    assert text_of(response)
    assert gateway.client.get(f"/v1/responses/{response['id']}").status_code == 404


def test_a_plain_answer_that_breaks_is_an_error_with_what_there_is(gateway: Gateway):
    told = error(ask(gateway, "#die"), 503)
    assert told["code"] == "worker_died"
    assert told["partial"]["text"]


def test_a_client_that_leaves_frees_its_slot(gateway: Gateway):
    body = {"model": "first", "input": "#slow", "stream": True}
    with gateway.client.stream("POST", "/v1/responses", json=body) as reply:
        lines = reply.iter_lines()
        assert next(lines) == "event: response.created"
        assert gateway.running() == 1
    gateway.wait_for_running(0)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        (
            {"tools": [{"type": "mcp", "server_label": "s", "server_url": "http://h"}]},
            "tools[0]",
            "mcp_not_allowed",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_tool"),
        ({"background": True}, "background", "invalid_value"),
        ({"input": None}, "input", "missing_field"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type",
            "invalid_value",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_path(gateway: Gateway, fields: dict[str, Any], param: str, code: str):
    refusal = error(ask(gateway, **fields), 400)
    assert (refusal["param"], refusal["code"]) == (param, code)


def test_a_schema_that_cannot_be_used_is_refused_by_its_own_path(gateway: Gateway):
    schema = {"type": "object", "properties": {"a": {"type": "strin"}}}
    wanted = {"format": {"type": "json_schema", "name": "a", "schema": schema}}
    assert error(ask(gateway, text=wanted), 400)["param"] == "text.format.schema.properties.a.type"


def test_a_stored_answer_is_not_streamed_again(gateway: Gateway):
    path = f"/v1/responses/{answer(gateway)['id']}"
    assert error(gateway.client.get(path, params={"stream": "true"}), 400)["param"] == "stream"
