"""Settings and time-outs: what is out of range never leaves the program."""

from __future__ import annotations

import math
from typing import Any

import pytest

from roci import (
    GenerationSettings,
    ModelMessage,
    ProviderRequest,
    ResponseFormat,
    SchemaMismatchError,
    Timeouts,
    ToolCall,
    ToolChoice,
    ToolDefinition,
    ToolDefinitionError,
    UnsupportedError,
    UsageError,
)
from roci.types.requests import checked
from roci.types.tools import tool_choice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("temperature", True),
        ("max_tokens", -1),
        ("max_tokens", 0),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("min_p", 2),
        ("top_k", -1),
        ("repeat_penalty", 0),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("stop_sequences", "END"),
        ("stop_sequences", ("",)),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_field(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        GenerationSettings(**{name: value}).check()

    assert caught.value.field == f"settings.{name}"
    assert repr(value) in str(caught.value)


def test_the_bounds_themselves_are_fine() -> None:
    settings = GenerationSettings(
        temperature=0, max_tokens=1, top_p=1, min_p=0, top_k=0, repeat_penalty=1, presence_penalty=-2, seed=0
    )

    assert checked(request(settings=settings)).settings == settings


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_time_out_takes_seconds_above_zero_or_none(value: float) -> None:
    with pytest.raises(UsageError) as caught:
        Timeouts(gap_s=value)

    assert caught.value.field == "timeouts.gap_s"


def test_the_default_time_outs_are_those_of_the_documentation() -> None:
    limits = Timeouts()

    assert (limits.connect_s, limits.first_token_s, limits.gap_s, limits.total_s) == (5, 600, 120, None)


def request(**fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user("hi"),), **fields)


def test_a_requests_response_format_stands_for_the_settings() -> None:
    asked = request(response_format=ResponseFormat.json_object())

    assert checked(asked).response_format == ResponseFormat.json_object()
    from_settings = request(settings=GenerationSettings(response_format=ResponseFormat.text()))
    assert checked(from_settings).response_format == ResponseFormat.text()


def test_two_different_response_formats_are_an_error_and_two_equal_ones_are_not() -> None:
    settings = GenerationSettings(response_format=ResponseFormat.json_object())

    assert checked(request(settings=settings, response_format=ResponseFormat.json_object())).response_format
    with pytest.raises(UsageError, match="different response formats"):
        checked(request(settings=settings, response_format=ResponseFormat.text()))


def test_transport_takes_none_only() -> None:
    with pytest.raises(UnsupportedError) as caught:
        checked(request(transport=object()))

    assert caught.value.capability == "transport"


F = ToolDefinition(name="f", parameters={"type": "object", "properties": {"x": {"type": "integer"}}})


def test_a_tool_choice_is_a_mode_or_a_name() -> None:
    assert [tool_choice(word) for word in ("auto", "none", "required", "f")] == [
        ToolChoice.auto(),
        ToolChoice.none(),
        ToolChoice.required(),
        ToolChoice.named("f"),
    ]
    assert tool_choice(ToolChoice.named("auto")) == ToolChoice("named", "auto")


@pytest.mark.parametrize(
    ("tools", "choice", "message"),
    [
        ((F, F), None, "Two tools"),
        ((), "required", "no tools"),
        ((F,), "g", "names 'g'"),
        ((lambda: None,), None, "not a ToolDefinition"),
    ],
)
def test_tools_that_cannot_be_told_apart_or_chosen_are_errors(tools: Any, choice: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked(request(tools=tools, settings=GenerationSettings(tool_choice=choice)))


@pytest.mark.parametrize("fields", [{"name": ""}, {"name": "a b"}, {"name": "f", "parameters": {"type": "string"}}])
def test_a_tool_that_cannot_be_described_is_an_error(fields: Any) -> None:
    with pytest.raises(ToolDefinitionError):
        ToolDefinition(**fields)


def test_a_calls_arguments_are_decoded_or_an_error_holds_their_text() -> None:
    assert ToolCall(id="a", name="f", arguments_json='{"x": 1}').arguments == {"x": 1}
    with pytest.raises(SchemaMismatchError) as caught:
        _ = ToolCall(id="a", name="f", arguments_json='{"x": ').arguments
    assert caught.value.text == '{"x": '
