"""Thinking: how each server is told, where it comes back, and what the receipt says. Sync and async."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import roci
from roci import GenerationSettings, LmStudioProvider, LocalProvider, ModelMessage, OpenAICompatibleProvider
from roci.types.requests import checked
from tests.support.canned_server import CannedServer, Reply, Request, canned_server, chunk, completion
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
MODELS = "GET /v1/models"
LEVELS = ("off", "on", "low", "medium", "high")


def asked(reasoning: Any = None) -> roci.ProviderRequest:
    return roci.ProviderRequest(messages=[ModelMessage.user("2+2?")], settings=GenerationSettings(reasoning=reasoning))


def listing(owner: str) -> Reply:
    return Reply.json({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner}]})


def sent(server: CannedServer) -> list[dict[str, Any]]:
    return [request.json() for request in server.requests if request.method == "POST"]


def said(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("reasoning_effort", "chat_template_kwargs") if name in body}


ON = {"chat_template_kwargs": {"enable_thinking": True, "thinking": True}}
OFF = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
ROW_49 = {
    # whose list of models -> what is said for off, on, low, medium, high
    "llamacpp": [{"reasoning_effort": "none", **OFF}, ON, *({"reasoning_effort": e, **ON} for e in LEVELS[2:])],
    "vllm": [OFF, ON, *({"reasoning_effort": e, **ON} for e in LEVELS[2:])],
    "library": [{"reasoning_effort": e} for e in ("none", "medium", "low", "medium", "high")],  # Ollama
    "somebody": [{"reasoning_effort": e} for e in ("none", "medium", "low", "medium", "high")],
}


@pytest.mark.parametrize("owner", ROW_49)
def test_row_49_each_server_is_told_in_its_own_words(owner: str, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion()), MODELS: listing(owner)}) as server:
        provider = OpenAICompatibleProvider("m", base_url=server.url)
        for level in LEVELS:
            twin.call(provider, "generate_text", asked(level))

    assert [said(body) for body in sent(server)] == ROW_49[owner]
    assert sum(request.method == "GET" for request in server.requests) == 1


def test_row_49_lm_studio_is_told_efforts_and_not_asked_what_it_is(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        provider = LmStudioProvider("m", base_url=server.url)
        for level in LEVELS:
            twin.call(provider, "generate_text", asked(level))

    assert [body["reasoning_effort"] for body in sent(server)] == ["none", "medium", "low", "medium", "high"]
    assert {request.path for request in server.requests} == {"/v1/chat/completions"}


def test_nothing_is_said_and_nobody_asked_where_no_wish_is(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion())}) as server:
        twin.call(OpenAICompatibleProvider("m", base_url=server.url), "generate_text", asked())

    assert (len(server.requests), said(sent(server)[0])) == (1, {})


REFUSALS = {
    # as servers really say it
    "ollama, another level": (400, {"message": 'think value "medium" is not supported for this model', "param": None}),
    "ollama, no thinking": (400, {"message": '"llama3:latest" does not support thinking', "type": "api_error"}),
    "openai": (400, {"message": "Unrecognized request argument supplied: reasoning_effort", "param": None}),
    "by field": (422, {"message": "extra fields not permitted", "param": "reasoning_effort"}),
}


def refuses(status: int, error: dict[str, Any], answer: Reply) -> Any:
    def reply(request: Request) -> Reply:
        return Reply.json({"error": error}, status) if said(request.json()) else answer

    return reply


@pytest.mark.parametrize("name", REFUSALS)
def test_row_49_a_server_that_refuses_the_wish_is_asked_once_more_without_it(name: str, twin: Twin) -> None:
    status, error = REFUSALS[name]
    with canned_server({CHAT: refuses(status, error, Reply.json(completion("Four.")))}) as server:
        response = twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked("high"))

    assert (response.text, len(server.requests)) == ("Four.", 2)
    (change,) = response.receipt.ignored
    assert (change.setting, change.asked, change.sent, change.reason) == ("reasoning", "high", "", error["message"])
    (retry,) = response.receipt.retries
    assert (retry.reason, retry.generated_tokens) == (error["message"], 0)


def test_row_49_a_refusal_of_a_stream_is_met_alike(twin: Twin) -> None:
    status, error = REFUSALS["ollama, no thinking"]
    answer = Reply.events(chunk("Four."), chunk(finish="stop"))
    with canned_server({CHAT: refuses(status, error, answer)}) as server:
        result = twin.streamed(LmStudioProvider("m", base_url=server.url), asked("low"))

    assert (result.text, len(server.requests)) == ("Four.", 2)
    assert [change.setting for change in result.receipt.ignored] == ["reasoning"]


def test_a_refusal_of_something_else_is_not_met(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json({"error": {"message": "top_k must be a number"}}, 400)}) as server:
        with pytest.raises(roci.BadRequestError):
            twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked("low"))

    assert len(server.requests) == 1


def test_row_49_a_model_that_thinks_all_the_same_is_in_the_receipt(twin: Twin) -> None:
    answer = completion("Four.", message={"reasoning_content": "Hm."})
    with canned_server({CHAT: Reply.json(answer)}) as server:
        receipt = twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked("off")).receipt

    assert receipt.reasoning_ran is True
    assert [(change.setting, change.asked) for change in receipt.ignored] == [("reasoning", "off")]


ROW_50 = {
    "reasoning_content": {"content": "Four.", "reasoning_content": "Hm, 2+2."},
    "reasoning": {"content": "Four.", "reasoning": "Hm, 2+2."},
    "both fields": {"content": "Four.", "reasoning": "Hm, 2+2.", "reasoning_content": "Hm, 2+2."},
    "tags": {"content": "<think>\nHm, 2+2.\n</think>\n\nFour."},
    "tags and a field": {"content": "<think>Hm, 2+2.</think>Four.", "reasoning_content": "Hm, 2+2."},
    "an end without a beginning": {"content": "Hm, 2+2.\n</think>\n\nFour."},
    "Harmony's marks": {
        "content": "<|channel|>analysis<|message|>Hm, 2+2.<|end|><|start|>assistant<|channel|>final<|message|>Four."
    },
}


@pytest.mark.parametrize("name", ROW_50)
def test_row_50_thinking_is_apart_from_the_text_wherever_it_comes(name: str, twin: Twin) -> None:
    message = {"reasoning_content": None, **ROW_50[name]}
    with canned_server({CHAT: Reply.json(completion(message=message))}) as server:
        response = twin.call(LmStudioProvider("m", base_url=server.url), "generate_text", asked())

    assert (response.text, response.reasoning) == ("Four.", "Hm, 2+2.")
    assert response.receipt.reasoning_ran is True


def in_pieces(message: dict[str, str], size: int) -> list[dict[str, Any]]:
    """The message's fields as deltas of `size` letters: thinking first, both of its names in the same delta."""
    thoughts = {name: text for name, text in message.items() if name != "content"}
    longest = max(map(len, thoughts.values()), default=0)
    deltas = [
        {name: text[start : start + size] for name, text in thoughts.items()} for start in range(0, longest, size)
    ]
    content = message["content"]
    return [*deltas, *({"content": content[start : start + size]} for start in range(0, len(content), size))]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("name", [name for name in ROW_50 if name != "tags and a field"])
def test_row_50_a_stream_cut_anywhere_gives_the_same(name: str, size: int, twin: Twin) -> None:
    events = [chunk(delta=delta) for delta in in_pieces(ROW_50[name], size)]
    with canned_server({CHAT: Reply.events(*events, chunk(finish="stop"))}) as server:
        provider = LmStudioProvider("m", base_url=server.url)
        result = twin.streamed(provider, asked())
        deltas = twin.deltas(provider, asked())

    assert (result.text, result.reasoning) == ("Four.", "Hm, 2+2.")
    if name != "an end without a beginning":
        assert "".join(delta.text for delta in deltas) == "Four."
        assert "".join(delta.reasoning for delta in deltas) == "Hm, 2+2."


def test_row_50_an_answer_of_thinking_alone_stays_visible_as_that(twin: Twin) -> None:
    events = [chunk(delta={"reasoning_content": "Hm"}), chunk("", finish="length")]
    plain = completion("", "length", message={"reasoning_content": "Hm"})
    with canned_server(
        {CHAT: lambda r: Reply.events(*events) if r.json().get("stream") else Reply.json(plain)}
    ) as server:
        provider = LmStudioProvider("m", base_url=server.url)
        for answer in (twin.call(provider, "generate_text", asked()), twin.streamed(provider, asked())):
            assert (answer.text, answer.reasoning, answer.finish_reason) == ("", "Hm", "length")


def test_what_is_held_back_comes_with_the_end(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(chunk("<th"), chunk(finish="stop"))}) as server:
        assert twin.streamed(LmStudioProvider("m", base_url=server.url), asked()).text == "<th"


def test_what_is_held_back_is_in_the_partial_answer(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(chunk("<think>Hm</th"), done=False, cut=True)}) as server:
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.streamed(LmStudioProvider("m", base_url=server.url), asked())

    assert caught.value.partial.reasoning == "Hm</th"


def test_a_call_behind_a_thought_in_tags_is_a_call(twin: Twin) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    events = [chunk("<think>Hm.</think>\n"), chunk(delta={"tool_calls": [call]}), chunk(finish="tool_calls")]
    with canned_server({CHAT: Reply.events(*events)}) as server:
        result = twin.streamed(LmStudioProvider("m", base_url=server.url), asked())

    assert (result.text, result.reasoning, [call.name for call in result.tool_calls]) == ("", "Hm.", ["f"])


TEMPLATE = "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}"


@pytest.mark.parametrize(
    ("level", "fields"),
    [
        ("off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("on", {"chat_template_kwargs": {"enable_thinking": True}}),
        (None, {"chat_template_kwargs": {"enable_thinking": True}}),
    ],
)
def test_the_embedded_engine_is_told_what_the_template_knows(level: Any, fields: Any, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", chat_template=TEMPLATE)
    body = LocalProvider(str(path))._body(checked(asked(level)), stream=True)

    assert said(body) == fields


def test_the_embedded_engine_says_that_a_model_cannot_think(tmp_path: Path) -> None:
    model = LocalProvider(str(write_tiny_gguf(tmp_path / "m.gguf")))

    assert said(model._body(checked(asked("high")), stream=True)) == {}
    (change,) = model._adjustments(checked(asked("high")))
    assert (change.setting, change.asked, change.reason) == ("reasoning", "high", "This model does not reason.")


@pytest.mark.parametrize(("owner", "changes"), [("llamacpp", []), ("library", [("on", "medium")])])
def test_an_effort_in_place_of_on_is_in_the_receipt(owner: str, changes: list[Any], twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion()), MODELS: listing(owner)}) as server:
        response = twin.call(OpenAICompatibleProvider("m", base_url=server.url), "generate_text", asked("on"))

    assert [(change.asked, change.sent) for change in response.receipt.ignored] == changes
