"""What a chat body means: every spelling of the reasoning switch, and what goes on to the engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roci.errors import BadRequestError
from roci.wire.ask import Ask
from roci.wire.llama_cpp.body import worker_body
from roci.wire.openai.chat_ask import chat_ask
from roci.wire.reasoning import plan_reasoning


def ask(**fields: Any) -> Ask:
    return chat_ask(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode())


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, "off"),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"reasoning": "off"}, "off"),
        ({"reasoning": {"effort": "medium"}}, "medium"),
        ({"reasoning": {"enabled": False}}, "off"),
        ({"reasoning": {"summary": "auto"}}, None),
        ({"thinking": {"type": "disabled"}}, "off"),
        ({"enable_thinking": False}, "off"),
        ({"enable_thinking": True}, "on"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "off"),
        ({"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}}, "low"),
    ],
)
def test_every_spelling_of_the_reasoning_switch_is_understood(fields: dict[str, Any], meaning: str | None):
    assert ask(**fields).reasoning == meaning


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"chat_template_kwargs": []}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"enable_thinking": "no way"}}, "chat_template_kwargs.enable_thinking"),
        ({"thinking_budget_tokens": -5}, "thinking_budget_tokens"),
        ({"thinking_budget_tokens": True}, "thinking_budget_tokens"),
    ],
)
def test_a_switch_that_means_nothing_is_refused_by_its_path(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequestError) as caught:
        ask(**fields)
    assert caught.value.param == param


def test_a_budget_of_nothing_is_one_token_because_the_engine_never_leaves_zero():
    assert ask(thinking_budget_tokens=0).thinking_budget_tokens == 1
    assert ask(thinking_budget_tokens=-1).thinking_budget_tokens is None


@pytest.mark.parametrize(
    ("wanted", "options", "fields", "template", "is_heeded"),
    [
        ("off", ("off", "on"), {}, {"enable_thinking": False}, True),
        ("on", ("off", "on"), {}, {"enable_thinking": True}, True),
        ("low", ("off", "on"), {}, {"enable_thinking": True}, False),
        ("low", ("low", "medium", "high"), {"reasoning_effort": "low"}, {"enable_thinking": True}, True),
        ("on", ("low", "medium", "high"), {"reasoning_effort": "medium"}, {"enable_thinking": True}, True),
        ("off", ("on",), {"thinking_budget_tokens": 1}, {}, True),
        ("high", (), {}, {}, False),
        ("off", (), {}, {}, True),
    ],
)
def test_a_model_is_told_the_nearest_that_it_offers(
    wanted: Any, options: tuple[str, ...], fields: dict[str, Any], template: dict[str, Any], is_heeded: bool
):
    plan = plan_reasoning(wanted, options, switch="enable_thinking")
    assert (plan.fields, plan.template, not plan.ignored) == (fields, template, is_heeded)


def test_the_templates_own_default_is_told_because_the_engine_has_another():
    assert plan_reasoning(None, ("off", "on"), default="off", switch="thinking").template == {"thinking": False}
    assert plan_reasoning(None, ()).template == {}


def test_where_it_is_strict_a_value_that_is_not_offered_is_refused():
    with pytest.raises(BadRequestError) as caught:
        plan_reasoning("high", ("off", "on"), is_strict=True)
    assert caught.value.param == "reasoning"


def body(asked: Ask, **more: Any) -> dict[str, Any]:
    given = {"defaults": {}, "forwarded": asked.forwarded, "fields": {}, "template": {}, **more}
    return json.loads(worker_body(asked.chat, "key", **given))


def test_what_roci_does_not_know_goes_to_the_engine_as_it_came():
    sent = body(ask(mirostat=2, zz={"deep": [1.50, None]}, stream=False, id_slot=3, n=2))
    assert sent["mirostat"] == 2
    assert sent["zz"] == {"deep": [1.5, None]}
    assert sent["n"] == 2
    assert "id_slot" not in sent
    assert sent["model"] == "key"
    assert (sent["stream"], sent["return_progress"]) == (True, True)
    assert sent["stream_options"] == {"include_usage": True}


def test_the_models_settings_count_where_the_request_says_nothing():
    sent = body(ask(temperature=0.1), defaults={"temperature": 0.7, "top_k": 40})
    assert (sent["temperature"], sent["top_k"]) == (0.1, 40)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
    ],
)
def test_the_limit_of_tokens(fields: dict[str, Any], limit: int | None):
    assert body(ask(**fields)).get("max_tokens") == limit


def test_the_clients_template_variables_are_kept_and_ours_win():
    asked = ask(chat_template_kwargs={"style": "short", "enable_thinking": True})
    sent = body(asked, template={"enable_thinking": False})
    assert sent["chat_template_kwargs"] == {"style": "short", "enable_thinking": False}
