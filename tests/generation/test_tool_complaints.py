"""What users of local servers complain of in tools: the failure as the server produces it, and what roci makes of it.

The numbers are the rows of the list of complaints that roci was built after. Row 11 is in
`tests/wire/test_tool_streams.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

import roci
from roci import GenerationSettings, tool
from tests.support.canned_server import Reply, Request, canned_server, chunk, completion
from tests.support.tool_rounds import CHAT, Turn, call, playing
from tests.support.twins import Twin

HARMONY = '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Bern"}<|call|>'
HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>'
XML_ISH = "<function=weather><parameter=city>Bern</parameter></function>"


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sun in {city}."


@tool
def news() -> str:
    """The news."""
    return "None."


def as_lm_studio_refuses(request: Request) -> Reply:
    """LM Studio 0.3.18 to 0.4.25 on a `tool_choice` that is an object."""
    choice = request.json().get("tool_choice")
    if isinstance(choice, dict):
        said = "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
        return Reply.json({"error": said}, 400)
    return Turn("", call("weather", '{"city": "Bern"}')).reply(request) if choice else Turn("Sun.").reply(request)


def test_row_9_a_named_tool_choice_is_a_400_on_lm_studio(twin: Twin) -> None:
    settings = GenerationSettings(tool_choice="weather")
    with (
        canned_server({CHAT: as_lm_studio_refuses}) as server,
        roci.LmStudioProvider("m", base_url=server.url) as model,
    ):
        result = twin.call(roci, "generate_text", model, "hi", settings, tools=[weather, news])

    first, second = (request.json() for request in server.requests)
    assert (result.text, result.steps[0].tool_results[0].text) == ("Sun.", "Sun in Bern.")
    assert (first["tool_choice"], [each["function"]["name"] for each in first["tools"]]) == ("required", ["weather"])
    assert ("tool_choice" in second, len(second["tools"])) == (False, 2)


@pytest.mark.parametrize("choice", ["required", "weather"])
@pytest.mark.parametrize("said", ["", "It is sunny.", "<weather>Bern</weather>"], ids=["empty", "words", "XML-ish"])
@pytest.mark.parametrize("streams", [False, True])
def test_row_10_a_required_call_that_does_not_come_is_no_success(
    choice: str, said: str, streams: bool, twin: Twin
) -> None:
    settings = GenerationSettings(tool_choice=choice)
    ask: Any = (
        twin.streamed if streams else lambda *args, **kwargs: twin.call(args[0], "generate_text", *args[1:], **kwargs)
    )
    with playing(Turn(said)) as (model, server):
        with pytest.raises(roci.ToolCallMissingError) as caught:
            ask(roci, model, "hi", settings, tools=[weather])

    error = caught.value
    assert (error.tool_choice, error.text, error.partial.text) == (choice, said, said)
    assert error.receipt.model_answered == "m"
    assert "tool_choice" in error.hint
    assert len(server.requests) == 1


def test_row_10_a_required_call_that_the_token_limit_cut_says_so(twin: Twin) -> None:
    settings = GenerationSettings(tool_choice="required", max_tokens=1)
    with playing(Turn("Let", finish="length")) as (model, _):
        with pytest.raises(roci.ToolCallMissingError, match="ran out of tokens") as caught:
            twin.call(roci, "generate_text", model, "hi", settings, tools=[weather])

    assert "max_tokens" in caught.value.hint


def test_row_10_another_tool_than_the_named_one_is_no_success_either(twin: Twin) -> None:
    reply = Turn("", call("news"))
    with canned_server({CHAT: reply.reply}) as server:
        with roci.OpenAICompatibleProvider("m", base_url=server.url) as model:
            with pytest.raises(roci.ToolCallMissingError, match="the model called 'news'"):
                twin.call(
                    roci, "generate_text", model, "hi", GenerationSettings(tool_choice="weather"), tools=[weather, news]
                )


@pytest.mark.parametrize(
    "said",
    [
        HARMONY,
        f"<|channel|>analysis<|message|>The weather.<|end|><|start|>assistant{HARMONY}",
        HERMES,
        XML_ISH,
        '[TOOL_REQUEST]{"name": "weather", "arguments": {"city": "Bern"}}[END_TOOL_REQUEST]',
    ],
    ids=["Harmony", "Harmony with a thought", "Hermes", "XML-ish", "LM Studio"],
)
@pytest.mark.parametrize("choice", [None, "required"])
@pytest.mark.parametrize("streams", [False, True])
def test_row_12_a_call_that_leaks_into_the_text_is_run_and_noted(
    said: str, choice: str | None, streams: bool, twin: Twin
) -> None:
    settings = GenerationSettings(tool_choice=choice)
    ask: Any = (
        twin.streamed if streams else lambda *args, **kwargs: twin.call(args[0], "generate_text", *args[1:], **kwargs)
    )
    with playing(Turn(said), Turn("Done.")) as (model, server):
        result = ask(roci, model, "hi", settings, tools=[weather])

    first = result.steps[0]
    assert (result.text, first.tool_results[0].text) == ("Done.", "Sun in Bern.")
    assert said.endswith(first.response.text.lstrip())
    assert first.response.text
    assert [warning.kind for warning in result.warnings] == ["tool_call_recovered"]
    assert any("left 1 tool call(s) in the text" in note for note in result.receipt.notes)
    history = server.requests[1].json()["messages"][1]
    assert (history["content"], history["tool_calls"][0]["function"]["name"]) == (None, "weather")


def test_row_12_a_recovered_call_shows_in_a_stream_as_a_call(twin: Twin) -> None:
    with playing(Turn(HERMES), Turn("Done.")) as (model, _):
        deltas = twin.deltas(roci, model, "hi", tools=[weather])

    assert [piece.name for delta in deltas for piece in delta.tool_calls] == ["weather"]


def test_row_12_a_call_in_the_text_stays_text_where_none_is_wanted(twin: Twin) -> None:
    for settings in (
        GenerationSettings(tool_choice="none"),
        GenerationSettings(response_format=roci.ResponseFormat.json_object()),
    ):
        with playing(Turn('{"name": "weather", "arguments": {"city": "Bern"}}')) as (model, _):
            result = twin.call(roci, "generate_text", model, "hi", settings, tools=[weather])
        assert (result.text[:7], result.tool_calls, result.warnings) == ('{"name"', (), ())


def test_row_12_a_call_that_cannot_be_read_is_an_answer_with_a_note(twin: Twin) -> None:
    said = '<tool_call>{"name": "weather", "arguments": {"city": </tool_call>'
    with playing(Turn(said)) as (model, _):
        result = twin.call(roci, "generate_text", model, "hi", tools=[weather])

    assert (result.text, result.tool_calls, result.finish_reason) == (said, (), roci.FinishReason.STOP)
    assert [warning.kind for warning in result.warnings] == ["tool_parse_error"]
    assert any("is not valid JSON" in note for note in result.receipt.notes)


def test_row_12_a_server_that_fails_on_its_models_own_call_is_a_typed_error_with_its_words(twin: Twin) -> None:
    said = "error parsing tool call: raw='{\"city\": Bern}', err=invalid character 'B' looking for beginning of value"
    with playing(Reply.json({"error": {"message": said}}, 500)) as (model, server):
        with pytest.raises(roci.ServerFailedError, match="error parsing tool call: raw="):
            twin.call(roci, "generate_text", model, "hi", tools=[weather])

    assert len(server.requests) == 1


def test_row_13_what_the_model_wrote_is_never_lost(twin: Twin) -> None:
    broken = '{"city": "Bern'
    with playing(Turn("I look.", call("weather", broken)), Turn("Sorry.")) as (model, server):
        result = twin.call(roci, "generate_text", model, "hi", tools=[weather])

    first = result.steps[0]
    assert (first.response.text, first.tool_calls[0].arguments_json) == ("I look.", broken)
    assert broken in first.tool_results[0].text
    assert server.requests[1].json()["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert result.usage.output_tokens == 8


def test_row_14_a_tool_grammar_that_cannot_be_built_is_a_typed_error_and_not_tried_again(twin: Twin) -> None:
    said = {"error": {"code": 400, "message": "failed to parse grammar", "type": "invalid_request_error"}}
    with playing(Reply.json(said, 400)) as (model, server):
        with pytest.raises(roci.BadRequestError, match="failed to parse grammar"):
            twin.call(roci, "generate_text", model, "hi", tools=[weather])

    assert len(server.requests) == 1


def test_row_15_a_reply_without_the_fields_that_strict_clients_want_is_read(twin: Twin) -> None:
    bare = {
        "choices": [{"message": {"tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bern"}}}]}}]
    }
    with playing(Reply.json(bare), Reply.json(completion("Done."))) as (model, server):
        result = twin.call(roci, "generate_text", model, "hi", tools=[weather])

    assert (result.text, result.steps[0].tool_results[0].text) == ("Done.", "Sun in Bern.")
    sent = server.requests[0].json()["tools"][0]
    assert (sent["type"], sorted(sent["function"])) == ("function", ["description", "name", "parameters"])


def test_calls_that_all_have_the_same_id_get_their_own_results(twin: Twin) -> None:
    calls = [call("weather", f'{{"city": "{city}"}}', "call_0") for city in ("Bern", "Oslo")]
    with playing(Turn("", *calls), Turn("Done.")) as (model, server):
        result = twin.call(roci, "generate_text", model, "hi", tools=[weather])

    sent = server.requests[1].json()["messages"]
    ids = [made["id"] for made in sent[1]["tool_calls"]]
    assert [(message["tool_call_id"], message["content"]) for message in sent[2:]] == [
        (ids[0], "Sun in Bern."),
        (ids[1], "Sun in Oslo."),
    ]
    assert len(set(ids)) == 2
    assert result.text == "Done."


def test_a_stream_of_a_call_that_the_token_limit_cut_goes_on_with_the_model_told(twin: Twin) -> None:
    piece = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city": "Be'}}
    cut = Reply.events(chunk(delta={"tool_calls": [piece]}), chunk(finish="length"))
    with playing(cut, Turn("Sorry.")) as (model, _):
        result = twin.streamed(roci, model, "hi", tools=[weather])

    assert result.steps[0].tool_results[0].is_error
    assert result.text == "Sorry."
