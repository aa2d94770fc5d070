"""What a chat template says of its model. The templates have the shapes that model families use."""

from __future__ import annotations

import pytest

from roci.engine.template_abilities import TemplateAbilities, template_abilities

PLAIN = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HERMES = (
    "{%- if tools %}\n{{- 'You may call:\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{%- endif %}"
    "{%- for message in messages %}{{- message.role + message.content }}{%- endfor %}"
)
START = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"


def test_no_template_means_nothing_is_known():
    assert template_abilities(None) == template_abilities("") == TemplateAbilities()


def test_a_plain_template_takes_system_messages_and_nothing_else():
    assert template_abilities(PLAIN) == TemplateAbilities(system=True)


@pytest.mark.parametrize(
    "template",
    [
        HERMES,
        "{%- set shown = tools | tojson %}{{ shown }}",
        "{{ bos }}{%- if tools is not none %}{{ '[TOOLS]' ~ tools | tojson }}{% endif %}",
        "{% macro show(all) %}{% endmacro %}{{ show(tools) }}",
    ],
)
def test_a_template_that_shows_tools_is_trained_for_them(template: str):
    assert template_abilities(template).tools


@pytest.mark.parametrize(
    "template",
    [
        PLAIN,
        "{# for tool in tools #}{{ messages[0].content }}",
        "{{ 'in tools we trust: {{ tools }}' }}",
        "{% if not tools is defined %}{% set tools = none %}{% endif %}{{ messages[0].content }}",
        "{% for call in message.tools %}{{ call }}{% endfor %}",
        "{% if tools %}{{ raise_exception('no tools here') }}{% endif %}",
    ],
)
def test_a_template_that_only_names_tools_is_not(template: str):
    assert not template_abilities(template).tools


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}", False),
        ("{% if messages[0]['role'] == 'system' %}{{ messages[0].content }}{% endif %}", True),
        ("{% if m['role'] == 'user' %}{{ '[INST]' + m['content'] }}{% else %}{{ m['content'] }}{% endif %}", False),
        ("{% if m.role in ['system', 'developer'] %}<<SYS>>{{ m.content }}{% endif %}", True),
    ],
)
def test_system_messages_are_taken_where_they_are_printed(template: str, expected: bool):
    assert template_abilities(template).system is expected


@pytest.mark.parametrize(
    ("switching", "default"),
    [
        # Qwen 3: thinks unless told not to.
        (
            "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think></think>' }}{%- endif %}",
            "on",
        ),
        ("{%- if enable_thinking is defined and not enable_thinking %}{{- '<think></think>' }}{%- endif %}", "on"),
        ("{%- if enable_thinking is not defined %}{%- set enable_thinking = true %}{%- endif %}", "on"),
        ("{%- set enable_thinking = enable_thinking | default(true) %}", "on"),
        ("{%- set enable_thinking = enable_thinking if enable_thinking is defined else True %}", "on"),
        ("{%- if enable_thinking is not defined or enable_thinking %}{{- '<think>' }}{%- endif %}", "on"),
        # Thinks only when told to.
        ("{%- if enable_thinking is defined and enable_thinking %}{{- '<think>' }}{%- endif %}", "off"),
        ("{%- if enable_thinking is defined and enable_thinking is true %}{{- '<think>' }}{%- endif %}", "off"),
        ("{%- set enable_thinking = enable_thinking | default(false) -%}", "off"),
        ("{%- if enable_thinking %}{{- '<think>' }}{%- endif %}", "off"),
    ],
)
def test_a_switch_gives_off_and_on_and_its_own_default(switching: str, default: str):
    found = template_abilities(PLAIN + START + switching + "{%- endif %}")

    assert (found.reasoning_options, found.reasoning_default) == (("off", "on"), default)
    assert (found.reasoning_switch, found.has_effort) == ("enable_thinking", False)


def test_the_other_name_of_the_switch_is_known_too():
    asked = "{% if not thinking is defined %}{% set thinking = false %}{% endif %}{% if thinking %}<think>{% endif %}"
    found = template_abilities(PLAIN + asked)

    assert (found.reasoning_switch, found.reasoning_options, found.reasoning_default) == (
        "thinking",
        ("off", "on"),
        "off",
    )


@pytest.mark.parametrize(
    "template",
    [
        PLAIN + "{% if message.thinking %}{{ message.thinking }}{% endif %}",
        PLAIN + "{% set thinking = message.content.split('</think>')[0] %}{{ thinking }}",
        PLAIN + "{% if '</think>' in message.content %}{{ message.content.split('</think>')[-1] }}{% endif %}",
    ],
)
def test_thoughts_of_earlier_turns_are_no_switch(template: str):
    assert template_abilities(template).reasoning_options == ()


def test_efforts_are_low_medium_and_high_with_the_templates_default():
    asked = (
        "{%- if reasoning_effort is not defined %}{%- set reasoning_effort = 'high' %}{%- endif %}"
        "{{- 'Reasoning: ' + reasoning_effort }}"
    )
    found = template_abilities(asked + PLAIN)

    assert (found.reasoning_options, found.reasoning_default) == (("low", "medium", "high"), "high")
    assert (found.has_effort, found.reasoning_switch) == (True, None)


def test_efforts_that_a_template_lists_are_the_options():
    asked = "{%- if reasoning_effort not in ['none', 'high'] %}{{- raise_exception('x') }}{%- endif %}"
    start = "{%- set reasoning_effort = reasoning_effort | default('none') %}"

    assert template_abilities(start + asked).reasoning_options == ("off", "high")
    assert template_abilities(start + asked).reasoning_default == "off"


def test_a_switch_beside_efforts_adds_off_and_on():
    asked = "{% if enable_thinking is defined and enable_thinking %}{{ reasoning_effort }}{% endif %}"
    found = template_abilities(PLAIN + asked)

    assert (found.reasoning_options, found.reasoning_default) == (("off", "low", "medium", "high", "on"), "off")


def test_a_template_that_opens_the_thought_itself_always_thinks():
    assert template_abilities(PLAIN + START + "{{- '<think>\\n' }}{% endif %}").reasoning_options == ("on",)
    closed = template_abilities(PLAIN + START + "{{- '<think>\\n\\n</think>\\n' }}{% endif %}")
    assert (closed.reasoning_options, closed.reasoning_default) == ((), None)


def test_a_template_without_an_end_is_judged_by_what_comes_before():
    assert template_abilities(HERMES + "{{ 'open").tools
    assert template_abilities(HERMES + "{# open").tools


@pytest.mark.parametrize(
    "piece", ["{{ '", "{%", "{# ", "'", "{{ '' '' ", "enable_thinking is not defined ", "{% if 'system' %}"]
)
def test_no_text_makes_the_judgement_slow(piece: str):
    template = "{{ enable_thinking }}{% " + piece * 60_000

    assert isinstance(template_abilities(template), TemplateAbilities)
