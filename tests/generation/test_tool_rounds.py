"""Rounds of tools: ask, run, ask again. Every test whole and streamed, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import roci
from roci import GenerationSettings, ModelMessage, ToolCall, ToolDefinition, tool
from tests.support.canned_server import Reply, chunk
from tests.support.tool_rounds import Turn, call, playing
from tests.support.twins import Twin

PLAIN = ToolDefinition(name="ask_user", parameters={"type": "object", "properties": {}})


@tool
def weather(city: str, days: int = 1) -> dict[str, Any]:
    """The forecast."""
    return {"city": city, "days": days}


@tool
async def later(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


@tool
def broken() -> str:
    raise LookupError("no such table")


class Ways:
    """One call in both ways: whole, and as a stream."""

    def __init__(self, twin: Twin, streams: bool) -> None:
        self.twin = twin
        self.streams = streams

    def __call__(self, model: Any, messages: Any = "hi", settings: Any = None, **kwargs: Any) -> Any:
        if self.streams:
            return self.twin.streamed(roci, model, messages, settings, **kwargs)
        return self.twin.call(roci, "generate_text", model, messages, settings, **kwargs)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, twin: Twin) -> Ways:
    return Ways(twin, request.param)


def results_of(result: roci.GenerateTextResult) -> list[tuple[str, bool]]:
    return [(message.text, message.is_error) for step in result.steps for message in step.tool_results]


def test_the_model_gets_what_its_tools_give_until_it_answers(ask: Ways) -> None:
    turns = [
        Turn("Let me see.", call("weather", '{"city": "Bern", "days": "2"}', "a"), call("later", '{"text": "x"}', "b")),
        Turn("", call("weather", '{"city": "Oslo"}', "c")),
        Turn("Sunny."),
    ]
    with playing(*turns) as (model, server):
        result = ask(model, tools=[weather, later])

    assert (result.text, result.tool_calls, result.finish_reason) == ("Sunny.", (), roci.FinishReason.STOP)
    assert results_of(result) == [
        ('{"city":"Bern","days":2}', False),
        ("X", False),
        ('{"city":"Oslo","days":1}', False),
    ]
    assert [[made.name for made in step.tool_calls] for step in result.steps] == [["weather", "later"], ["weather"], []]
    assert [step.usage.output_tokens for step in result.steps] == [4, 4, 4]
    assert (result.usage.input_tokens, result.usage.output_tokens) == (30, 12)
    assert all(step.time_s > 0 for step in result.steps)
    assert [message.role for message in result.messages] == ["user", "assistant", "tool", "tool", "assistant"] + [
        "tool",
        "assistant",
    ]
    sent = server.requests[2].json()["messages"]
    assert [(message["role"], message["content"]) for message in sent] == [
        ("user", "hi"),
        ("assistant", "Let me see."),
        ("tool", '{"city":"Bern","days":2}'),
        ("tool", "X"),
        ("assistant", None),
        ("tool", '{"city":"Oslo","days":1}'),
    ]
    assert [message.get("tool_call_id") for message in sent[2:]] == ["a", "b", None, "c"]
    assert result.receipt.model_answered == "m"


def test_an_answer_without_a_call_is_one_round(ask: Ways) -> None:
    with playing(Turn("Hello.")) as (model, server):
        result = ask(model, tools=[weather])

    assert (result.text, len(result.steps), len(server.requests)) == ("Hello.", 1, 1)
    assert result.messages == (ModelMessage.user("hi"), ModelMessage.assistant("Hello."))


def test_a_plain_function_is_a_tool_too(ask: Ways) -> None:
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    with playing(Turn("", call("add", '{"a": 1, "b": 2}')), Turn("3")) as (model, server):
        result = ask(model, tools=[add])

    assert results_of(result) == [("3", False)]
    assert server.requests[0].json()["tools"][0]["function"]["description"] == "Adds."


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (call("broken"), "Error: LookupError: no such table"),
        (
            call("weather", '{"town": "Bern"}'),
            "Error: The arguments of 'weather' do not fit: Object contains unknown field `town`",
        ),
        (call("weather", '{"city": "Be'), "Error: The model called 'weather' with arguments that are no JSON object"),
        (call("wether", "{}"), "Error: there is no tool 'wether'; the tools are weather, broken"),
    ],
    ids=["raises", "arguments do not fit", "arguments are cut", "no such tool"],
)
def test_a_call_that_fails_is_the_models_to_read_and_never_the_programs_end(
    made: dict[str, Any], says: str, ask: Ways
) -> None:
    with playing(Turn("", made), Turn("Sorry.")) as (model, server):
        result = ask(model, tools=[weather, broken])

    ((text, is_error),) = results_of(result)
    assert (is_error, result.text) == (True, "Sorry.")
    assert text.startswith(says)
    assert "Traceback" not in text
    sent = server.requests[1].json()["messages"]
    assert sent[-1]["content"] == text
    assert sent[1]["tool_calls"][0]["function"]["arguments"] in ("{}", '{"town": "Bern"}')


def test_calls_are_handed_back_where_they_are_not_to_be_run(ask: Ways) -> None:
    with playing(Turn("", call("weather", '{"city": "Bern"}'))) as (model, _):
        result = ask(model, tools=[weather], execute_tools=False)

    assert [(made.name, made.arguments) for made in result.tool_calls] == [("weather", {"city": "Bern"})]
    assert (result.finish_reason, results_of(result)) == (roci.FinishReason.TOOL_CALLS, [])


def test_a_call_of_a_plain_definition_is_handed_back_behind_what_could_be_run(ask: Ways) -> None:
    turn = Turn("", call("ask_user", "{}", "a"), call("later", '{"text": "x"}', "b"))
    with playing(turn, Turn("Done.")) as (model, server):
        result = ask(model, tools=[later, PLAIN])
        answer = ModelMessage.tool_result(result.tool_calls[0].id, "yes")
        final = ask(model, [*result.messages, answer], tools=[later, PLAIN])

    assert [made.name for made in result.tool_calls] == ["ask_user"]
    assert (results_of(result), result.finish_reason) == ([("X", False)], roci.FinishReason.TOOL_CALLS)
    assert final.text == "Done."
    assert [message.get("tool_call_id") for message in server.requests[1].json()["messages"][2:]] == ["b", "a"]


def test_past_max_steps_the_error_has_all_so_far(ask: Ways) -> None:
    with playing(Turn("Again.", call("later", '{"text": "x"}'))) as (model, server):
        with pytest.raises(roci.ToolRoundsExceededError, match="step 3") as caught:
            ask(model, tools=[later], max_steps=3)

    error = caught.value
    assert (error.rounds, len(error.steps), len(server.requests)) == (3, 3, 3)
    assert isinstance(error.partial, roci.GenerateTextResult)
    assert (error.partial.text, error.partial.usage.output_tokens) == ("Again.", 12)
    assert [len(step.tool_results) for step in error.partial.steps] == [1, 1, 0]
    assert error.partial.tool_calls == error.partial.steps[-1].tool_calls
    assert error.receipt.model_answered == "m"
    assert len({made.id for step in error.steps for made in step.tool_calls}) == 3


def test_a_failure_in_a_later_round_has_the_rounds_before_it(ask: Ways) -> None:
    failure = Reply.json({"error": {"message": "out of memory"}}, 500)
    with playing(Turn("", call("later", '{"text": "x"}')), failure) as (model, _):
        with pytest.raises(roci.ServerFailedError) as caught:
            ask(model, tools=[later])

    partial = caught.value.partial
    assert [step.tool_results[0].text for step in partial.steps] == ["X"]
    assert (partial.finish_reason, partial.error) == (roci.FinishReason.ERROR, caught.value)
    assert partial.messages[-1].role == "tool"


def test_tools_with_the_same_name_are_refused_before_anything_is_sent(ask: Ways) -> None:
    with playing(Turn("Hello.")) as (model, server):
        with pytest.raises(roci.ToolDefinitionError, match="Two tools are called 'weather'"):
            ask(model, tools=[weather, ToolDefinition(name="weather")])

    assert server.requests == []


@pytest.mark.parametrize("max_steps", [0, -1, True])
def test_max_steps_is_a_number_from_1(max_steps: int, ask: Ways) -> None:
    with pytest.raises(roci.UsageError) as caught:
        ask("lmstudio:m", tools=[weather], max_steps=max_steps)

    assert caught.value.field == "max_steps"


@pytest.mark.parametrize(("choice", "first"), [("required", "required"), ("later", "required"), ("auto", "auto")])
def test_a_required_call_is_required_once(choice: str, first: str, ask: Ways) -> None:
    with playing(Turn("", call("later", '{"text": "x"}')), Turn("Done.")) as (model, server):
        result = ask(model, settings=GenerationSettings(tool_choice=choice, seed=1), tools=[later, weather])

    sent = [request.json() for request in server.requests]
    assert (result.text, sent[0]["tool_choice"]) == ("Done.", first)
    assert sent[1].get("tool_choice") == ("auto" if choice == "auto" else None)
    assert [body["seed"] for body in sent] == [1, 1]
    assert len(sent[1]["tools"]) == 2


@pytest.mark.parametrize(
    ("decision", "told", "ran"),
    [
        (None, '{"city":"Bern","days":1}', ["Bern"]),
        (True, '{"city":"Bern","days":1}', ["Bern"]),
        (False, "Error: the call was refused", []),
        ("Ask first.", "Error: the call was refused: Ask first.", []),
        (ToolCall(id="other", name="weather", arguments_json='{"city":"Oslo"}'), '{"city":"Oslo","days":1}', ["Oslo"]),
        (ModelMessage.tool_result("other", "Rain."), "Rain.", []),
    ],
    ids=["none", "true", "false", "text", "call", "result"],
)
def test_on_tool_call_may_approve_refuse_or_replace(decision: Any, told: str, ran: list[str], ask: Ways) -> None:
    seen: list[str] = []
    asked: list[ToolCall] = []

    @tool(name="weather")
    def watched(city: str, days: int = 1) -> dict[str, Any]:
        seen.append(city)
        return {"city": city, "days": days}

    def on_tool_call(made: ToolCall) -> Any:
        asked.append(made)
        return decision

    with playing(Turn("", call("weather", '{"city": "Bern"}', "a")), Turn("Done.")) as (model, server):
        result = ask(model, tools=[watched], on_tool_call=on_tool_call)

    assert (results_of(result)[0][0], seen, [made.id for made in asked]) == (told, ran, ["a"])
    sent = server.requests[1].json()["messages"]
    assert (sent[1]["tool_calls"][0]["function"]["arguments"], sent[2]["tool_call_id"]) == ('{"city": "Bern"}', "a")


def test_on_tool_call_may_be_async_in_the_async_functions_alone(ask: Ways) -> None:
    async def on_tool_call(_: ToolCall) -> bool:
        await asyncio.sleep(0)
        return False

    with playing(Turn("", call("later", '{"text": "x"}')), Turn("Done.")) as (model, _):
        if ask.twin.name == "async":
            result = ask(model, tools=[later], on_tool_call=on_tool_call)
            assert results_of(result) == [("Error: the call was refused", True)]
        else:
            with pytest.raises(roci.UsageError, match="on_tool_call is async"):
                ask(model, tools=[later], on_tool_call=on_tool_call)


def test_on_tool_call_that_gives_something_else_is_told_so(ask: Ways) -> None:
    with playing(Turn("", call("later", '{"text": "x"}'))) as (model, _):
        with pytest.raises(roci.UsageError, match="on_tool_call gave a int") as caught:
            ask(model, tools=[later], on_tool_call=lambda _: 3)

    assert caught.value.field == "on_tool_call"


def test_what_on_tool_call_raises_comes_out(ask: Ways) -> None:
    def on_tool_call(_: ToolCall) -> None:
        raise PermissionError("not today")

    with playing(Turn("", call("later", '{"text": "x"}'))) as (model, _):
        with pytest.raises(PermissionError, match="not today"):
            ask(model, tools=[later], on_tool_call=on_tool_call)


def test_a_stream_shows_text_calls_results_and_the_end_of_each_round(twin: Twin) -> None:
    turns = [Turn("See.", call("later", '{"text": "x"}', "a"), call("nothing", "{}", "b")), Turn("Done.")]
    with playing(*turns) as (model, _):
        deltas = twin.deltas(roci, model, "hi", tools=[later])

    kinds: list[Any] = []
    for delta in deltas:
        kinds += [delta.text] if delta.text else []
        kinds += [("call", piece.name) for piece in delta.tool_calls]
        kinds += [("result", message.tool_call_id, message.text[:5]) for message in delta.tool_results]
        kinds += [delta.finish_reason] if delta.finish_reason else []
        kinds += [("step", len(delta.step.tool_results))] if delta.step else []
    assert kinds == [
        "See.",
        ("call", "later"),
        ("call", "nothing"),
        roci.FinishReason.TOOL_CALLS,
        ("result", "b", "Error"),
        ("result", "a", "X"),
        ("step", 2),
        "Done.",
        roci.FinishReason.STOP,
        ("step", 0),
    ]


def test_a_stream_that_breaks_off_in_a_later_round_has_both(twin: Twin) -> None:
    cut = Reply.events(chunk("Half"), done=False, cut=True)
    with playing(Turn("", call("later", '{"text": "x"}')), cut) as (model, _):
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.streamed(roci, model, "hi", tools=[later])

    partial = caught.value.partial
    assert [step.response.text for step in partial.steps] == ["", "Half"]
    assert (partial.text, partial.steps[0].tool_results[0].text) == ("Half", "X")
    assert [message.text for message in partial.messages] == ["hi", "", "X", "Half"]


def test_leaving_a_stream_in_the_middle_of_a_round_ends_the_generation(twin: Twin) -> None:
    endless = Reply.events(chunk("One"), 60.0)
    with playing(Turn("", call("later", '{"text": "x"}')), endless) as (model, server):
        deltas = twin.deltas(roci, model, "hi", tools=[later], after=lambda delta: delta.text == "One")
        assert server.left.wait(30)

    assert [message.text for delta in deltas for message in delta.tool_results] == ["X"]


def test_a_closed_stream_of_rounds_tells_what_had_come() -> None:
    with playing(Turn("", call("later", '{"text": "x"}')), Turn("Done.")) as (model, _):
        with roci.stream_text(model, "hi", tools=[later]) as stream:
            for delta in stream:
                if delta.step is not None:
                    break
        with pytest.raises(roci.StreamInterruptedError, match="closed") as caught:
            stream.result()

    assert caught.value.partial.steps[0].tool_results[0].text == "X"


def test_a_loop_of_too_many_calls_at_once_is_answered_and_not_run(ask: Ways) -> None:
    many = [call("later", '{"text": "x"}', f"c{number}") for number in range(140)]
    with playing(Turn("", *many), Turn("Done.")) as (model, _):
        result = ask(model, tools=[later])

    assert [is_error for _, is_error in results_of(result)] == [False] * 128 + [True] * 12
