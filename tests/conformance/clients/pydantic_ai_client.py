"""pydantic-ai: its model for OpenAI's chat route, and its model for the responses route."""

from __future__ import annotations

from typing import Any

from checks import ModelCannotError, Server, run
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput, UnexpectedModelBehavior
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Verdict(BaseModel):
    """What is thought of it."""

    good: bool


def agent(server: Server, *, by: type[Any] = OpenAIChatModel, max_tokens: int = 60, **more: Any) -> Agent[Any, Any]:
    model = by(server.model, provider=OpenAIProvider(base_url=server.v1, api_key="x"))
    return Agent(model, model_settings={"temperature": 0.0, "max_tokens": max_tokens}, **more)


def check_a_text_is_answered(server: Server) -> None:
    for by in (OpenAIChatModel, OpenAIResponsesModel):
        result = agent(server, by=by, max_tokens=16, instructions="Be brief.").run_sync("Say hello.")
        assert result.output
        assert result.usage.output_tokens > 0
        assert result.response.model_name == server.model
        assert result.response.finish_reason in ("stop", "length")


def check_a_conversation_goes_on(server: Server) -> None:
    talker = agent(server, max_tokens=16)
    first = talker.run_sync("Say hello.")
    second = talker.run_sync("And?", message_history=first.all_messages())
    assert second.usage.input_tokens > first.usage.input_tokens


async def check_a_stream_is_put_together_and_tells_its_usage(server: Server) -> None:
    for by in (OpenAIChatModel, OpenAIResponsesModel):
        async with agent(server, by=by, max_tokens=16).run_stream("Say hello.") as stream:
            text = "".join([piece async for piece in stream.stream_text(delta=True, debounce_by=None)])
        assert text == await stream.get_output() != ""
        assert stream.usage.output_tokens > 0


def check_an_output_type_comes_by_a_forced_tool(server: Server) -> None:
    for by in (OpenAIChatModel, OpenAIResponsesModel):
        result = agent(server, by=by, output_type=ToolOutput(Verdict)).run_sync("Is rain good?")
        assert isinstance(result.output, Verdict)


def check_an_output_type_comes_by_a_schema(server: Server) -> None:
    for by in (OpenAIChatModel, OpenAIResponsesModel):
        result = agent(server, by=by, output_type=NativeOutput(Verdict)).run_sync("Is rain good?")
        assert isinstance(result.output, Verdict)


def check_an_output_type_comes_by_the_prompt(server: Server) -> None:
    try:
        result = agent(server, max_tokens=24, output_type=PromptedOutput(Verdict), retries=0).run_sync("Is rain good?")
    except UnexpectedModelBehavior as error:
        raise ModelCannotError("told of a schema in words alone, it writes JSON of another form") from error
    assert isinstance(result.output, Verdict)


async def check_an_output_type_is_streamed(server: Server) -> None:
    async with agent(server, output_type=Verdict).run_stream("Is rain good?") as stream:
        async for partial in stream.stream_output(debounce_by=None):
            assert isinstance(partial, Verdict)
        assert isinstance(await stream.get_output(), Verdict)


def check_its_own_tool_is_run_and_its_result_taken(server: Server) -> None:
    cities: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return f"Rain in {city}."

    talker = agent(server, max_tokens=24, tools=[get_weather])
    result = talker.run_sync("The weather in Paris? Use get_weather.")
    assert result.output
    if not cities:
        raise ModelCannotError("left to choose, it answers in words and calls no tool")
    parts = [part.part_kind for message in result.all_messages() for part in message.parts]
    assert parts.index("tool-call") < parts.index("tool-return") < len(parts) - 1


if __name__ == "__main__":
    run(globals())
