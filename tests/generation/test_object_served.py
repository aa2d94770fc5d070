"""`generate_object` and `stream_object` with the real engine: through `roci serve`, and a worker of one's own."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

import roci
from roci import GenerationSettings, LmStudioProvider, OpenAICompatibleProvider
from roci.errors import SchemaMismatchError
from tests.support.serve import Served
from tests.support.starter_gateway import KEY, starter_gateway
from tests.support.twins import SyncTwin, Twin

SETTINGS = GenerationSettings(max_tokens=80, temperature=0, seed=1)


@dataclasses.dataclass
class Pet:
    name: Literal["Rex", "Max"]
    legs: Literal[3, 4]


class Tree(msgspec.Struct):
    left: Literal["leaf"] | Tree
    right: Literal["leaf"] | Tree


Two = Annotated[list[Literal[1, 2]], msgspec.Meta(max_length=2)]


class Person(pydantic.BaseModel):
    role: Literal["cook", "clown"]
    is_happy: bool | None


@pytest.fixture(scope="module")
def gateway(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with starter_gateway(tmp_path_factory.mktemp("home"), starter_model) as served:
        yield served


@pytest.mark.parametrize("wanted", [Person, Two, Literal["yes", "no"], Pet | None], ids=str)
def test_the_engine_is_held_to_every_kind_of_type(wanted: Any, gateway: Served) -> None:
    with LmStudioProvider(KEY, gateway.url) as model:
        result = roci.generate_object(model, "Say anything.", wanted, settings=SETTINGS)

    assert (result.receipt.schema, result.receipt.retries, len(result.attempts)) == ("enforced", (), 1)
    assert any("All of it was enforced" in note for note in result.receipt.notes)


def test_a_type_that_refers_to_itself_is_enforced_as_far_as_the_tokens_go(gateway: Served) -> None:
    with LmStudioProvider(KEY, gateway.url) as model:
        try:
            receipt = roci.generate_object(model, "A tree.", Tree, settings=SETTINGS).receipt
        except SchemaMismatchError as cut:
            # A small model may go on opening brackets until it may not write any more.
            receipt = cut.receipt

    assert (receipt.schema, receipt.retries) == ("enforced", ())


def test_both_twins_and_both_dialects_get_the_same(gateway: Served, twin: Twin) -> None:
    with LmStudioProvider(KEY, gateway.url) as one, OpenAICompatibleProvider(KEY, gateway.url + "/v1") as other:
        results = [twin.call(roci, "generate_object", each, "A pet.", Pet, settings=SETTINGS) for each in (one, other)]

    assert results[0].object == results[1].object
    assert isinstance(results[0].object, Pet)
    assert [result.receipt.schema for result in results] == ["enforced", "enforced"]


def test_what_no_grammar_holds_is_checked_and_asked_for_again(gateway: Served) -> None:
    schema = {
        "type": "object",
        "properties": {"number": {"type": "integer", "minimum": 1, "maximum": 9, "not": {"maximum": 9}}},
        "required": ["number"],
    }
    with LmStudioProvider(KEY, gateway.url) as model, pytest.raises(SchemaMismatchError) as caught:
        roci.generate_object(model, "A number.", schema, settings=SETTINGS, max_retries=1)

    error = caught.value
    assert (error.json_path, len(error.attempts), error.receipt.schema) == ("$.number", 2, "enforced")
    assert any("properties.number.not" in note for note in error.receipt.notes)


def test_an_object_streams_from_the_engine(gateway: Served, twin: Twin) -> None:
    async def read(model: LmStudioProvider) -> tuple[list[Any], Any]:
        async with roci.astream_object(model, "A pet.", Pet, settings=SETTINGS) as stream:
            return [value async for value in stream], await stream.result()

    with LmStudioProvider(KEY, gateway.url) as model:
        if isinstance(twin, SyncTwin):
            with roci.stream_object(model, "A pet.", Pet, settings=SETTINGS) as stream:
                partials, result = list(stream), stream.result()
        else:
            partials, result = asyncio.run(read(model))

    assert len(partials) > 1
    assert partials[-1] == msgspec.to_builtins(result.object)
    assert result.receipt.schema == "enforced"


@pytest.mark.parametrize("reasoning", ["on", "off"])
@pytest.mark.parametrize("wanted", [Pet, None], ids=["schema", "text"])
def test_row_3_thinking_and_schema_are_told_apart_by_a_real_server(
    reasoning: Literal["on", "off"], wanted: Any, gateway: Served
) -> None:
    """The starter model cannot think, which the receipt says too."""
    settings = GenerationSettings(max_tokens=40, temperature=0, reasoning=reasoning)
    with LmStudioProvider(KEY, gateway.url) as model:
        if wanted is None:
            receipt = roci.generate_text(model, "A pet.", settings).receipt
        else:
            receipt = roci.generate_object(model, "A pet.", wanted, settings=settings).receipt

    assert receipt.schema == ("none" if wanted is None else "enforced")
    assert not receipt.reasoning_ran


def test_a_worker_of_ones_own_is_held_to_the_schema_too(starter_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROCI_HOME", str(starter_home))
    with roci.LocalProvider(KEY) as model:
        result = roci.generate_object(model, "A pet.", Pet, settings=SETTINGS)

    assert isinstance(result.object, Pet)
    assert result.receipt.schema == "enforced"
