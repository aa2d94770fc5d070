"""A finished answer as the chat messages that the next turn is asked with."""

from __future__ import annotations

from roci.wire.generation import Call, ChoiceTranscript
from roci.wire.openai.requests import AssistantToolCall, CalledFunction, ChatMessage
from roci.wire.tool_output import output_text


def answer_messages(answer: ChoiceTranscript) -> list[ChatMessage]:
    """One assistant message for each round, behind it the results of the tools that the server ran.

    A call that the token limit cut is left out: nobody can answer it.
    """
    messages: list[ChatMessage] = []
    round_ = _Round(0)
    for part in answer.parts:
        if part.round != round_.number:
            messages += round_.messages()
            round_ = _Round(part.round)
        if part.kind == "reasoning":
            round_.reasoning += part.text
        elif part.kind == "text":
            round_.text += part.text
        elif part.call is not None and part.call.is_whole:
            round_.calls.append(part.call)
    return [*messages, *round_.messages()]


class _Round:
    """What the model wrote in one go."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reasoning = ""
        self.text = ""
        self.calls: list[Call] = []

    def messages(self) -> list[ChatMessage]:
        if not (self.reasoning or self.text or self.calls):
            return []
        calls = [
            AssistantToolCall(CalledFunction(call.name, call.arguments or "{}"), id=call.id, type="function")
            for call in self.calls
        ]
        said = ChatMessage(
            role="assistant",
            content=self.text if self.text or not calls else None,
            tool_calls=calls or None,
            reasoning_content=self.reasoning or None,
        )
        results = [
            ChatMessage(role="tool", content=output_text(call.output), tool_call_id=call.id)
            for call in self.calls
            if call.output is not None
        ]
        return [said, *results]
