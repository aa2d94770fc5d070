"""The body of a chat completion -> what the engine path takes. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from roci.wire.ask import Ask
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatRequest, decode_chat_request, with_allowed_tools_only
from roci.wire.reasoning import reasoning_of

_TEMPLATE: Final = "chat_template_kwargs"
_SWITCHES: Final = ("reasoning", "thinking", "enable_thinking")
_BUDGETS: Final = ("thinking_budget_tokens", "reasoning_budget_tokens", "reasoning_budget", "thinking_budget")
# Slots are the gateway's to give; the rest are roci's and LM Studio's own, which the engine does not know.
_NOT_FORWARDED: Final = frozenset({*_SWITCHES, *_BUDGETS, "id_slot", "prompt", "input", "preset"})
_KNOWN: Final = frozenset(ChatRequest.__struct_fields__)

_raw_decoder: Final = msgspec.json.Decoder(dict[str, Raw])


def chat_ask(body: bytes) -> Ask:
    """The request in `body`, checked as far as it can be without the model. Unknown fields are for the engine.

    Raises:
        BadRequestError: `.param` is the path of the field at fault.
    """
    chat = with_allowed_tools_only(decode_chat_request(body))
    fields = _raw_decoder.decode(body)
    others = {name: raw for name, raw in fields.items() if name not in _KNOWN}
    reasoning = reasoning_of(chat.reasoning_effort, "reasoning_effort")
    template = _template(others)
    if template is not None:
        others[_TEMPLATE] = Raw(msgspec.json.encode(template))
        switch = template.get("enable_thinking")
        reasoning = reasoning or reasoning_of(switch, f"{_TEMPLATE}.enable_thinking")
    for name in _SWITCHES:
        if reasoning is None and name in others:
            reasoning = reasoning_of(_value(others[name], name), name)
    return Ask(
        chat=chat,
        forwarded={name: raw for name, raw in others.items() if name not in _NOT_FORWARDED},
        reasoning=reasoning,
        thinking_budget_tokens=_budget(others),
        size_bytes=len(body),
    )


def _template(others: dict[str, Raw]) -> dict[str, Any] | None:
    if _TEMPLATE not in others:
        return None
    value = _value(others.pop(_TEMPLATE), _TEMPLATE)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid(f"{_TEMPLATE} is not an object; it holds variables for the model's chat template.", _TEMPLATE)
    return value  # pyright: ignore[reportUnknownVariableType] - JSON: its keys are text


def _budget(others: dict[str, Raw]) -> int | None:
    for name in _BUDGETS:
        if name not in others:
            continue
        value = _value(others[name], name)
        if value is None or value == -1:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise invalid(f"{name} is {value!r}; it takes a number of tokens, -1 for no limit.", name)
        return max(value, 1)  # the engine's own 0 never leaves the thinking; 1 leaves no thought
    return None


def _value(raw: Raw, path: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(f"{path} cannot be used: {error}.", path) from error
