"""One round's answer as the rounds go on with it: calls that came as text, ids that repeat, a call that is missing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from roci.errors import SchemaMismatchError, ToolCallMissingError
from roci.types.messages import ModelMessage
from roci.types.results import FinishReason, GenerationWarning, ProviderResponse
from roci.types.tools import ToolCall, ToolChoice, ToolDefinition

_BEGINNINGS = ("<", "[", "{", "`")
_HARMONY = "to=functions."
_SHOWN_CHARS = 200


def with_calls_of_text(response: ProviderResponse, tools: Sequence[ToolDefinition]) -> ProviderResponse:
    """`response` with the calls that its text consists of, where its server left them in the text.

    `text` stays as the model wrote it; a warning and a note in the receipt say what was done. A text that begins as a
    call and cannot be read as one gets a warning too.
    """
    text = response.text.lstrip()
    if response.tool_calls or not (text.startswith(_BEGINNINGS) or _HARMONY in text[:300]):
        return response
    from roci.wire.tools.calls_in_text import calls_in  # few answers begin so

    found = calls_in(text, tools)
    if found.calls:
        note = f"The server left {len(found.calls)} tool call(s) in the text ({found.form}); they were read from there."
        return replace(
            response,
            tool_calls=found.calls,
            finish_reason=FinishReason.TOOL_CALLS,
            warnings=(*response.warnings, GenerationWarning("tool_call_recovered", note)),
            receipt=replace(response.receipt, notes=(*response.receipt.notes, note)),
        )
    if found.fault:
        note = f"The text begins as a tool call, but it {found.fault}; it was left as text."
        return replace(
            response,
            warnings=(*response.warnings, GenerationWarning("tool_parse_error", note)),
            receipt=replace(response.receipt, notes=(*response.receipt.notes, note)),
        )
    return response


def with_own_ids(response: ProviderResponse, taken: set[str]) -> ProviderResponse:
    """`response` with ids that no other call has; `taken` learns them. Results are told apart by nothing else."""
    calls: list[ToolCall] = []
    for call in response.tool_calls:
        call_id, number = call.id, 2
        while call_id in taken:
            call_id, number = f"{call.id}_{number}", number + 1
        taken.add(call_id)
        calls.append(call if call_id == call.id else replace(call, id=call_id))
    return replace(response, tool_calls=tuple(calls)) if tuple(calls) != response.tool_calls else response


def history_message(response: ProviderResponse, *, is_text_the_calls: bool) -> tuple[ModelMessage, ...]:
    """The answer as the conversation goes on behind it; nothing for an answer that is empty.

    Arguments that are no JSON object, such as those that the token limit cut, become `{}`: servers fail on them. The
    call's result shows the model what it wrote.
    """
    if not (response.text or response.tool_calls or response.reasoning):
        return ()
    calls = tuple(
        call if arguments_fault(call) is None else replace(call, arguments_json="{}") for call in response.tool_calls
    )
    text = "" if is_text_the_calls else response.text
    return (ModelMessage.assistant(text, tool_calls=calls, reasoning=response.reasoning),)


def arguments_fault(call: ToolCall) -> str | None:
    """Why the arguments are no JSON object, with what they are; None where they are one."""
    try:
        _ = call.arguments
    except SchemaMismatchError as error:
        return f"{error.message} They are: {call.arguments_json[:1000]}"
    return None


def missing_call(choice: ToolChoice | None, response: ProviderResponse) -> ToolCallMissingError | None:
    """What is wrong with an answer that `choice` wanted a call of; None where it has it."""
    if choice is None or choice.mode not in ("required", "named"):
        return None
    names = [call.name for call in response.tool_calls]
    if names and (choice.mode == "required" or choice.name in names):
        return None
    wanted = f"A call of {choice.name!r}" if choice.mode == "named" else "A tool call"
    shown = response.text.strip()[:_SHOWN_CHARS]
    if names:
        got = f"the model called {', '.join(map(repr, names))}"
    elif response.finish_reason is FinishReason.LENGTH:
        got = "the answer ran out of tokens before there was one"
    else:
        got = f"the model answered {shown!r}" if shown else "the answer is empty"
    return ToolCallMissingError(
        f"{wanted} was required, and {got}.",
        tool_choice=choice.name or choice.mode,
        text=response.text,
        reply=response,
        hint="Raise max_tokens."
        if response.finish_reason is FinishReason.LENGTH
        else "The server took tool_choice and does not enforce it for this model; `roci serve` does.",
    )
