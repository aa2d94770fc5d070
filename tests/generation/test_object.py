"""`generate_object` against servers that say what a test tells them to: also what users complained about."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

import roci
from roci import FinishReason, GenerationSettings, LmStudioProvider, ModelMessage, OpenAICompatibleProvider
from roci.errors import (
    BadRequestError,
    ContextTooLongError,
    SchemaMismatchError,
    ServerFailedError,
    UnsupportedError,
    UsageError,
)
from roci.types.receipt import Retry
from tests.support.canned_server import CannedServer, Reply, Request, canned_server, completion
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
SAMPLES = Path(__file__).parents[1] / "samples" / "errors"
PETS = '{"name": "Rex", "legs": 4}'


@dataclasses.dataclass
class Pet:
    name: str
    legs: int = 4


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class PetStruct(msgspec.Struct):
    name: str
    kids: list[PetStruct] = []


class PetModel(pydantic.BaseModel):
    name: str
    legs: int = pydantic.Field(ge=0, description="how many")


class PetDict(TypedDict):
    name: str


def in_turn(*replies: Reply) -> Callable[[Request], Reply]:
    """Each request gets the next reply; the last one stays."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def said(*texts: str, **fields: Any) -> Callable[[Request], Reply]:
    return in_turn(*(Reply.json(completion(text, **fields)) for text in texts))


def sample(name: str) -> Reply:
    recorded = json.loads((SAMPLES / f"{name}.json").read_text())
    return Reply.json(recorded["body"], recorded["status"])


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with canned_server({CHAT: said(PETS)}) as server:
        yield server


@pytest.fixture
def model(server: CannedServer) -> Iterator[LmStudioProvider]:
    with LmStudioProvider("m", server.url) as provider:
        yield provider


def formats(server: CannedServer) -> list[Any]:
    return [request.json().get("response_format", {}).get("type") for request in server.requests]


def sent_schema(server: CannedServer, number: int = 0) -> Any:
    return server.requests[number].json()["response_format"]["json_schema"]["schema"]


KINDS: list[tuple[Any, str, Any]] = [
    (Pet, PETS, Pet("Rex", 4)),
    (PetStruct, '{"name": "Rex", "kids": [{"name": "Max"}]}', PetStruct("Rex", [PetStruct("Max")])),
    (PetModel, PETS, PetModel(name="Rex", legs=4)),
    (PetDict, '{"name": "Rex"}', {"name": "Rex"}),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (list[Pet], '{"value": [{"name": "Rex"}]}', [Pet("Rex")]),
    (list[PetModel], '{"value": [' + PETS + "]}", [PetModel(name="Rex", legs=4)]),
    (Literal["yes", "no"], '{"value": "no"}', "no"),
    (Color, '{"value": "red"}', Color.RED),
    (int | str, '{"value": 5}', 5),
    (Pet | None, '{"value": null}', None),
    (PetModel | None, '{"value": ' + PETS + "}", PetModel(name="Rex", legs=4)),
    (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
    (bool, '{"value": true}', True),
    ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, '{"a": 1}', {"a": 1}),
    ({"type": "array", "items": {"type": "integer"}}, '{"value": [1, 2]}', [1, 2]),
]


@pytest.mark.parametrize(("wanted", "text", "value"), KINDS, ids=[str(wanted) for wanted, _, _ in KINDS])
def test_an_answer_is_a_value_of_the_type(wanted: Any, text: str, value: Any, twin: Twin) -> None:
    with canned_server({CHAT: said(text)}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", wanted)

        assert result.object == value
        assert type(result.object) is type(value)
        assert (result.text, result.receipt.schema, result.receipt.recovered) == (text, "enforced", "")
        assert sent_schema(server)["type"] == "object"
        assert formats(server) == ["json_schema"]


def test_the_rest_of_the_answer_is_there_too(model: LmStudioProvider, server: CannedServer, twin: Twin) -> None:
    conversation = [ModelMessage.system("Be brief."), ModelMessage.user("Which pet?")]
    result = twin.call(
        roci, "generate_object", model, conversation, Pet, settings=GenerationSettings(temperature=0, max_tokens=50)
    )

    assert result.messages == (*conversation, ModelMessage.assistant(PETS))
    assert (result.usage.input_tokens, result.usage.output_tokens) == (5, 3)
    assert (result.model, result.finish_reason, len(result.attempts)) == ("m", FinishReason.STOP, 1)
    assert result.stats.total_time_s > 0
    assert (result.receipt.model_asked, result.receipt.context_used_tokens) == ("m", 8)
    body = server.requests[0].json()
    assert (body["temperature"], body["max_tokens"]) == (0, 50)
    assert body["messages"][1]["content"] == "Which pet?"


def test_an_answer_that_does_not_fit_is_asked_for_again_with_its_fault(twin: Twin) -> None:
    answers = said('{"name": "Rex", "legs": "four"}', PETS)
    with canned_server({CHAT: answers}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

        assert result.object == Pet("Rex", 4)
        asked, answer, correction = server.requests[1].json()["messages"]
        assert (asked["content"], answer["content"]) == ("Which pet?", '{"name": "Rex", "legs": "four"}')
        assert "Expected `int`, got `str` (at $.legs)" in correction["content"]
        assert '"properties"' in correction["content"]
        assert result.usage.output_tokens == 6
        assert result.receipt.retries == (
            Retry(reason="The answer did not fit: Expected `int`, got `str` (at $.legs).", generated_tokens=3),
        )
        assert [attempt.text for attempt in result.attempts] == ['{"name": "Rex", "legs": "four"}', PETS]
        assert result.messages == (ModelMessage.user("Which pet?"), ModelMessage.assistant(PETS))


def test_answers_that_never_fit_are_a_mismatch_with_all_attempts(twin: Twin) -> None:
    with canned_server({CHAT: said('{"value": [{"name": 5}]}')}) as server, LmStudioProvider("m", server.url) as model:
        with pytest.raises(SchemaMismatchError, match=r"also after 1 more") as caught:
            twin.call(roci, "generate_object", model, "Which pets?", list[Pet], max_retries=1)

        error = caught.value
        assert (error.json_path, error.text) == ("$[0].name", '{"value": [{"name": 5}]}')
        assert len(error.attempts) == len(server.requests) == 2
        assert error.receipt.retries[0].generated_tokens == 3


def test_a_pydantic_models_own_rules_are_shown_to_the_model(twin: Twin) -> None:
    class Even(pydantic.BaseModel):
        number: int

        @pydantic.field_validator("number")
        @classmethod
        def is_even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("it must be even")
            return value

    answers = said('{"number": 3}', '{"number": 4}')
    with canned_server({CHAT: answers}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "An even number?", Even)

        assert result.object.number == 4
        assert "it must be even (at $.number)" in server.requests[1].json()["messages"][-1]["content"]
        assert result.receipt.schema == "enforced"  # the rule was none that a schema can say


def test_an_answer_cut_by_the_token_limit_is_not_asked_for_again(twin: Twin) -> None:
    cut = said('{"name": "Rex the gr', finish="length")
    with canned_server({CHAT: cut}) as server, LmStudioProvider("m", server.url) as model:
        with pytest.raises(SchemaMismatchError, match="cut short by the token limit") as caught:
            twin.call(roci, "generate_object", model, "Which pet?", Pet)

        assert "max_tokens" in caught.value.hint
        assert caught.value.text == '{"name": "Rex the gr'
        assert len(server.requests) == 1
        assert caught.value.receipt.schema == "enforced"


def test_a_whole_object_before_the_token_limit_is_good(twin: Twin) -> None:
    with canned_server({CHAT: said(PETS + "\n\n\n", finish="length")}) as server:
        with LmStudioProvider("m", server.url) as model:
            result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert (result.object, result.finish_reason, result.receipt.schema) == (
        Pet("Rex"), FinishReason.LENGTH, "enforced",
    )  # fmt: skip


def test_a_part_of_a_cut_answer_does_not_pass_for_the_whole(twin: Twin) -> None:
    class Loose(msgspec.Struct):
        a: int = 0

    with canned_server({CHAT: said('{"x": [{"a": 1}, {"a": 2}')}) as server:
        with LmStudioProvider("m", server.url) as model, pytest.raises(SchemaMismatchError, match="not JSON"):
            twin.call(roci, "generate_object", model, "?", Loose, max_retries=0)


# ---- what users complained about, by its row


def test_row_1_lm_studio_refuses_json_object_so_the_way_out_is_a_schema_of_any_object(twin: Twin) -> None:
    def answer(request: Request) -> Reply:
        form = request.json().get("response_format", {})
        if form.get("type") == "json_object":
            return sample("lmstudio_response_format")
        if form["json_schema"]["name"] != "json_object":
            return Reply.json({"error": "Failed to parse the response_format json_schema"}, 400)
        return Reply.json(completion(PETS))

    with canned_server({CHAT: answer}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

        assert result.object == Pet("Rex", 4)
        assert formats(server) == ["json_schema", "json_schema"]
        assert "JSON Schema" in server.requests[1].json()["messages"][-1]["content"]
        adjustment = result.receipt.ignored[-1]
        assert (adjustment.setting, adjustment.asked, adjustment.sent) == (
            "response_format", "json_schema", "json_object",
        )  # fmt: skip
        assert (result.receipt.schema, result.receipt.retries) == ("validated", ())


def test_row_2_json_that_lands_in_the_reasoning_is_found_there_and_said(twin: Twin) -> None:
    message = {"content": "", "reasoning_content": PETS}
    with canned_server({CHAT: said("", message=message)}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert result.object == Pet("Rex", 4)
    assert (result.text, result.reasoning) == ("", PETS)
    assert (result.receipt.schema, result.receipt.recovered) == ("recovered", "reasoning")


@pytest.mark.parametrize("thinks", [True, False], ids=["thinking", "silent"])
@pytest.mark.parametrize("holds", [True, False], ids=["enforced", "ignored"])
def test_row_3_the_receipt_tells_whether_thinking_ran_and_the_schema_was_enforced(
    thinks: bool, holds: bool, twin: Twin
) -> None:
    text = PETS if holds else f"Sure!\n```json\n{PETS}\n```"
    message = {"content": text, "reasoning_content": "A pet, so a dog." if thinks else ""}
    settings = GenerationSettings(reasoning="on" if thinks else "off")
    with canned_server({CHAT: said(text, message=message)}) as server, LmStudioProvider("m", server.url) as model:
        receipt = twin.call(roci, "generate_object", model, "Which pet?", Pet, settings=settings).receipt

    assert receipt.schema == ("enforced" if holds else "recovered")
    assert bool(receipt.reasoning_ran) == thinks
    assert any("did not hold" in note for note in receipt.notes) == (not holds)


def test_row_4_a_server_that_ignores_the_schema_and_says_200_is_found_out(twin: Twin) -> None:
    answers = said("I think a dog would be nice.", PETS)
    with canned_server({CHAT: answers}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert result.object == Pet("Rex", 4)
    assert result.receipt.schema == "validated"
    assert any("did not hold" in note for note in result.receipt.notes)


def test_rows_4_and_6_what_servers_stumble_over_is_not_sent(twin: Twin) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:x",
        "title": "Tree",
        "type": "object",
        "properties": {"name": {"type": ["string", "null"], "title": "Name"}, "next": {"$ref": "#"}},
        "required": ["name"],
    }
    with canned_server({CHAT: said('{"name": null}')}) as server, LmStudioProvider("m", server.url) as model:
        twin.call(roci, "generate_object", model, "?", schema)

        sent = sent_schema(server)
        written = json.dumps(sent)
        assert not [word for word in ("$schema", "$id", "title") if f'"{word}"' in written]
        assert sent["additionalProperties"] is False
        assert sent["properties"]["name"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
        assert sent["properties"]["next"] == {"$ref": "#/$defs/root"}
        assert sent["$defs"]["root"]["properties"]["next"] == {"$ref": "#/$defs/root"}


def test_row_5_fenced_markdown_in_place_of_json_is_opened_and_said(twin: Twin) -> None:
    text = f"Here you are:\n```json\n{PETS}\n```\nAnything else?"
    with canned_server({CHAT: said(text)}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert (result.object, result.text, result.receipt.recovered) == (Pet("Rex"), text, "fence")


def test_row_7_a_small_model_is_held_by_a_grammar_and_never_offered_a_tool(twin: Twin) -> None:
    with canned_server({CHAT: said("Rex", PETS)}) as server, LmStudioProvider("m", server.url) as model:
        twin.call(roci, "generate_object", model, "Which pet?", Pet)

        assert formats(server) == ["json_schema", "json_schema"]
        assert not [request for request in server.requests if {"tools", "tool_choice"} & set(request.json())]


@pytest.mark.parametrize(
    "text",
    [
        f"{PETS}<|im_end|>",
        f"{PETS}</think>",
        '{"name": "Rex", <|eot_id|>"legs": 4}',
        f"{PETS}<\uff5cend\u2581of\u2581sentence\uff5c>",
    ],
)
def test_row_8_marks_of_the_engine_are_taken_out_and_said(text: str, twin: Twin) -> None:
    with canned_server({CHAT: said(text)}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert (result.object, result.text, result.receipt.recovered) == (Pet("Rex"), text, "markers")


@pytest.mark.parametrize("before", ["</think>\n", "<think>A dog.</think>\n", "<|channel|>final<|message|>"])
def test_row_8_marks_before_the_answer_are_taken_as_the_end_of_the_reasoning(before: str, twin: Twin) -> None:
    with canned_server({CHAT: said(before + PETS)}) as server, LmStudioProvider("m", server.url) as model:
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert (result.object, result.text.strip()) == (Pet("Rex"), PETS)
    assert ("A dog." in result.reasoning) == ("A dog." in before)


# ---- servers that do not take a schema


def refusing(*kinds: str, status: int = 400) -> Callable[[Request], Reply]:
    """Refuses those forms of an answer; gives a pet in any other."""

    def answer(request: Request) -> Reply:
        kind = request.json().get("response_format", {}).get("type", "none")
        if kind in kinds:
            words = {"message": f"response_format {kind} is not supported", "param": "response_format"}
            return Reply.json({"error": words}, status)
        return Reply.json(completion(PETS))

    return answer


@pytest.mark.parametrize(
    ("refused", "tried"),
    [
        (("json_schema",), ["json_schema", "json_object"]),
        (("json_schema", "json_object"), ["json_schema", "json_object", None]),
    ],
)
def test_a_server_without_schemas_is_asked_with_the_schema_in_the_prompt(
    refused: tuple[str, ...], tried: Sequence[str | None], twin: Twin
) -> None:
    with canned_server({CHAT: refusing(*refused)}) as server:
        with OpenAICompatibleProvider("m", server.url + "/v1") as model:
            result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

        assert formats(server) == tried
        assert result.object == Pet("Rex")
        assert (result.receipt.schema, len(result.receipt.ignored), len(result.attempts)) == (
            "validated", len(tried) - 1, 1,
        )  # fmt: skip
        prompt = server.requests[-1].json()["messages"][-1]["content"]
        assert prompt.startswith("Which pet?")
        assert '"legs"' in prompt
        assert result.messages[0] == ModelMessage.user("Which pet?")


def test_a_server_that_fails_to_build_the_grammar_is_asked_otherwise(twin: Twin) -> None:
    with canned_server({CHAT: in_turn(
        Reply.json({"error": {"message": "failed to parse grammar", "type": "server_error"}}, 500),
        Reply.json(completion(PETS)),
    )}) as server, LmStudioProvider("m", server.url) as model:  # fmt: skip
        result = twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert (result.object, result.receipt.schema) == (Pet("Rex"), "validated")


def test_other_refusals_are_not_asked_again(twin: Twin) -> None:
    for reply, kind in (
        (
            Reply.json({"error": {"message": "temperature is out of range", "param": "temperature"}}, 400),
            BadRequestError,
        ),
        (Reply.json({"error": {"message": "out of memory"}}, 500), ServerFailedError),
        (sample("llama_cpp_overflow"), ContextTooLongError),
    ):
        with canned_server({CHAT: reply}) as server, LmStudioProvider("m", server.url) as model:
            with pytest.raises(kind):
                twin.call(roci, "generate_object", model, "Which pet?", Pet)
            assert formats(server).count("json_object") == 0


def test_a_failure_after_an_answer_tells_what_that_answer_cost(twin: Twin) -> None:
    failing = in_turn(Reply.json(completion("no")), Reply.json({"error": {"message": "gone"}}, 400))
    with canned_server({CHAT: failing}) as server, LmStudioProvider("m", server.url) as model:
        with pytest.raises(BadRequestError, match="gone") as caught:
            twin.call(roci, "generate_object", model, "Which pet?", Pet)

    assert caught.value.receipt.retries[0].generated_tokens == 3


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"output_type": {"type": "nothing"}}, "output_type.type"),
        ({"output_type": {"$ref": "http://elsewhere/"}}, "output_type.$ref"),
        ({"output_type": {"$ref": "#"}}, "output_type.schema"),
        ({"output_type": {"type": "string", "pattern": "("}}, "output_type.pattern"),
        ({"output_type": {"enum": [object()]}}, "output_type"),
        ({"output_type": 5}, "output_type"),
        ({"output_type": None}, "output_type"),
        ({"output_type": Callable[[int], int]}, "output_type"),
        ({"output_type": Pet, "max_retries": -1}, "max_retries"),
        ({"output_type": Pet, "max_retries": True}, "max_retries"),
        ({"output_type": Pet, "messages": []}, "messages"),
        ({"output_type": Pet, "on_overflow": "explode"}, "on_overflow"),
        (
            {"output_type": Pet, "settings": GenerationSettings(response_format=roci.ResponseFormat.json_object())},
            "settings.response_format",
        ),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_sent(
    arguments: dict[str, Any], field: str, model: LmStudioProvider, server: CannedServer, twin: Twin
) -> None:
    with pytest.raises(UsageError) as caught:
        twin.call(roci, "generate_object", **{"model": model, "messages": "?", **arguments})

    assert caught.value.field.startswith(field)
    assert server.requests == []


def test_a_schema_without_its_checker_is_unsupported_and_says_what_to_install(
    model: LmStudioProvider, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jsonschema_rs", None)

    with pytest.raises(UnsupportedError, match="jsonschema-rs") as caught:
        roci.generate_object(model, "?", {"type": "object"})

    assert "pip install" in caught.value.hint
    assert roci.generate_object(model, "?", Pet).object == Pet("Rex")
