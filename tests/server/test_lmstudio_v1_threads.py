"""Conversations of `/api/v1/chat`: what the model sees of them, whoever goes on, and how chats end badly."""

from __future__ import annotations

import json
from typing import Any

from tests.server.conftest import Gateway, GatewayMaker
from tests.server.test_lmstudio_v1 import error, events
from tests.support.compatibility import compatible
from tests.support.workers import wait_for_event


def ask(gateway: Gateway, text: str = "#echo", **more: Any) -> dict[str, Any]:
    reply = gateway.client.post("/api/v1/chat", json={"model": "first", "input": text, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def seen(reply: dict[str, Any]) -> list[tuple[str, str]]:
    """Roles and texts of the messages that the worker got, answers shortened to `…`."""
    (item,) = reply["output"]
    sent = json.loads(item["content"])
    return [
        (message["role"], "…" if message["role"] == "assistant" else message["content"]) for message in sent["messages"]
    ]


def refused(gateway: Gateway, status: int, **fields: Any) -> dict[str, Any]:
    return error(gateway.client.post("/api/v1/chat", json={"model": "first", "input": "hi"} | fields), status)


SYSTEM = ("system", "You are Bob.")
ASKED = ("user", "#echo")
ANSWERED = ("assistant", "…")


def test_a_conversation_goes_on_from_any_of_its_answers(lasting_gateway: Gateway):
    first = ask(lasting_gateway, system_prompt="You are Bob.")
    second = ask(lasting_gateway, previous_response_id=first["response_id"])
    third = ask(lasting_gateway, previous_response_id=second["response_id"], stream=False)
    branch = ask(lasting_gateway, previous_response_id=first["response_id"])
    assert seen(first) == [SYSTEM, ASKED]
    assert seen(second) == seen(branch) == [SYSTEM, ASKED, ANSWERED, ASKED]
    assert seen(third) == [SYSTEM, ASKED, ANSWERED, ASKED, ANSWERED, ASKED]
    assert len({reply["response_id"] for reply in (first, second, third, branch)}) == 4


def test_a_streamed_answer_can_be_gone_on_from_as_soon_as_it_is_over(lasting_gateway: Gateway):
    first = lasting_gateway.client.post("/api/v1/chat", json={"model": "first", "input": "#echo", "stream": True}).text
    second = ask(lasting_gateway, previous_response_id=events(first)[-1]["result"]["response_id"])
    assert seen(second) == [ASKED, ANSWERED, ASKED]


def test_a_conversation_goes_on_through_both_families(lasting_gateway: Gateway):
    native = ask(lasting_gateway, system_prompt="You are Bob.")
    body = {"model": "first", "input": "#echo", "previous_response_id": native["response_id"]}
    response = lasting_gateway.client.post("/v1/responses", json=body).json()
    assert seen(ask(lasting_gateway, previous_response_id=response["id"])) == [SYSTEM, *[ASKED, ANSWERED] * 2, ASKED]


def test_another_system_prompt_replaces_the_first_from_there_on(lasting_gateway: Gateway):
    first = ask(lasting_gateway, system_prompt="You are Bob.")
    same = ask(lasting_gateway, previous_response_id=first["response_id"], system_prompt="You are Bob.")
    changed = ask(lasting_gateway, previous_response_id=first["response_id"], system_prompt="You are Eve.")
    after = ask(lasting_gateway, previous_response_id=changed["response_id"])
    eve = ("system", "You are Eve.")
    assert seen(same) == [SYSTEM, ASKED, ANSWERED, ASKED]
    assert seen(changed) == [eve, ASKED, ANSWERED, ASKED]
    assert seen(after) == [eve, *[ASKED, ANSWERED] * 2, ASKED]


def test_an_answer_that_is_not_stored_has_no_id_and_leaves_nothing(gateway: Gateway):
    assert "response_id" not in ask(gateway, store=False)
    assert not (gateway.home / "state.sqlite3").exists()


def test_an_unknown_answer_cannot_be_gone_on_from(lasting_gateway: Gateway):
    told = refused(lasting_gateway, 400, previous_response_id="resp_" + "0" * 48)
    assert (told["type"], told["code"], told["param"]) == ("invalid_request", "invalid_value", "previous_response_id")
    assert "30 days" in told["message"]


def test_an_unknown_model_is_never_answered_by_another(make_gateway: GatewayMaker):
    for compat in ("roci", "lmstudio"):
        with make_gateway(compat=compat) as gateway:
            ask(gateway)
            told = refused(gateway, 404, model="nobody")
            assert (told["type"], told["param"]) == ("model_not_found", "model")


def test_unknown_keys_are_named_in_the_reply(lasting_gateway: Gateway):
    told = refused(lasting_gateway, 400, ttl=5, seed=1)
    assert told["code"] == "unrecognized_keys"
    assert "'seed', 'ttl'" in told["message"]


def test_reasoning_that_the_model_does_not_offer_is_refused(lasting_gateway: Gateway):
    assert refused(lasting_gateway, 400, reasoning="high")["param"] == "reasoning"


@compatible(
    "POST /api/v1/models/load",
    "a context length above the model's limit",
    "better",
    "refused; LM Studio loads it all the same",
)
def test_a_context_length_above_the_model_s_own_limit_is_refused(make_gateway: GatewayMaker):
    with make_gateway() as gateway:
        told = refused(gateway, 400, context_length=4096)
        assert told["param"] == "context_length"
        assert "2048" in told["message"]
    with make_gateway(compat="lmstudio") as gateway:
        assert ask(gateway, context_length=4096)["model_instance_id"] == "first"
        (first, _) = gateway.client.get("/api/v1/models").json()["models"]
        assert first["loaded_instances"][0]["config"]["context_length"] == 2048


@compatible(
    "POST /api/v1/chat", "MCP servers only where a setting allows them", "same", "`allow_request_mcp`, `allow_mcp_file`"
)
def test_mcp_servers_are_refused_by_the_name_of_the_setting(lasting_gateway: Gateway):
    remote = {"type": "ephemeral_mcp", "server_label": "x", "server_url": "https://x"}
    for integration, setting in (("mcp/x", "allow_mcp_file"), (remote, "allow_request_mcp")):
        told = refused(lasting_gateway, 400, integrations=[integration])
        assert told["code"] == "mcp_not_allowed"
        assert setting in told["message"]


def test_a_worker_that_dies_ends_the_stream_with_the_error_and_what_had_come(lasting_gateway: Gateway):
    reply = lasting_gateway.client.post("/api/v1/chat", json={"model": "first", "input": "#die", "stream": True})
    told = events(reply.text)
    assert [event["type"] for event in told][-2:] == ["error", "chat.end"]
    assert told[-2]["error"]["type"] == "internal_error"
    assert told[-2]["error"]["code"] == "worker_died"
    text = "".join(event["content"] for event in told if event["type"] == "message.delta")
    assert told[-1]["result"]["output"] == [{"type": "message", "content": text}]
    assert "response_id" not in told[-1]["result"]


def test_a_client_that_leaves_frees_its_place(lasting_gateway: Gateway):
    for stream in (True, False):
        body = {"model": "first", "input": "#slow", "stream": stream}
        with lasting_gateway.asking(body, "/api/v1/chat"):
            lasting_gateway.wait_for_running(1)
        lasting_gateway.wait_for_running(0)
    assert wait_for_event(lasting_gateway.file("first"), event="end", how="client left")
