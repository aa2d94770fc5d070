"""Tools with the real engine behind `roci serve`: calls forced by a schema, run here, and answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import roci
from roci import GenerationSettings, LmStudioProvider, OpenAICompatibleProvider, tool
from tests.support.serve import Served
from tests.support.starter_gateway import KEY, starter_gateway
from tests.support.twins import Twin

SETTINGS = GenerationSettings(max_tokens=8, temperature=0, seed=1)


@tool
def paint(colour: Literal["red", "blue"], coats: Literal[1, 2] = 1) -> str:
    """Paints the door."""
    return f"The door is {colour}, in {coats} coat(s)."


@tool
async def wash() -> str:
    """Washes the door."""
    return "The door is clean."


@pytest.fixture(scope="module")
def gateway(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with starter_gateway(tmp_path_factory.mktemp("home"), starter_model) as served:
        yield served


@pytest.mark.parametrize(("choice", "streams"), [("required", True), ("paint", False)], ids=["streamed", "whole"])
def test_a_required_call_is_made_run_and_answered(choice: str, streams: bool, gateway: Served, twin: Twin) -> None:
    settings = roci.GenerationSettings(max_tokens=40, temperature=0, seed=1, tool_choice=choice)
    tools: list[Any] = [paint] if choice == "required" else [wash, paint]
    with LmStudioProvider(KEY, gateway.url) as model:
        if streams:
            result = twin.streamed(roci, model, "Paint the door blue.", settings, tools=tools)
        else:
            result = twin.call(roci, "generate_text", model, "Paint the door blue.", settings, tools=tools)

    first, *_, last = result.steps
    assert [call.name for call in first.tool_calls] == ["paint"]
    assert first.tool_calls[0].arguments["colour"] in ("red", "blue")
    assert first.tool_results[0].text.startswith("The door is ")
    assert (last.tool_calls, result.text) == ((), last.response.text)
    assert result.usage.output_tokens == sum(step.usage.output_tokens for step in result.steps) > 0
    assert result.receipt.model_answered == KEY


def test_the_object_form_of_a_named_choice_is_understood_too(gateway: Served) -> None:
    settings = roci.GenerationSettings(max_tokens=40, temperature=0, seed=1, tool_choice="wash")
    with OpenAICompatibleProvider(KEY, gateway.url + "/v1") as model:
        result = roci.generate_text(model, "Go on.", settings, tools=[wash, paint], execute_tools=False)

    assert [call.name for call in result.tool_calls] == ["wash"]


def test_a_streamed_call_is_the_one_that_is_not_streamed(gateway: Served, twin: Twin) -> None:
    settings = roci.GenerationSettings(max_tokens=40, temperature=0, seed=1, tool_choice="required")
    with LmStudioProvider(KEY, gateway.url) as model:
        arguments = (roci, model, "Paint the door.", settings)
        whole = twin.call(roci, "generate_text", *arguments[1:], tools=[paint], execute_tools=False)
        streamed = twin.streamed(*arguments, tools=[paint], execute_tools=False)

    assert [(call.name, call.arguments) for call in streamed.tool_calls] == [
        (call.name, call.arguments) for call in whole.tool_calls
    ]


def test_a_history_with_a_call_that_failed_is_taken(gateway: Served) -> None:
    history = [
        roci.ModelMessage.user("Paint the door."),
        roci.ModelMessage.assistant(tool_calls=[roci.ToolCall(id="a", name="paint", arguments_json="{}")]),
        roci.ModelMessage.tool_result("a", "", is_error=True),
    ]
    with LmStudioProvider(KEY, gateway.url) as model:
        result = roci.generate_text(model, history, SETTINGS, tools=[paint], execute_tools=False)

    assert result.finish_reason in (roci.FinishReason.STOP, roci.FinishReason.LENGTH, roci.FinishReason.TOOL_CALLS)
