"""roci, with a msgspec Struct where the others have a pydantic model."""

from __future__ import annotations

from bench.typed_answers import MODEL, QUESTION
from bench.typed_contestants.struct_city import City, Told, told
from roci import LmStudioProvider, agenerate_object, generate_object


class Sync:
    def __init__(self, url: str) -> None:
        self._model = LmStudioProvider(MODEL, base_url=url)

    def object(self) -> Told:
        return told(generate_object(self._model, QUESTION, City).object)


class Async:
    def __init__(self, url: str) -> None:
        self._model = LmStudioProvider(MODEL, base_url=url)

    async def object(self) -> Told:
        return told((await agenerate_object(self._model, QUESTION, City)).object)
