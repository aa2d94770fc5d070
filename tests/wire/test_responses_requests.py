"""Requests to `/v1/responses`: what they become for the engine, and what is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseItemList

from roci.errors import BadRequestError
from roci.wire.ask import Ask
from roci.wire.generation import Call, ChoiceTranscript, Part
from roci.wire.openai.history import answer_messages
from roci.wire.openai.requests import ChatMessage, check_chat_request
from roci.wire.openai.responses_ask import responses_ask, responses_path
from roci.wire.openai.responses_checks import decode_responses_request, mcp_servers
from roci.wire.openai.responses_input import listed_items, messages_of
from roci.wire.openai.responses_replies import page_of
from roci.wire.openai.responses_requests import ResponsesRequest
from tests.support.compatibility import compatible

PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {"type": "function", "name": "get_weather", "description": "Of a city.", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "call_a", "name": "get_weather", "arguments": '{"city":"Oslo"}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_a", "output": "Snow."}


def decoded(**fields: Any) -> ResponsesRequest:
    return decode_responses_request(msgspec.json.encode({"model": "first", "input": "hi", **fields}))


def messages(*items: dict[str, Any], thread: tuple[ChatMessage, ...] = ()) -> list[dict[str, Any]]:
    return msgspec.to_builtins(messages_of(decoded(input=list(items)).items, thread))


def asked(thread: tuple[ChatMessage, ...] = (), **fields: Any) -> Ask:
    request = decoded(**fields)
    ask = responses_ask(request, [*thread, *messages_of(request.items, thread)])
    check_chat_request(ask.chat)
    return ask


def refused(*items: dict[str, Any], **fields: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as error:
        asked(**({"input": list(items)} if items else {}), **fields)
    assert error.value.status == 400
    return error.value


def test_a_text_is_a_message_of_the_user():
    ask = asked(input="Hello", instructions="Be brief.")
    assert msgspec.to_builtins(ask.chat.messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]


def test_messages_come_in_short_and_in_long_form():
    assert messages(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "c", "annotations": []},
                {"type": "refusal", "refusal": "d"},
            ],
        },
        {"type": "message", "role": "user", "content": "e"},
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "cd"},
        {"role": "user", "content": "e"},
    ]


def test_an_image_is_passed_on_as_a_data_url():
    image = {"type": "input_image", "image_url": PNG, "detail": "low"}
    (message,) = messages({"role": "user", "content": [{"type": "input_text", "text": "What?"}, image]})
    assert message["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "input_image", "file_id": "file-1"}, "file_id"),
        ({"type": "input_file", "file_id": "file-1"}, "type"),
        ({"type": "input_text"}, "text"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused_by_its_path(part: dict[str, Any], place: str):
    error = refused({"role": "user", "content": [{"type": "input_text", "text": "a"}, part]})
    assert error.param == f"input[0].content[1].{place}"


def test_reasoning_text_and_calls_in_a_row_are_one_message_of_the_assistant():
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    said = {"role": "assistant", "content": "I will look."}
    second = CALL | {"call_id": "call_b"}
    found = messages({"role": "user", "content": "Weather?"}, thought, said, CALL, second, OUTPUT)
    assert [message["role"] for message in found] == ["user", "assistant", "tool"]
    assert (found[1]["reasoning_content"], found[1]["content"]) == ("Hm.", "I will look.")
    assert [call["id"] for call in found[1]["tool_calls"]] == ["call_a", "call_b"]
    assert found[2] == {"role": "tool", "tool_call_id": "call_a", "content": "Snow."}


def test_a_second_text_of_the_assistant_is_a_second_message():
    found = messages({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"})
    assert [message["content"] for message in found] == ["a", "b"]


def test_a_thought_alone_is_a_message_without_text():
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert messages(summary) == [{"role": "assistant", "content": "", "reasoning_content": "Hm."}]


def test_results_may_be_parts_and_belong_to_calls_of_the_thread():
    thread = tuple(messages_of(decoded(input=[CALL]).items))
    result = OUTPUT | {"output": [{"type": "input_text", "text": "Snow."}]}
    assert messages(result, thread=thread) == [{"role": "tool", "tool_call_id": "call_a", "content": "Snow."}]


def test_calls_that_the_server_made_are_shown_with_their_results():
    call = {"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "f", "arguments": "{}", "output": "[]"}
    listed = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": []}
    found = messages(listed, call, {"role": "assistant", "content": "Done."})
    assert [message["role"] for message in found] == ["assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0].id", "item_not_found"),
        ({"id": "msg_1"}, "input[0].id", "item_not_found"),
        ({}, "input[0].type", "missing_field"),
        ({"type": "web_search_call", "id": "ws_1"}, "input[0].type", "invalid_value"),
        ({"type": "message", "content": "a"}, "input[0].role", "missing_field"),
        ({"role": "user"}, "input[0].content", "missing_field"),
        ({"role": "robot", "content": "a"}, "input[0].role", "invalid_value"),
        (OUTPUT, "input[0].call_id", "invalid_value"),
        (CALL | {"arguments": "[1]"}, "input[0].arguments", "invalid_value"),
        (CALL | {"arguments": "{"}, "input[0].arguments", "invalid_value"),
        (CALL | {"name": None}, "input[0].name", "missing_field"),
    ],
)
def test_an_item_that_cannot_be_used_is_refused_by_its_path(item: dict[str, Any], param: str, code: str):
    error = refused(item)
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"model": 5}, "model"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
        ({"tools": [{"type": "mcp", "server_label": "s"}]}, "tools[0].server_url"),
        ({"tools": [{"type": "mcp", "server_label": "s", "server_url": "file:///x"}]}, "tools[0].server_url"),
        ({"tool_choice": "must"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused_by_its_path(fields: dict[str, Any], param: str):
    assert refused(**fields).param == param


def test_a_tool_that_is_not_there_is_named():
    assert "web_search" in str(refused(tools=[WEATHER, {"type": "web_search"}]))


def test_unknown_fields_and_nulls_are_ignored():
    ask = asked(frobnicate=1, tools=None, text={}, include=["reasoning.encrypted_content"], stream_options={"x": 1})
    assert (ask.chat.tools, ask.chat.response_format, ask.chat.logprobs) == (None, None, None)


def test_settings_become_chats():
    chat = asked(
        temperature=0.1, top_p=0.5, max_output_tokens=9, ttl=60, parallel_tool_calls=False, top_k=3, seed=1
    ).chat
    assert (chat.temperature, chat.top_p, chat.max_completion_tokens, chat.ttl) == (0.1, 0.5, 9, 60)
    assert (chat.parallel_tool_calls, chat.top_k, chat.seed) == (False, 3, 1)


def test_flat_tools_become_chats():
    ask = asked(tools=[WEATHER], tool_choice={"type": "function", "name": "get_weather"})
    assert msgspec.to_builtins(ask.chat.tools) == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Of a city.",
                "parameters": {"type": "object"},
            },
        }
    ]
    assert msgspec.to_builtins(ask.chat.tool_choice) == {"type": "function", "function": {"name": "get_weather"}}


def test_only_allowed_tools_are_shown():
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "now"}]}
    chat = asked(tools=[WEATHER, {"type": "function", "name": "now"}], tool_choice=allowed).chat
    assert [tool.function.name for tool in chat.tools or ()] == ["now"]
    assert chat.tool_choice == "required"


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("tools[0].function.parameters.type", "tools[1].parameters.type"),
        ("response_format.json_schema.schema.properties.a", "text.format.schema.properties.a"),
        ("messages", "input"),
        ("temperature", "temperature"),
    ],
)
def test_a_path_in_the_chat_request_has_one_of_its_own(path: str, own: str):
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "now"}]}
    request = decoded(tools=[WEATHER, {"type": "function", "name": "now"}], tool_choice=allowed)
    assert responses_path(request, path) == own


def test_a_format_becomes_chats():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    strict = asked(text={"format": {"type": "json_schema", "name": "c", "schema": schema, "strict": True}})
    assert msgspec.to_builtins(strict.chat.response_format) == {
        "type": "json_schema",
        "json_schema": {"schema": schema, "name": "c", "strict": True},
    }
    assert msgspec.to_builtins(asked(text={"format": {"type": "json_object"}}).chat.response_format) == {
        "type": "json_object"
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": {"effort": "none"}},
        {"reasoning": "none"},
        {"reasoning": False},
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ],
)
def test_thinking_is_switched_off_in_every_spelling(fields: dict[str, Any]):
    assert asked(**fields).reasoning == "off"


def test_log_probabilities_are_asked_for_by_include():
    chat = asked(include=["message.output_text.logprobs"], top_logprobs=3).chat
    assert (chat.logprobs, chat.top_logprobs) == (True, 3)
    assert asked(top_logprobs=3).chat.logprobs is None


def test_instructions_join_the_system_message_of_a_thread():
    thread = (ChatMessage("system", "You are a cat."), ChatMessage("user", "a"), ChatMessage("assistant", "b"))
    ask = asked(thread, instructions="Be brief.")
    assert [message.role for message in ask.chat.messages] == ["system", "user", "assistant", "user"]
    assert ask.chat.messages[0].content == "Be brief.\n\nYou are a cat."


@compatible("POST /v1/responses", "`tools` of type mcp", "same")
def test_an_mcp_server_is_read_whole():
    tool = {"type": "mcp", "server_label": "s", "server_url": "http://localhost:1/mcp", "headers": {"a": "b"}}
    (server,) = mcp_servers(decoded(tools=[WEATHER, tool | {"allowed_tools": {"tool_names": ["f"]}}]))
    assert (server.path, server.server_label, server.allowed_tools) == ("tools[1]", "s", ("f",))
    assert server.headers == {"a": "b"}


def test_input_is_listed_again_as_openais_types_want_it():
    said = {"role": "assistant", "content": "I will look."}
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    picture = {"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}
    user = {"role": "user", "content": "Weather?", "id": "msg_mine"}
    request = decoded(input=[user, picture, thought, said, CALL, OUTPUT])
    listed = listed_items(request.items)
    page = page_of(listed, after=None, limit=4, newest_first=True)
    ResponseItemList.model_validate(msgspec.to_builtins(page))
    assert [item["type"] for item in page.data] == ["function_call_output", "function_call", "message", "reasoning"]
    assert page.has_more
    rest = page_of(listed, after=page.last_id, limit=4, newest_first=True)
    ResponseItemList.model_validate(msgspec.to_builtins(rest))
    assert (rest.last_id, len(rest.data), rest.has_more) == ("msg_mine", 2, False)


def test_an_answer_goes_on_as_the_messages_that_it_was():
    call = Call("call_a", "f", '{"a":1}', is_whole=True)
    answer = ChoiceTranscript([Part("reasoning", "Hm."), Part("text", "I look."), Part("call", call=call)])
    (message,) = answer_messages(answer)
    assert (message.role, message.content, message.reasoning_content) == ("assistant", "I look.", "Hm.")
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"a":1}'


def test_calls_that_the_server_ran_go_on_with_their_results_round_by_round():
    first = Call("call_a", "f", "{}", is_whole=True, output='"x"')
    second = Call("call_b", "g", "", is_whole=True, output='"y"')
    parts = [Part("call", call=first), Part("call", call=second), Part("text", "Done.", round=1)]
    found = answer_messages(ChoiceTranscript(parts))
    assert [message.role for message in found] == ["assistant", "tool", "tool", "assistant"]
    assert [message.tool_call_id for message in found[1:3]] == ["call_a", "call_b"]


def test_a_call_that_was_cut_does_not_go_on():
    cut = Call("call_a", "f", '{"a', is_whole=False)
    assert msgspec.to_builtins(answer_messages(ChoiceTranscript([Part("text", "a"), Part("call", call=cut)]))) == [
        {"role": "assistant", "content": "a"}
    ]
    assert answer_messages(ChoiceTranscript([Part("call", call=cut)])) == []
