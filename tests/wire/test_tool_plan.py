"""How tools are put to a model, and what holds for its calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roci.errors import BadRequestError
from roci.wire.generation import Event, Finish, Note, TextDelta, ToolCallDelta, ToolCallEnd, ToolCallStart
from roci.wire.openai.requests import ChatMessage, ContentPart
from roci.wire.schema.plan import plan_schema
from roci.wire.tools.default_format import rewritten_history
from roci.wire.tools.names import safe_names
from roci.wire.tools.plan import ToolPlan, plan_tools
from tests.support.planned import chat_request, json_schema, tool

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = tool("get_weather", CITY, "Weather of a city")
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def plan(messages: str | list[dict[str, Any]] = "Hi", *, supports_tools: bool = False, **more: Any) -> ToolPlan:
    return plan_tools(plan_schema(chat_request(messages, **more)).chat, supports_tools=supports_tools)


def worker_schema(planned: ToolPlan) -> dict[str, Any]:
    wanted = planned.chat.response_format
    assert wanted is not None
    assert wanted.json_schema is not None
    return wanted.json_schema.schema


def read(planned: ToolPlan, *events: Event) -> list[Event]:
    reader = planned.reader()
    return [told for event in events for told in reader.feed(event)]


def call(index: int, name: str, arguments: str = "{}") -> list[Event]:
    return [ToolCallStart(index, f"call_{index}", name), ToolCallDelta(index, arguments), ToolCallEnd(index)]


def test_a_template_that_knows_tools_is_given_them():
    planned = plan(tools=[WEATHER], supports_tools=True)
    assert planned.way == "native"
    assert planned.chat.tools is not None
    assert planned.chat.tools[0].function.parameters == CITY | {"additionalProperties": False}
    assert planned.chat.response_format is None
    assert planned.chat.messages == [ChatMessage(role="user", content="Hi")]


def test_other_models_are_told_the_tools_in_a_system_message():
    planned = plan(tools=[WEATHER])
    assert planned.way == "default"
    assert planned.chat.tools is None
    system, user = planned.chat.messages
    assert system.role == "system"
    assert isinstance(system.content, str)
    for part in (
        "[TOOL_REQUEST]",
        "[END_TOOL_REQUEST]",
        "Never write [TOOL_RESULT]",
        "get_weather",
        "Weather of a city",
    ):
        assert part in system.content
    assert user.content == "Hi"


def test_the_tools_join_the_system_message_that_is_there():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    first = plan(messages, tools=[WEATHER]).chat.messages[0]
    assert isinstance(first.content, str)
    assert first.content.startswith("Be brief.\n\nYou can call tools.")
    parts = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, messages[1]]
    first = plan(parts, tools=[WEATHER]).chat.messages[0]
    assert first.role == "developer"
    assert isinstance(first.content, list)
    assert [part.type for part in first.content] == ["text", "text"]


def test_history_becomes_words_where_the_template_knows_no_calls():
    def made(identifier: str, city: str) -> dict[str, Any]:
        function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
        return {"id": identifier, "type": "function", "function": function}

    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [made("1", "Rome"), made("2", "Oslo")]},
        {"role": "tool", "tool_call_id": "1", "content": "sun"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "rain"}]},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "tool_calls": [made("3", "Bonn")]},
    ]
    for tools in ([WEATHER], []):  # also where this request brings no tools
        told = plan(messages, tools=tools).chat.messages
        told = told if told[0].role == "user" else told[1:]
        assert [message.role for message in told] == ["user", "assistant", "user", "assistant"]
        assert told[1].tool_calls is None
        assert told[1].content == (
            'Let me see.\n[TOOL_REQUEST]{"name": "get_weather", "arguments": {"city": "Rome"}}[END_TOOL_REQUEST]\n'
            '[TOOL_REQUEST]{"name": "get_weather", "arguments": {"city": "Oslo"}}[END_TOOL_REQUEST]'
        )
        results = "[TOOL_RESULT]sun[END_TOOL_RESULT]\n\n[TOOL_RESULT]rain[END_TOOL_RESULT]\n\nAnd?"
        assert told[2].content == results
        assert str(told[3].content).startswith("[TOOL_REQUEST]")


def test_an_image_after_a_result_stays_an_image():
    image = ContentPart(type="image_url", image_url="data:image/png;base64,AA==")
    messages = [ChatMessage(role="tool", content="sun"), ChatMessage(role="user", content=[image])]
    (told,) = rewritten_history(messages)
    assert told.content == [ContentPart(type="text", text="[TOOL_RESULT]sun[END_TOOL_RESULT]"), image]


def test_a_template_that_knows_tools_gets_its_history_as_it_is():
    made = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [{"role": "assistant", "tool_calls": [made]}, {"role": "tool", "tool_call_id": "1", "content": "sun"}]
    told = plan(messages, tools=[WEATHER], supports_tools=True).chat.messages
    assert told[0].tool_calls is not None
    assert told[1].role == "tool"


@pytest.mark.parametrize("supports_tools", [False, True])
def test_no_choice_hides_the_tools(supports_tools: bool):
    planned = plan(tools=[WEATHER], tool_choice="none", supports_tools=supports_tools)
    assert planned.way == "none"
    assert planned.chat.tools is None
    assert planned.chat.tool_choice is None
    assert "get_weather" not in str(planned.chat.messages)
    text = TextDelta('[TOOL_REQUEST]{"name": "get_weather"}[END_TOOL_REQUEST]')
    assert read(planned, text, Finish("stop")) == [text, Finish("stop")]


@pytest.mark.parametrize("supports_tools", [False, True])
def test_a_required_call_is_a_schema_over_the_tools(supports_tools: bool):
    planned = plan(tools=[WEATHER, tool("clock")], tool_choice="required", supports_tools=supports_tools)
    assert planned.way == "forced"
    assert planned.chat.tool_choice is None
    assert (planned.chat.tools is not None) == supports_tools
    first, second = worker_schema(planned)["anyOf"]
    assert list(first["properties"]) == ["name", "arguments"]
    assert first["properties"]["name"] == {"const": "get_weather"}
    assert first["properties"]["arguments"]["required"] == ["city"]
    assert second["properties"]["arguments"]["properties"] == {}


def test_a_named_choice_shows_and_allows_that_tool_alone():
    planned = plan(tools=[WEATHER, tool("clock")], tool_choice=NAMED)
    assert worker_schema(planned)["properties"]["name"] == {"const": "get_weather"}
    assert "clock" not in str(planned.chat.messages)


def test_definitions_of_several_tools_do_not_mix():
    def with_kind(kind: str) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/X"}},
            "required": ["x"],
            "$defs": {"X": {"type": kind}},
        }

    answer = json_schema(with_kind("null"))
    tools = [tool("a", with_kind("integer")), tool("b", with_kind("boolean"))]
    schema = worker_schema(plan(tools=tools, response_format=answer))
    kinds = {}
    calls = schema["anyOf"][0]["properties"]["tool_call"]["anyOf"]
    written = [call["properties"]["arguments"] for call in calls] + [schema["anyOf"][1]["properties"]["answer"]]
    for name, each in zip("abc", written, strict=True):
        reference = each["properties"]["x"]["$ref"]
        kinds[name] = schema["$defs"][reference.removeprefix("#/$defs/")]["type"]
    assert kinds == {"a": "integer", "b": "boolean", "c": "null"}


def test_tools_with_a_schema_make_an_envelope_whose_answer_is_unwrapped():
    wanted = json_schema({"type": "string", "pattern": "^\\d$"})
    planned = plan(tools=[WEATHER], response_format=wanted)
    assert planned.way == "envelope"
    assert worker_schema(planned)["anyOf"][1]["properties"]["answer"]["pattern"] == "^[0-9]$"
    answer = read(planned, TextDelta('{"answer": "7"}'), Finish("stop"))
    assert "".join(event.text for event in answer if isinstance(event, TextDelta)) == '"7"'
    assert answer[-1] == Finish("stop")


def test_a_whole_call_ends_with_the_reason_tool_calls_and_the_clients_name():
    planned = plan(tools=[tool("get weather!", CITY)])
    assert list(planned.names) == ["get_weather"]
    text = '[TOOL_REQUEST]{"name": "get_weather", "arguments": {"city": "Rome"}}[END_TOOL_REQUEST]'
    start, *_, end, finish = read(planned, TextDelta(text), Finish("stop"))
    assert isinstance(start, ToolCallStart)
    assert start.name == "get weather!"
    assert isinstance(end, ToolCallEnd)
    assert finish == Finish("tool_calls")


def test_native_calls_carry_the_clients_name():
    planned = plan(tools=[tool("get.weather", CITY)], supports_tools=True)
    assert planned.chat.tools is not None
    assert planned.chat.tools[0].function.name == "get_weather"
    start, *_ = read(planned, *call(0, "get_weather"))
    assert isinstance(start, ToolCallStart)
    assert start.name == "get.weather"


@pytest.mark.parametrize("supports_tools", [False, True])
def test_one_call_where_one_is_wanted_and_the_others_in_a_note(supports_tools: bool):
    planned = plan(tools=[WEATHER], parallel_tool_calls=False, supports_tools=supports_tools)
    if supports_tools:
        events = [*call(0, "get_weather", '{"city": "A"}'), *call(1, "get_weather", '{"city": "B"}')]
    else:
        texts = [
            f'[TOOL_REQUEST]{{"name":"get_weather","arguments":{{"city": "{c}"}}}}[END_TOOL_REQUEST]' for c in "AB"
        ]
        events = [TextDelta("\n".join(texts))]
    told = read(planned, *events, Finish("stop"))
    assert [event.index for event in told if isinstance(event, ToolCallStart)] == [0]
    (note,) = [event for event in told if isinstance(event, Note)]
    assert note.code == "parallel_tool_calls"
    assert 'get_weather {"city": "B"}' in note.message
    assert told[-1] == Finish("tool_calls")


def test_a_later_round_counts_its_calls_on():
    reader = plan(tools=[WEATHER], supports_tools=True, parallel_tool_calls=False).reader(first_index=3)
    told = [event for each in call(0, "get_weather") for event in reader.feed(each)]
    assert [getattr(event, "index", None) for event in told] == [3, 3, 3]


def test_names_are_made_safe_and_stay_different():
    names = safe_names(["get_weather", "get.weather", "get weather", "météo", "é", "ü", "x" * 80, "x" * 81])
    assert names["get_weather"] == "get_weather"
    assert names["get.weather"] == "get_weather_2"
    assert names["get weather"] == "get_weather_3"
    assert names["météo"] == "m_t_o"
    assert (names["é"], names["ü"]) == ("tool", "tool_2")
    assert len(set(names.values())) == 8
    assert all(len(name) <= 64 for name in names.values())


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([WEATHER, WEATHER], "tools[1].function.name"),
        ([tool("a", {"type": "string"})], "tools[0].function.parameters.type"),
        ([tool("a", {"properties": {"x": {"type": "text"}}})], "tools[0].function.parameters.properties.x.type"),
        (
            [tool("a", {"properties": {"x": {"$ref": "file:///etc/passwd"}}})],
            "tools[0].function.parameters.properties.x.$ref",
        ),
        ([WEATHER, tool("b", {"$ref": "#/$defs/No"})], "tools[1].function.parameters.$ref"),
        ([tool(f"t{number}", None, "x" * 60_000) for number in range(10)], "tools"),
    ],
)
@pytest.mark.parametrize("supports_tools", [False, True])
def test_tools_that_cannot_be_put_are_refused_with_their_path(
    tools: list[dict[str, Any]], param: str, supports_tools: bool
):
    with pytest.raises(BadRequestError) as refused:
        plan(tools=tools, supports_tools=supports_tools)
    assert refused.value.param == param
    assert refused.value.status == 400


def test_parameters_too_large_for_a_grammar_are_loosened_and_that_is_said():
    large = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(3000)}}
    large["required"] = list(large["properties"])
    planned = plan(tools=[tool("big", large), WEATHER], tool_choice="required")
    assert worker_schema(planned)["properties"] == {
        "name": {"enum": ["big", "get_weather"]},
        "arguments": {"type": "object"},
    }
    told = read(planned, TextDelta('{"name": "big", "arguments": {}}'), Finish("stop"))
    assert [event.code for event in told if isinstance(event, Note)] == ["tool_schema_loosened"]


def test_very_many_tools_are_loosened_too():
    planned = plan(tools=[tool(f"tool_{number}") for number in range(200)], tool_choice="required")
    assert worker_schema(planned)["properties"]["name"]["pattern"].startswith("^tool_(")


def test_missing_parameters_are_an_empty_object():
    planned = plan(tools=[tool("now")], supports_tools=True)
    assert planned.chat.tools is not None
    assert planned.chat.tools[0].function.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object", "properties": {}, "required": []}], ids=repr)
def test_a_forced_call_of_a_tool_that_takes_nothing_has_no_arguments(parameters: dict[str, Any] | None):
    planned = plan(tools=[tool("now", parameters)], tool_choice="required")
    arguments = worker_schema(planned)["properties"]["arguments"]
    assert arguments == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_a_forced_call_of_a_tool_that_takes_anything_may_have_any_arguments():
    planned = plan(tools=[tool("log", {"type": "object", "additionalProperties": True})], tool_choice="required")
    assert worker_schema(planned)["properties"]["arguments"].get("additionalProperties") is not False


def test_descriptions_reach_the_model_and_not_the_grammar():
    parameters = {"properties": {"x": {"type": "string", "description": 'the "x" \\ {}'}}, "required": ["x"]}
    planned = plan(tools=[tool("a", parameters)], tool_choice="required", supports_tools=True)
    assert planned.chat.tools is not None
    assert "description" in str(planned.chat.tools[0].function.parameters)
    assert "description" not in str(worker_schema(planned))


def test_a_tool_too_large_for_a_grammar_is_told_in_its_description():
    names = [f"p{number}" for number in range(3000)]
    large = {"type": "object", "properties": {name: {"type": "null"} for name in names}, "required": names}
    planned = plan(tools=[tool("big", large), WEATHER], supports_tools=True)
    assert planned.chat.tools is not None
    big = planned.chat.tools[0].function
    assert big.parameters == {"type": "object", "properties": {}}
    assert '"p2999"' in str(big.description)
    told = read(planned, *call(0, "big"), Finish("stop"))
    assert [event.code for event in told if isinstance(event, Note)] == ["tool_schema_loosened"]


def test_a_template_is_given_what_the_engine_takes_and_a_model_can_read():
    number = {"type": "number", "minimum": 2, "description": "how many"}
    parameters = {"properties": {"n": number, "any": True, "self": {"$ref": "#"}}}
    planned = plan(tools=[tool("a", parameters)], supports_tools=True)
    assert planned.chat.tools is not None
    shown = planned.chat.tools[0].function.parameters
    assert shown is not None
    assert shown["properties"] == {"n": number, "any": {}, "self": {"$ref": "#/$defs/root"}}
    assert shown["$defs"]["root"]["properties"]["n"] == number
