"""`/v1/completions` with the real engine and the starter model, through OpenAI's own client where it can say it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S, Served
from tests.support.starter_gateway import FILL_IN_KEY, KEY, starter_gateway, write_fill_in_model
from tests.support.workers import wait_until

ONE_FIELD = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
CONTEXT = 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("home")
    write_fill_in_model(folder, starter_model)
    with starter_gateway(folder, starter_model, context_length=CONTEXT, max_loaded=2) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0, timeout=PATIENCE_S) as made:
        yield made


def ask(prompt: Any = "The sky is", **more: Any) -> dict[str, Any]:
    return {"model": KEY, "prompt": prompt, "max_tokens": 3, "temperature": 0, **more}


def post(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    reply = httpx2.post(f"{served.url}/v1/completions", json=body, timeout=PATIENCE_S)
    assert reply.status_code == 200, reply.text
    return reply.json()


@compatible(
    "POST /v1/completions", "`model`, `prompt`, `max_tokens`, `temperature`, `seed`; reply", "same", "no chat template"
)
@compatible("POST /api/v0/completions", "the options of `/v1/completions`", "same")
def test_a_text_is_gone_on_with(client: openai.OpenAI):
    reply = client.completions.create(**ask())
    (choice,) = reply.choices
    assert choice.text
    assert choice.finish_reason == "length"
    assert reply.model == KEY
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 3)


def test_a_stream_says_the_same(client: openai.OpenAI):
    whole = client.completions.create(**ask()).choices[0].text
    chunks = list(client.completions.create(**ask(), stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_tokens_go_on_like_their_text(served: Served, client: openai.OpenAI):
    tokens = httpx2.post(f"{served.url}/v1/tokenize", json={"model": KEY, "content": "The sky is"}).json()["tokens"]
    by_text, by_tokens = (client.completions.create(**ask(prompt)).choices[0].text for prompt in ("The sky is", tokens))
    assert by_text == by_tokens


@compatible("POST /v1/completions", ["`prompt` as a list or tokens", "`n`"], "better", "undocumented in LM Studio")
def test_more_prompts_than_slots_are_all_answered_in_their_order(client: openai.OpenAI):
    prompts = ["One, two, three,", "The sky is", "Once upon a"]
    reply = client.completions.create(**ask(prompts, n=2, echo=True))
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3, 4, 5]
    for choice in reply.choices:
        assert choice.text.startswith(prompts[choice.index // 2])
        assert len(choice.text) > len(prompts[choice.index // 2])
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 6 * 3
    counted = [client.completions.create(**ask(prompt)).usage for prompt in prompts]
    assert reply.usage.prompt_tokens == sum(usage.prompt_tokens for usage in counted if usage is not None)
    chunks = client.completions.create(**ask(prompts, stream=True))
    ends = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert sorted(ends) == [0, 1, 2]


@compatible("POST /v1/completions", "`echo`", "better", "undocumented in LM Studio")
def test_an_echo_of_tokens_is_their_text(client: openai.OpenAI):
    assert client.completions.create(**ask([504, 6376], echo=True)).choices[0].text.startswith("The sky")


@compatible("POST /v1/completions", "`logprobs`", "better", "undocumented in LM Studio")
def test_likely_tokens_are_told(client: openai.OpenAI):
    logprobs = client.completions.create(**ask(logprobs=2)).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert len(logprobs.tokens) == 3
    assert logprobs.top_logprobs is not None
    assert all(len(top) == 2 for top in logprobs.top_logprobs)


@compatible("POST /v1/completions", "`stop`", "same")
def test_a_stop_text_ends_it(client: openai.OpenAI):
    reply = client.completions.create(**ask("a b c d a b c d a b", stop=[" d"], max_tokens=20))
    assert reply.choices[0].finish_reason == "stop"
    assert " d" not in reply.choices[0].text


@compatible("POST /v1/completions", "`response_format`", "better", "undocumented in LM Studio")
def test_an_answer_takes_the_form_that_is_asked_for(served: Served):
    wanted = {"type": "json_schema", "json_schema": {"schema": ONE_FIELD}}
    choice = post(served, ask("Answer: ", response_format=wanted, max_tokens=40))["choices"][0]
    assert [note["code"] for note in choice["roci"]["notes"]] == ["schema_valid"]


@compatible("POST /v1/completions", "`suffix`", "better", "undocumented in LM Studio")
def test_a_gap_is_filled_in_by_models_that_can(served: Served):
    short = post(served, ask("def f(", model=FILL_IN_KEY, suffix="):"))
    assert short["choices"][0]["text"] != ""
    long = post(served, ask("word " * 60, model=FILL_IN_KEY, suffix=" end" * 60))
    assert long["usage"]["prompt_tokens"] > 120, "nothing of what stands around the gap is cut"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": ""}, "prompt", None),
        ({"prompt": [10**6]}, "prompt", None),
        ({"prompt": "word " * CONTEXT}, "prompt", "context_length_exceeded"),
        ({"suffix": "):"}, "suffix", "suffix_not_supported"),
        ({"n": 3}, "n", None),
        ({"max_tokens": 0}, "max_tokens", None),
        ({"model": "nobody"}, "model", "model_not_found"),
    ],
    ids=["empty", "no such token", "too long", "suffix", "n", "max_tokens", "model"],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_what_cannot_be_done_is_refused(
    client: openai.OpenAI, fields: dict[str, Any], param: str, code: str | None, stream: bool
):
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as refused:
        client.completions.create(**ask(**fields, stream=stream))
    assert refused.value.param == param
    assert code is None or refused.value.code == code


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_client_who_leaves_frees_the_slots(served: Served, stream: bool):
    def running() -> int:
        models = httpx2.get(f"{served.url}/health", timeout=PATIENCE_S).json()["models"]
        return sum(model["running"] for model in models)

    endless = ask(["The sky is"] * 500, max_tokens=500, ignore_eos=True, stream=stream)
    wait_until(lambda: running() == 0, "an idle model")
    with httpx2.Client(timeout=httpx2.Timeout(PATIENCE_S, read=PATIENCE_S if stream else 0.5)) as left:
        if stream:
            with left.stream("POST", f"{served.url}/v1/completions", json=endless) as reply:
                lines = reply.iter_lines()
                assert next(lines)
                assert running() == 1
        else:
            with pytest.raises(httpx2.ReadTimeout):
                left.post(f"{served.url}/v1/completions", json=endless)
    wait_until(lambda: running() == 0, "the slots to be free")
    assert post(served, ask())["choices"][0]["text"]
