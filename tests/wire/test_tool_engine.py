"""Tools with the real engine: a template that knows no tools, and one that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roci.engine.worker_process import WorkerOptions, WorkerProcess
from roci.wire.generation import ToolCallDelta, ToolCallEnd, ToolCallStart
from tests.support.planned import ask_planned, chat_request, json_schema, tool
from tests.support.record_llama_cpp_samples import TOOL_TEMPLATE
from tests.support.workers import PATIENCE_S

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = tool("get_weather", CITY, "Weather of a city")
CLOCK = tool("clock", {"type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}}})
NESTED = tool(
    "plant.tree",
    {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/Tree"}},
        "required": ["tree"],
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {
                    "height": {"type": "integer", "minimum": 3, "maximum": 9},
                    "tip": {"$ref": "#/$defs/Tip"},
                },
                "required": ["height", "tip"],
            },
            "Tip": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
        },
    },
)


@pytest.fixture(scope="module", params=[False, True], ids=["without a tool template", "with a tool template"])
def engine(request: pytest.FixtureRequest, starter_model: Path) -> Iterator[tuple[Path, bool]]:
    template = TOOL_TEMPLATE if request.param else None
    options = WorkerOptions(context_length=2048, parallel=1, chat_template=template)
    worker = WorkerProcess.start("smol", starter_model, options)
    ready = worker.ready.result(PATIENCE_S)
    yield ready.socket_path, ready.supports_tools
    worker.stop()


def test_a_named_call_is_made_with_any_model_and_its_arguments_stream(engine: tuple[Path, bool]):
    socket_path, knows_tools = engine
    choice = {"type": "function", "function": {"name": "get_weather"}}
    request = chat_request("What is the weather in Paris?", tools=[CLOCK, WEATHER], tool_choice=choice)
    answer = ask_planned(socket_path, request, supports_tools=knows_tools)
    assert [name for name, _ in answer.calls] == ["get_weather"]
    assert isinstance(answer.calls[0][1]["city"], str)
    kinds = [type(event) for event in answer.events if isinstance(event, ToolCallStart | ToolCallDelta | ToolCallEnd)]
    assert kinds[0] is ToolCallStart
    assert kinds[-1] is ToolCallEnd
    assert len(kinds) > 4


def test_a_required_call_is_made_with_any_model_also_with_definitions_and_an_odd_name(engine: tuple[Path, bool]):
    socket_path, knows_tools = engine
    request = chat_request("Plant a tree.", max_tokens=32, tools=[NESTED, CLOCK], tool_choice="required")
    answer = ask_planned(socket_path, request, supports_tools=knows_tools)
    choice = answer.transcript.choice()
    assert choice.text == ""
    assert [call.name for call in choice.calls] in (["plant.tree"], ["clock"])
    if answer.finish == "length":  # this model's trees can be deep
        assert [note.code for note in choice.notes] == ["tool_call_cut"]
    else:
        assert answer.finish == "tool_calls"
        assert choice.calls[0].is_whole
        assert choice.notes == []


def test_a_forced_call_that_the_limit_cuts_is_not_ended(engine: tuple[Path, bool]):
    socket_path, knows_tools = engine
    request = chat_request("Weather in Paris?", tools=[WEATHER], tool_choice="required", max_tokens=16)
    answer = ask_planned(socket_path, request, supports_tools=knows_tools)
    assert answer.finish == "length"
    assert answer.calls == []
    assert [note.code for note in answer.transcript.choice().notes] == ["tool_call_cut"]


def test_tools_and_a_schema_give_a_call_or_an_answer_that_fits(engine: tuple[Path, bool]):
    socket_path, knows_tools = engine
    schema = {"type": "object", "properties": {"sum": {"$ref": "#/$defs/S"}}, "required": ["sum"]}
    schema["$defs"] = {"S": {"type": "string", "pattern": "^\\d{2}$"}}
    request = chat_request("What is 20 plus 22?", max_tokens=40, tools=[WEATHER], response_format=json_schema(schema))
    answer = ask_planned(socket_path, request, supports_tools=knows_tools)
    if answer.calls:
        assert answer.finish == "tool_calls"
        assert answer.text == ""
    else:
        note = answer.schema.check(answer.text)
        assert note is not None
        assert note.code == "schema_valid", note


def test_a_model_that_is_shown_how_makes_its_call_in_the_default_format_or_its_own(engine: tuple[Path, bool]):
    socket_path, knows_tools = engine
    messages: list[dict[str, object]] = []
    for number, city in enumerate(("Rome", "Oslo", "Cairo")):  # the model is small and needs to be shown how
        call = {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'}
        messages += [
            {"role": "user", "content": f"Weather in {city}?"},
            {"role": "assistant", "tool_calls": [{"id": f"c{number}", "type": "function", "function": call}]},
        ]
    messages.append({"role": "user", "content": "Weather in Paris?"})
    answer = ask_planned(
        socket_path, chat_request(messages, tools=[WEATHER], max_tokens=48), supports_tools=knows_tools
    )
    assert answer.calls[:1] == [("get_weather", {"city": "Paris"})], answer.text
    assert answer.finish in ("tool_calls", "length")  # it may go on after the call
    assert "[TOOL_REQUEST]" not in answer.text


def test_parameters_that_the_engine_would_refuse_are_put_so_that_it_does_not(engine: tuple[Path, bool]):
    socket_path, knows_tools = engine
    parameters = {
        "properties": {"any": True, "self": {"$ref": "#"}, "long": {"type": "string", "minLength": 5000}, "no": False}
    }
    request = chat_request("Hi", tools=[tool("odd", parameters)], max_tokens=1)
    assert ask_planned(socket_path, request, supports_tools=knows_tools).finish == "length"
