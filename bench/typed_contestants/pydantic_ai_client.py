"""pydantic-ai: one agent for objects, held to the schema by the server, and one with a tool."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent, NativeOutput  # pyright: ignore[reportMissingImports]
from pydantic_ai.models.openai import OpenAIChatModel  # pyright: ignore[reportMissingImports]
from pydantic_ai.providers.openai import OpenAIProvider  # pyright: ignore[reportMissingImports]

from bench.typed_answers import MODEL, QUESTION, TOOL_QUESTION, forecast
from bench.typed_contestants.pydantic_city import City, Told, told


def weather(city: str, days: int) -> str:
    """The weather forecast of a city."""
    return forecast(city, days)


async def aweather(city: str, days: int) -> str:
    """The weather forecast of a city."""
    return forecast(city, days)


def _model(url: str) -> Any:
    return OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{url}/v1", api_key="x"))


class Sync:
    def __init__(self, url: str) -> None:
        self._objects: Any = Agent(_model(url), output_type=NativeOutput(City))
        self._tools: Any = Agent(_model(url))
        self._tools.tool_plain(weather)

    def object(self) -> Told:
        return told(self._objects.run_sync(QUESTION).output)

    def tools(self) -> str:
        return self._tools.run_sync(TOOL_QUESTION).output


class Async:
    def __init__(self, url: str) -> None:
        self._objects: Any = Agent(_model(url), output_type=NativeOutput(City))
        self._tools: Any = Agent(_model(url))
        self._tools.tool_plain(aweather, name="weather")

    async def object(self) -> Told:
        return told((await self._objects.run(QUESTION)).output)

    async def tools(self) -> str:
        return (await self._tools.run(TOOL_QUESTION)).output
