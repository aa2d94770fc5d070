"""MCP over HTTP: the tool loop on `/api/v1/chat` and `/v1/responses`, with a real MCP server and scripted models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.server.conftest import Gateway, model_file
from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S, serve
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import FAKE_WORKER, wait_for_event, wait_until

CALLS = "first-tools"
PLAIN = "second"
TOKEN = "hush-hush-token"
SERVER = Path(__file__).parents[1] / "support" / "mcp_server.py"
ANY_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
WEATHER = [["get_weather", {"city": "Paris"}]]


@pytest.fixture(scope="module")
def mcp_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mcp") / "log"


@pytest.fixture(scope="module")
def address(mcp_log: Path) -> Iterator[str]:
    """Of an MCP server that wants a token."""
    command = [sys.executable, str(SERVER), "http", TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"MCP_LOG": str(mcp_log)}) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        process.kill()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that lets requests bring MCP servers."""
    home = tmp_path_factory.mktemp("home")
    for key in (CALLS, PLAIN):
        write_tiny_gguf(model_file(home, key))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        settings: Any = {"parallel": 2, "max_loaded": 2, "allow_request_mcp": True}
        with (
            serve(home, worker_command=FAKE_WORKER, **settings) as served,
            httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
        ):
            yield Gateway(served, home, client)


def script(*rounds: list[Any]) -> str:
    """What makes the model call tools round by round, and then say what it was asked last."""
    return f"#rounds {json.dumps(rounds)}"


def integration(address: str, label: str = "tests", **more: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return {"type": "ephemeral_mcp", "server_label": label, "server_url": address, "headers": headers, **more}


def native(said: str, *integrations: Any, **more: Any) -> dict[str, Any]:
    return {"model": CALLS, "input": said, "integrations": list(integrations), **more}


def tool(address: str, label: str = "tests", **more: Any) -> dict[str, Any]:
    return integration(address, label) | {"type": "mcp"} | more


def responses(said: str, *tools: Any, **more: Any) -> dict[str, Any]:
    return {"model": CALLS, "input": said, "tools": list(tools), **more}


def chat(gateway: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    reply = gateway.client.post("/api/v1/chat", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def respond(gateway: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    reply = gateway.client.post("/v1/responses", json=body)
    assert reply.status_code == 200, reply.text
    Response.model_validate(reply.json())
    return reply.json()


def refused(gateway: Gateway, path: str, body: dict[str, Any], status: int = 400) -> dict[str, Any]:
    reply = gateway.client.post(path, json=body)
    assert reply.status_code == status, reply.text
    assert TOKEN not in reply.text
    return reply.json()["error"]


def events(data: str) -> list[dict[str, Any]]:
    return [json.loads(frame.partition("data: ")[2]) for frame in data.split("\n\n") if frame.startswith("event: ")]


def last_request(reply: dict[str, Any]) -> dict[str, Any]:
    """What the model was asked in the last round."""
    said = reply["output"][-1]["content"]
    return json.loads(said if isinstance(said, str) else said[0]["text"])


def shown_tools(reply: dict[str, Any]) -> list[str]:
    return [shown["function"]["name"] for shown in last_request(reply)["tools"]]


@compatible("POST /api/v1/chat", "`integrations`: the server makes the calls and asks again", "same")
def test_the_server_makes_the_models_calls_and_asks_it_again(gateway: Gateway, address: str):
    reply = chat(gateway, native(script(WEATHER), integration(address)))
    call, message = reply["output"]
    assert message["type"] == "message"
    assert call == {
        "type": "tool_call",
        "tool": "get_weather",
        "arguments": {"city": "Paris"},
        "output": '[{"type":"text","text":"Sunny in Paris."}]',
        "provider_info": {"type": "ephemeral_mcp", "server_label": "tests"},
    }
    user, assistant, result = last_request(reply)["messages"]
    assert user["role"] == "user"
    (made,) = assistant["tool_calls"]
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", made["id"], "Sunny in Paris.")
    assert "get_weather" in shown_tools(reply)


@compatible("POST /api/v1/chat", "events of each round of calls", "same")
def test_a_stream_tells_of_each_round(gateway: Gateway, address: str):
    body = native(script(WEATHER, [["add", {"a": 1}], ["add", {"a": 2}]]), integration(address), stream=True)
    told = events(gateway.client.post("/api/v1/chat", json=body).text)
    names = [event["type"] for event in told if not event["type"].startswith("model_load")]
    assert names[0] == "chat.start"
    assert names[-1] == "chat.end"
    call = ["tool_call.start", "tool_call.arguments"]
    prompt = ["prompt_processing.start", "prompt_processing.end"]
    assert [name for name in names[1:-1] if not name.startswith("message")] == [
        *prompt,
        *call,
        "tool_call.success",
        *prompt,
        *call,
        *call,
        "tool_call.success",
        "tool_call.success",
        *prompt,
    ]
    results = [event for event in told if event["type"] == "tool_call.success"]
    assert sorted(json.loads(event["output"])[0]["text"] for event in results) == ["3", "4", "Sunny in Paris."]
    assert [item["type"] for item in told[-1]["result"]["output"]] == ["tool_call"] * 3 + ["message"]


def test_tokens_of_all_rounds_are_counted(gateway: Gateway, address: str):
    once = chat(gateway, native("hi", integration(address)))["stats"]
    twice = chat(gateway, native(script(WEATHER), integration(address)))["stats"]
    assert twice["input_tokens"] == 2 * once["input_tokens"]
    assert twice["total_output_tokens"] == 2 * once["total_output_tokens"]


@compatible("POST /v1/responses", "`mcp_list_tools`, `mcp_call`: items and events", "same")
@pytest.mark.parametrize("stream", [False, True])
def test_responses_tells_of_servers_and_calls_in_openais_form(gateway: Gateway, address: str, stream: bool):
    body = responses(script(WEATHER, [["fail", {}]]), tool(address), stream=stream)
    if stream:
        told = events(gateway.client.post("/v1/responses", json=body).text)
        for event in told:
            ANY_EVENT.validate_python(event)
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        names = [event["type"].removeprefix("response.") for event in told]
        listing = ["mcp_list_tools.in_progress", "mcp_list_tools.completed"]
        call = ["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done"]
        more = ["mcp_call.completed", "mcp_call.in_progress", "mcp_call_arguments.done", "mcp_call.failed"]
        seen = list(dict.fromkeys(name for name in names if name.startswith("mcp")))
        assert seen == list(dict.fromkeys([*listing, *call, *more]))
        reply = told[-1]["response"]
    else:
        reply = respond(gateway, body)
    listed, weather, failed, message = reply["output"]
    assert (listed["type"], listed["server_label"]) == ("mcp_list_tools", "tests")
    assert "get_weather" in [shown["name"] for shown in listed["tools"]]
    assert (weather["type"], weather["name"], weather["server_label"]) == ("mcp_call", "get_weather", "tests")
    assert (weather["status"], weather["output"], weather["error"]) == ("completed", "Sunny in Paris.", None)
    assert (failed["status"], failed["output"], failed["error"]["type"]) == ("failed", None, "mcp_tool_execution_error")
    assert message["type"] == "message"
    assert TOKEN not in json.dumps(reply["tools"])


def test_a_tool_that_fails_is_told_to_the_model(gateway: Gateway, address: str):
    reply = chat(gateway, native(script([["fail", {}]]), integration(address)))
    assert reply["output"][0]["type"] == "tool_call"
    assert last_request(reply)["messages"][-1]["content"] == "Error executing tool fail"


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (["nope", {}], "invalid_name", "no tool 'nope'"),
        (["add", {"a": "one"}], "invalid_arguments", "do not fit"),
        (["add", {}], "invalid_arguments", "do not fit"),
    ],
)
def test_a_call_that_cannot_be_made_is_told_and_the_model_goes_on(
    gateway: Gateway, address: str, call: list[Any], kind: str, words: str
):
    reply = chat(gateway, native(script([call]), integration(address)))
    invalid, message = reply["output"]
    assert (invalid["type"], invalid["metadata"]["type"]) == ("invalid_tool_call", kind)
    assert words in invalid["reason"]
    assert message["type"] == "message"
    told = events(
        gateway.client.post("/api/v1/chat", json=native(script([call]), integration(address), stream=True)).text
    )
    (failure,) = [event for event in told if event["type"] == "tool_call.failure"]
    assert failure["metadata"] == invalid["metadata"]
    response = respond(gateway, responses(script([call]), tool(address)))
    assert [item["type"] for item in response["output"]] == ["mcp_list_tools", "mcp_call", "message"]
    assert response["output"][1]["status"] == "failed"


@compatible("POST /api/v1/chat", "`allowed_tools`", "same")
def test_only_allowed_tools_are_shown(gateway: Gateway, address: str):
    reply = chat(gateway, native(script(), integration(address, allowed_tools=["add"])))
    assert shown_tools(reply) == ["add"]
    error = refused(gateway, "/api/v1/chat", native("hi", integration(address, allowed_tools=["adds"])))
    assert error["param"] == "integrations[0].allowed_tools"
    assert "get_weather" in error["message"]


def test_tools_of_one_name_get_their_servers_before_it(gateway: Gateway, address: str):
    both = [integration(address, "one", allowed_tools=["add"]), integration(address, "two", allowed_tools=["add"])]
    reply = chat(gateway, native(script([["two_add", {"a": 5}]]), *both))
    assert shown_tools(reply) == ["add", "two_add"]
    assert reply["output"][0]["provider_info"]["server_label"] == "two"
    own = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    tools = [own, tool(address, "one", allowed_tools=["add"])]
    response = respond(gateway, responses(script([["one_add", {"a": 5}]]), *tools))
    assert (response["output"][1]["name"], response["output"][1]["output"]) == ("add", "7")


def test_a_call_of_the_clients_own_tool_ends_the_answer(gateway: Gateway, address: str):
    own = {"type": "function", "name": "mine", "parameters": {"type": "object"}}
    tools = [own, tool(address)]
    first = respond(gateway, responses(script([["mine", {}], *WEATHER]), *tools))
    assert [item["type"] for item in first["output"]] == ["mcp_list_tools", "function_call", "mcp_call"]
    assert first["output"][2]["output"] == "Sunny in Paris."
    given = {"type": "function_call_output", "call_id": first["output"][1]["call_id"], "output": "Mine says so."}
    body = responses("", *tools, previous_response_id=first["id"]) | {"input": [given]}
    second = respond(gateway, body)
    assert {message["content"] for message in last_request(second)["messages"] if message["role"] == "tool"} == {
        "Sunny in Paris.",
        "Mine says so.",
    }


def test_a_kept_conversation_knows_of_the_calls(gateway: Gateway, address: str):
    first = chat(gateway, native(script(WEATHER), integration(address)))
    body = {"model": CALLS, "input": "#echo", "previous_response_id": first["response_id"]}
    roles = [message["role"] for message in last_request(chat(gateway, body))["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_max_tool_calls_ends_the_calling(gateway: Gateway, address: str):
    rounds = [[["add", {"a": 1}], ["add", {"a": 2}]], [["add", {"a": 3}]]]
    reply = respond(gateway, responses(script(*rounds), tool(address), max_tool_calls=1))
    _, made, left, message = reply["output"]
    assert (made["output"], left["status"]) == ("3", "failed")
    assert message["type"] == "message"
    assert "tools" not in last_request(reply)


def test_a_model_that_never_stops_calling_is_asked_for_its_answer(gateway: Gateway, address: str):
    reply = chat(gateway, native(script(*[[["add", {"a": 1}]]] * 40), integration(address)))
    assert [item["type"] for item in reply["output"]] == ["tool_call"] * 16 + ["message"]
    assert [note["code"] for note in reply["roci"]["notes"]] == ["tool_rounds_exceeded"]


def test_a_limit_of_tokens_holds_for_all_rounds_together(gateway: Gateway, address: str):
    once = chat(gateway, native("hi", integration(address)))["stats"]["total_output_tokens"]
    reply = chat(gateway, native(script(WEATHER, WEATHER), integration(address), max_output_tokens=once))
    assert [item["type"] for item in reply["output"]] == ["tool_call"]
    assert reply["stats"]["stop_reason"] == "maxPredictedTokensReached"


def test_a_model_without_tools_in_its_template_is_told_of_them_in_words(gateway: Gateway, address: str):
    reply = chat(gateway, native("#echo", integration(address, allowed_tools=["add"]), model=PLAIN))
    assert '"name":"add"' in last_request(reply)["messages"][0]["content"]


def test_what_a_resource_says_is_shown_to_the_model(gateway: Gateway, address: str):
    reply = chat(gateway, native(script([["manual", {}]]), integration(address)))
    assert last_request(reply)["messages"][-1]["content"] == "Read me."


def test_a_result_that_is_too_large_is_told_as_such(gateway: Gateway, address: str):
    reply = chat(gateway, native(script([["shout", {"size": 2**20}]]), integration(address)))
    assert "too much" in last_request(reply)["messages"][-1]["content"]


def test_input_tokens_are_counted_with_the_servers_tools(gateway: Gateway, address: str):
    reply = gateway.client.post("/v1/responses/input_tokens", json=responses("hi", tool(address)))
    assert reply.status_code == 200, reply.text
    assert reply.json()["input_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_tool_that_runs_for_it(
    gateway: Gateway, address: str, mcp_log: Path, stream: bool
):
    before = mcp_log.read_text().count("cancelled")
    with gateway.asking(native(script([["wait", {}]]), integration(address), stream=stream), "/api/v1/chat"):
        wait_until(lambda: mcp_log.read_text().count("begun") > before, "the call")
        gateway.wait_for_running(0)  # while the tool runs, the model is free for others
    wait_until(lambda: mcp_log.read_text().count("cancelled") > before, "the end of the call")


def test_a_client_that_leaves_while_the_model_writes_ends_that(gateway: Gateway, address: str):
    with gateway.asking(native("#slow", integration(address), stream=True), "/api/v1/chat"):
        gateway.wait_for_running(1)
    wait_for_event(gateway.file(CALLS), event="end", how="client left")
    gateway.wait_for_running(0)


@compatible("POST /api/v1/chat", "`mcp_connection_error`", "same")
@compatible("POST /api/v1/chat", "MCP servers that want OAuth", "missing", "a token in `headers` works")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server_url": "http://127.0.0.1:9/mcp?key=hush-hush-token"}, "cannot be reached"),
        ({"headers": {"Authorization": "Bearer hush-hush-token-2"}}, "status 401"),
        ({"headers": None}, "status 401"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_plain_error(
    gateway: Gateway, address: str, change: dict[str, Any], words: str
):
    error = refused(gateway, "/api/v1/chat", native("hi", integration(address) | change), 502)
    assert (error["type"], error["param"]) == ("mcp_connection_error", "integrations[0]")
    assert words in error["message"]
    error = refused(gateway, "/v1/responses", responses("hi", tool(address) | change), 502)
    assert (error["code"], error["param"]) == ("mcp_connection_error", "tools[0]")
    told = events(
        gateway.client.post("/api/v1/chat", json=native("hi", integration(address) | change, stream=True)).text
    )
    assert [event["type"] for event in told] == ["chat.start", "error", "chat.end"]
    assert told[1]["error"]["type"] == "mcp_connection_error"
    assert "hush" not in json.dumps(told)


def test_a_server_that_dies_in_a_call_is_an_error_with_what_had_come(gateway: Gateway, mcp_log: Path):
    command = [sys.executable, str(SERVER), "http", ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"MCP_LOG": str(mcp_log)}) as process:
        assert process.stdout is not None
        mortal = f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        body = native(script(WEATHER, [["die", {}]]), integration(mortal), stream=True)
        told = events(gateway.client.post("/api/v1/chat", json=body).text)
    assert [event["type"] for event in told[-2:]] == ["error", "chat.end"]
    assert told[-2]["error"]["type"] == "mcp_connection_error"
    assert told[-1]["result"]["output"][0]["output"] == '[{"type":"text","text":"Sunny in Paris."}]'
    assert "response_id" not in told[-1]["result"]
    assert chat(gateway, native("hi"))["output"], "the gateway goes on"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"server_url": "file:///etc/passwd"}, "tools[0].server_url"),
        ({"require_approval": "always"}, "tools[0].require_approval"),
        ({"require_approval": {"always": {"tool_names": ["add"]}}}, "tools[0].require_approval"),
        ({"headers": {"x": "a\r\nb: c"}}, "tools[0].headers"),
    ],
)
def test_a_server_that_no_request_may_have_is_refused(
    gateway: Gateway, address: str, change: dict[str, Any], param: str
):
    assert refused(gateway, "/v1/responses", responses("hi", tool(address) | change))["param"] == param


def test_a_token_of_its_own_field_is_sent(gateway: Gateway, address: str):
    reply = respond(gateway, responses(script(WEATHER), tool(address, headers=None, authorization=TOKEN)))
    assert reply["output"][1]["output"] == "Sunny in Paris."


def test_two_servers_of_one_name_are_refused(gateway: Gateway, address: str):
    error = refused(gateway, "/api/v1/chat", native("hi", integration(address), integration(address)))
    assert error["param"] == "integrations[1]"


def test_both_doors_are_shut_by_default(gateway: Gateway, address: str, tmp_path: Path):
    error = refused(gateway, "/api/v1/chat", native("hi", "mcp/tests"))
    assert (error["code"], error["param"]) == ("mcp_not_allowed", "integrations[0]")
    assert "allow_mcp_file" in error["message"]
    write_tiny_gguf(model_file(tmp_path, CALLS))
    with (
        serve(tmp_path, worker_command=FAKE_WORKER, allow_mcp_file=True) as served,
        httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
    ):
        shut = Gateway(served, tmp_path, client)
        for path, body, setting in (
            ("/api/v1/chat", native("hi", integration(address)), "allow_request_mcp"),
            ("/v1/responses", responses("hi", tool(address)), "allow_request_mcp"),
            ("/api/v1/chat", native("hi", "mcp/tests"), "allow_mcp_file"),  # it needs require_token too
        ):
            error = refused(shut, path, body)
            assert error["code"] == "mcp_not_allowed"
            assert setting in error["message"]
