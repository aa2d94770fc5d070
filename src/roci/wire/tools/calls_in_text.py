"""An answer that is nothing but tool calls in a model's own markup, which its server did not read: text -> calls.

The SDK's side; the server reads what models write as it comes (`text_readers.py`). Only a text that is calls from its
first letter to its last is taken for them: one that speaks of calls stays text.

Source: the chat templates of Qwen 2.5 and 3 (Hermes' form), Qwen3-Coder, Mistral, Llama 3, gpt-oss (Harmony's
channels), and LM Studio's default tool format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import msgspec

from roci.types.tools import ToolCall, ToolDefinition
from roci.wire.tools.call_reader import new_call_id

_LIMIT: Final = 1_000_000
_ARGUMENTS: Final = ("arguments", "parameters", "args")
_BESIDE: Final = frozenset(("name", "id", "type", *_ARGUMENTS))
_HARMONY: Final = re.compile(
    r"\s*(?:<\|start\|>)?(?:assistant)?\s*(?:to=functions\.(?P<before>[\w.-]+))?\s*"
    r"(?:(?:<\|channel\|>)?\s*(?P<channel>analysis|commentary|final))?\s*(?:to=functions\.(?P<behind>[\w.-]+))?\s*"
    r"(?:<\|constrain\|>)?\s*(?:json|code)?\s*(?P<mark><\|message\|>)?(?P<body>.*?)\s*(?:<\|(?:call|end|return)\|>|\Z)",
    re.DOTALL,
)
_FUNCTION: Final = re.compile(r"\s*<function=([^>\n]+)>(.*?)(?:</function>|\Z)\s*", re.DOTALL)
_PARAMETER: Final = re.compile(r"\s*<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>\s*", re.DOTALL)
_MISTRAL: Final = re.compile(r"\s*(?:\[TOOL_CALLS\])?\s*([\w.-]+)\s*(?:\[CALL_ID\][\w-]+)?(?:\[ARGS\])?\s*(?=\{)")


class NoCallError(Exception):
    """The text is no call; the message is the end of a sentence that says why."""


class FoundCalls(msgspec.Struct, frozen=True):
    """What a text in a calls' markup is."""

    calls: tuple[ToolCall, ...] = ()
    form: str = ""
    """`hermes`, `lm_studio`, `qwen_coder`, `mistral`, `llama`, `harmony` or `json`; empty for a text without calls."""
    fault: str = ""
    """Why it begins as a call and is none, as the end of a sentence."""


class _Reader:
    def __init__(self, tools: Sequence[ToolDefinition]) -> None:
        self._schemas = {tool.name: tool.parameters for tool in tools}

    def marked(self, text: str, begin: str, end: str) -> Iterator[ToolCall]:
        """Calls that each stand between two marks; the last one's end may be missing."""
        while text:
            if not text.startswith(begin):
                raise NoCallError("has text between its calls")
            inside, _, text = text[len(begin) :].partition(end)
            inside, text = inside.strip(), text.lstrip()
            yield from self.functions(inside) if inside.startswith("<function=") else self.objects(inside)

    def objects(self, text: str) -> Iterator[ToolCall]:
        """One JSON object that is a call, or a list of them."""
        value = _json(text)
        for each in cast("list[Any]", value) if isinstance(value, list) else [value]:
            yield self._call_of(each)

    def functions(self, text: str) -> Iterator[ToolCall]:
        at = 0
        while at < len(text):
            found = _FUNCTION.match(text, at)
            if found is None:
                raise NoCallError("has text between its calls")
            yield self._call(found[1].strip(), self._parameters(found[1].strip(), found[2]))
            at = found.end()

    def mistral(self, text: str) -> Iterator[ToolCall]:
        text = text.removeprefix("[TOOL_CALLS]").lstrip()
        if text.startswith(("[", "{")):
            yield from self.objects(text)
            return
        while text:
            found = _MISTRAL.match(text)
            if found is None:
                raise NoCallError("has no name")
            arguments, text = _object_at(text, found.end())
            yield self._call(found[1], arguments)

    def harmony(self, text: str) -> Iterator[ToolCall]:
        at = 0
        while at < len(text):
            found = _HARMONY.match(text, at)
            if found is None or found.end() == at:
                raise NoCallError("is in channels that cannot be read")
            name = found["behind"] or found["before"]
            if name:
                yield self._call(name, _json(found["body"].strip() or "{}"))
            elif found["channel"] != "analysis" or not found["mark"]:
                raise NoCallError("has text between its calls")
            at = found.end()

    def _call_of(self, value: Any) -> ToolCall:
        if not isinstance(value, dict):
            raise NoCallError("is no JSON object")
        call = cast("dict[str, Any]", value)
        inner = call.get("function")
        if isinstance(inner, dict) and call.keys() <= {"function", "id", "type"}:
            call = cast("dict[str, Any]", inner)
        if not isinstance(call.get("name"), str):
            raise NoCallError("has no name")
        if not call.keys() <= _BESIDE:
            raise NoCallError("has more than a name and arguments")
        given = next((key for key in _ARGUMENTS if key in call), None)
        return self._call(call["name"], call[given] if given else None)

    def _call(self, name: str, arguments: Any) -> ToolCall:
        if name not in self._schemas:
            raise NoCallError(f"names {name!r}, which is none of the tools")
        if isinstance(arguments, str):
            arguments = _json(arguments or "{}")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict):
            raise NoCallError("has arguments that are no JSON object")
        return ToolCall(id=new_call_id(), name=name, arguments_json=msgspec.json.encode(arguments).decode())

    def _parameters(self, name: str, text: str) -> dict[str, Any]:
        """Arguments that stand in tags, as text: what the schema wants as text stays it, all else is JSON."""
        properties: dict[str, Any] = self._schemas.get(name, {}).get("properties", {})
        arguments: dict[str, Any] = {}
        at, text = 0, text.strip()
        while at < len(text):
            found = _PARAMETER.match(text, at)
            if found is None:
                raise NoCallError("has text between its arguments")
            key = found[1].strip()
            is_text = properties.get(key, {}).get("type") == "string"
            arguments[key] = found[2] if is_text else _json_or_text(found[2])
            at = found.end()
        return arguments


def calls_in(text: str, tools: Sequence[ToolDefinition]) -> FoundCalls:
    """The calls of `tools` that `text` consists of."""
    text = text.strip()
    if not text or len(text) > _LIMIT:
        return FoundCalls()
    reader = _Reader(tools)
    forms: tuple[tuple[str, bool, Callable[[], Iterator[ToolCall]]], ...] = (
        ("harmony", _is_harmony(text), lambda: reader.harmony(text)),
        (
            "qwen_coder",
            text.startswith(("<function=", "<tool_call>")) and "<function=" in text[:200],
            lambda: _coder(reader, text),
        ),
        ("hermes", text.startswith("<tool_call>"), lambda: reader.marked(text, "<tool_call>", "</tool_call>")),
        (
            "lm_studio",
            text.startswith("[TOOL_REQUEST]"),
            lambda: reader.marked(text, "[TOOL_REQUEST]", "[END_TOOL_REQUEST]"),
        ),
        ("mistral", text.startswith("[TOOL_CALLS]"), lambda: reader.mistral(text)),
        (
            "llama",
            text.startswith("<|python_tag|>"),
            lambda: reader.objects(text.removeprefix("<|python_tag|>").removesuffix("<|eom_id|>")),
        ),
    )
    for form, is_it, read in forms:
        if is_it:
            try:
                return FoundCalls(tuple(read()), form)
            except NoCallError as fault:
                return FoundCalls(fault=str(fault))
    return _bare(reader, text)


def _bare(reader: _Reader, text: str) -> FoundCalls:
    """JSON without a mark around it: what does not look like a call is an answer, and no fault."""
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    if not text.startswith(("{", "[")):
        return FoundCalls()
    try:
        calls = tuple(reader.objects(text))
    except NoCallError:
        return FoundCalls()
    return FoundCalls(calls, "json") if calls else FoundCalls()


def _is_harmony(text: str) -> bool:
    head = text[:300]
    if "to=functions." not in text:
        return False
    return head.startswith(("<|channel|>", "<|start|>", "to=functions.", "commentary to=functions."))


def _coder(reader: _Reader, text: str) -> Iterator[ToolCall]:
    if text.startswith("<tool_call>"):
        return reader.marked(text, "<tool_call>", "</tool_call>")
    return reader.functions(text.removesuffix("</tool_call>").rstrip())


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NoCallError(f"is not valid JSON ({error})") from error


def _json_or_text(text: str) -> Any:
    try:
        return _json(text)
    except NoCallError:
        return text


def _object_at(text: str, at: int) -> tuple[Any, str]:
    """(The JSON object that begins at `at`, the text behind it)."""
    from json import JSONDecodeError, JSONDecoder  # msgspec reads whole texts alone

    try:
        value, end = JSONDecoder().raw_decode(text, at)
    except (JSONDecodeError, RecursionError) as error:
        raise NoCallError(f"is not valid JSON ({error})") from error
    return value, text[end:].lstrip()
