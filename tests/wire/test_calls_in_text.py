"""Calls that a server left in the text, in the forms in which models write them."""

from __future__ import annotations

from typing import Any

import pytest

from roci import ToolDefinition
from roci.wire.tools.calls_in_text import calls_in

WEATHER = ToolDefinition(
    name="weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
)
TOOLS = [WEATHER, ToolDefinition(name="now")]
BERN = ("weather", {"city": "Bern"})


@pytest.mark.parametrize(
    ("text", "form", "calls"),
    [
        (
            '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>\n<tool_call>{"name": "now"}',
            "hermes",
            [BERN, ("now", {})],
        ),
        (
            '[TOOL_REQUEST]{"name": "weather", "arguments": {"city": "Bern"}}[END_TOOL_REQUEST]',
            "lm_studio",
            [BERN],
        ),
        (
            "<tool_call>\n<function=weather>\n<parameter=city>\n12\nx\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
            "</function>\n</tool_call>",
            "qwen_coder",
            [("weather", {"city": "12\nx", "days": 3})],
        ),
        ("<function=weather><parameter=city>Bern</parameter></function></tool_call>", "qwen_coder", [BERN]),
        ('[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Bern"}}]', "mistral", [BERN]),
        ('[TOOL_CALLS]weather[ARGS]{"city": "Bern"}[TOOL_CALLS]now[ARGS]{}', "mistral", [BERN, ("now", {})]),
        ('<|python_tag|>{"name": "weather", "parameters": {"city": "Bern"}}<|eom_id|>', "llama", [BERN]),
        (
            '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Bern"}<|call|>',
            "harmony",
            [BERN],
        ),
        (
            "<|channel|>analysis<|message|>I need it.<|end|><|start|>assistant<|channel|>commentary "
            'to=functions.weather <|constrain|>json<|message|>{"city": "Bern"}<|call|>',
            "harmony",
            [BERN],
        ),
        ("<|start|>assistant to=functions.now<|channel|>commentary json<|message|>{}", "harmony", [("now", {})]),
        ('commentary to=functions.weather json{"city": "Bern"}', "harmony", [BERN]),
        ('{"name": "weather", "parameters": {"city": "Bern"}}', "json", [BERN]),
        ('```json\n{"name": "weather", "arguments": "{\\"city\\": \\"Bern\\"}"}\n```', "json", [BERN]),
        ('[{"type": "function", "function": {"name": "weather", "arguments": {"city": "Bern"}}}]', "json", [BERN]),
    ],
)
def test_a_text_that_is_calls_is_read(text: str, form: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    found = calls_in(text, TOOLS)

    assert (found.form, [(call.name, call.arguments) for call in found.calls]) == (form, calls)
    assert len({call.id for call in found.calls}) == len(calls)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello.",
        "To call a tool, write <tool_call>.",
        '{"name": "Bob", "age": 3}',
        '{"city": "Bern"}',
        "[]",
        "[1, 2]",
    ]
    + ['{"name": "weather", "age": 3}', "{not json", "```python\nprint()\n```", "<b>bold</b>"],
)
def test_other_text_is_left_alone(text: str) -> None:
    found = calls_in(text, TOOLS)

    assert (found.calls, found.fault) == ((), "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<tool_call>{"name": "rain"}</tool_call>', "names 'rain', which is none of the tools"),
        ('<tool_call>{"name":</tool_call>', "is not valid JSON"),
        ('<tool_call>{"name": "now"}</tool_call> Wait for it.', "has text between its calls"),
        ('<tool_call>{"arguments": {}}</tool_call>', "has no name"),
        ('<tool_call>["now"]</tool_call>', "is no JSON object"),
        ('<tool_call>{"name": "now", "arguments": [1]}</tool_call>', "has arguments that are no JSON object"),
        ('<|channel|>commentary to=functions.now <|message|>{"a": ', "is not valid JSON"),
        ("<function=weather>Bern</function>", "has text between its arguments"),
        ("[TOOL_CALLS]now[ARGS]{", "is not valid JSON"),
    ],
)
def test_a_call_that_cannot_be_read_says_why(text: str, fault: str) -> None:
    found = calls_in(text, TOOLS)

    assert found.calls == ()
    assert found.fault.startswith(fault)
