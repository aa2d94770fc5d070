"""roci, with a pydantic model and a function as its tool."""

from __future__ import annotations

from bench.typed_answers import MODEL, QUESTION, TOOL_QUESTION, forecast
from bench.typed_contestants.pydantic_city import City, Told, told
from roci import LmStudioProvider, agenerate_object, agenerate_text, generate_object, generate_text, tool


@tool
def weather(city: str, days: int) -> str:
    """The weather forecast of a city."""
    return forecast(city, days)


@tool(name="weather")
async def aweather(city: str, days: int) -> str:
    """The weather forecast of a city."""
    return forecast(city, days)


class Sync:
    def __init__(self, url: str) -> None:
        self._model = LmStudioProvider(MODEL, base_url=url)

    def object(self) -> Told:
        return told(generate_object(self._model, QUESTION, City).object)

    def tools(self) -> str:
        return generate_text(self._model, TOOL_QUESTION, tools=[weather]).text


class Async:
    def __init__(self, url: str) -> None:
        self._model = LmStudioProvider(MODEL, base_url=url)

    async def object(self) -> Told:
        return told((await agenerate_object(self._model, QUESTION, City)).object)

    async def tools(self) -> str:
        return (await agenerate_text(self._model, TOOL_QUESTION, tools=[aweather])).text
