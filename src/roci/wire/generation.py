"""What a model makes of a request, in no dialect's words: events as they come, and a transcript of them all.

The gateway reads a worker's stream into these events once; each dialect writes its own stream and its own plain reply
from them. Order: load events, then prompt progress, then for every choice its pieces and its `Finish`, then `Ended`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Raw, Struct

StopReason = Literal["stop", "length", "tool_calls"]


class LoadStarted(Struct, frozen=True, gc=False):
    """This request waits while its model is loaded."""


class LoadProgress(Struct, frozen=True, gc=False):
    ratio: float
    """From 0 to 1, never less than before."""


class LoadEnded(Struct, frozen=True, gc=False):
    load_time_s: float


class PromptProgress(Struct, frozen=True, gc=False):
    """How far the prompt is computed. The first says where it starts, the last has `processed == total`."""

    total_tokens: int
    cached_tokens: int
    """Tokens at the prompt's start that the model still knew; they are counted in `processed_tokens`."""
    processed_tokens: int

    @property
    def ratio(self) -> float:
        """From 0 to 1, of what had to be computed."""
        todo = self.total_tokens - self.cached_tokens
        return (self.processed_tokens - self.cached_tokens) / todo if todo > 0 else 1.0


class ReasoningDelta(Struct, frozen=True, gc=False):
    text: str
    choice: int = 0
    tokens: int = 1
    """How many tokens of the answer it stands for."""


class TextDelta(Struct, frozen=True):
    text: str
    choice: int = 0
    logprobs: tuple[Raw, ...] = ()
    """One JSON object for each token, as OpenAI's `logprobs.content` has them; empty where nobody asked."""


class ToolCallStart(Struct, frozen=True, gc=False):
    index: int
    """Counts a choice's calls from 0. Calls never overlap: one ends before the next starts."""
    id: str
    """`call_` and letters and digits; unique."""
    name: str
    """The tool's name as the client wrote it."""
    choice: int = 0


class ToolCallDelta(Struct, frozen=True, gc=False):
    index: int
    arguments: str
    """The next piece of the arguments' JSON text."""
    choice: int = 0


class ToolCallEnd(Struct, frozen=True, gc=False):
    """The call's arguments are whole: a JSON object. A call that is never ended cannot be made: the token limit cut it,
    or what began as its arguments was no JSON, and its text follows."""

    index: int
    choice: int = 0


class ToolResult(Struct, frozen=True):
    """The server itself ran the call `index` of choice 0 (MCP); the model goes on after it."""

    index: int
    output: str
    """JSON text of the content parts that the tool gave."""
    is_error: bool = False
    """The tool could not be called: unknown, or its arguments do not fit; `output` says why."""
    has_failed: bool = False
    """The tool was called, and says that it failed."""


class Note(Struct, frozen=True, gc=False):
    """Something about this answer that the client should know and its dialect has no word for."""

    code: str
    """`tool_parse_error` and the like."""
    message: str
    choice: int = 0


class Finish(Struct, frozen=True, gc=False):
    """A choice is over."""

    reason: StopReason
    choice: int = 0
    stop_sequence: str | None = None
    """The stop text that ended it, where the request asked to be told."""


class TokenUsage(Struct, frozen=True, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Reasoning tokens included; of all choices together."""
    cached_tokens: int = 0
    """Of `prompt_tokens`."""
    reasoning_tokens: int = 0
    """Of `completion_tokens`; counted by the pieces that came, which differs where one piece held two tokens."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Timing(Struct, frozen=True, gc=False):
    time_to_first_token_s: float = 0.0
    """From the place in the model (not from the queue or the load) to the first piece of the answer."""
    generation_time_s: float = 0.0
    """From the first piece of the answer to the last."""
    tokens_per_second: float = 0.0
    load_time_s: float | None = None
    """None where the model was loaded already."""
    context_length: int | None = None
    """Tokens that one request has on the model as it is loaded; None where that is not known."""
    draft_tokens: int = 0
    """Tokens that speculation proposed; 0 where there is none."""
    draft_tokens_accepted: int = 0
    engine: Raw | None = None
    """llama.cpp's own `timings` object."""


class Ended(Struct, frozen=True):
    """The last event of a generation that came to its end."""

    usage: TokenUsage
    timing: Timing


LoadEvent: TypeAlias = LoadStarted | LoadProgress | LoadEnded
Event: TypeAlias = (
    LoadStarted
    | LoadProgress
    | LoadEnded
    | PromptProgress
    | ReasoningDelta
    | TextDelta
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
    | ToolResult
    | Note
    | Finish
    | Ended
)


class Call(Struct):
    """A tool call while it is put together."""

    id: str
    name: str
    arguments: str = ""
    is_whole: bool = False
    """False for a call that the token limit cut: it cannot be made."""
    output: str | None = None
    """What the tool gave, where the server ran it."""
    is_error: bool = False
    has_failed: bool = False


class Part(Struct):
    """A stretch of one kind of an answer, in the order in which the model wrote them."""

    kind: Literal["reasoning", "text", "call"]
    text: str = ""
    call: Call | None = None
    logprobs: list[Raw] = []
    round: int = 0
    """How many times the model had finished before, where the server ran its tools and asked it again."""


class ChoiceTranscript(Struct):
    """All of one choice."""

    parts: list[Part] = []
    finish: Finish | None = None
    notes: list[Note] = []
    finished_rounds: int = 0

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if part.kind == "text")

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if part.kind == "reasoning")

    @property
    def calls(self) -> list[Call]:
        """Every call, cut ones included, in order."""
        return [part.call for part in self.parts if part.call is not None]

    @property
    def logprobs(self) -> list[Raw]:
        return [entry for part in self.parts for entry in part.logprobs]

    def add(self, part: Part) -> None:
        part.round = self.finished_rounds
        self.parts.append(part)

    def open_part(self, kind: Literal["reasoning", "text"]) -> Part:
        """The part that a piece of this kind belongs to."""
        if not self.parts or self.parts[-1].kind != kind:
            self.add(Part(kind))
        return self.parts[-1]


class Transcript:
    """Takes a generation's events; what has come of it so far, or the whole once `ended` is there."""

    def __init__(self) -> None:
        self.choices: dict[int, ChoiceTranscript] = {}
        self.ended: Ended | None = None
        self.load_time_s: float | None = None

    def choice(self, index: int = 0) -> ChoiceTranscript:
        found = self.choices.get(index)
        if found is None:
            found = self.choices[index] = ChoiceTranscript()
        return found

    def add(self, event: Event) -> None:
        match event:
            case TextDelta(text, index, logprobs):
                part = self.choice(index).open_part("text")
                part.text += text
                part.logprobs.extend(logprobs)
            case ReasoningDelta(text, index):
                self.choice(index).open_part("reasoning").text += text
            case ToolCallStart(_, identifier, name, index):
                self.choice(index).add(Part("call", call=Call(identifier, name)))
            case ToolCallDelta(position, arguments, index):
                self.choice(index).calls[position].arguments += arguments
            case ToolCallEnd(position, index):
                self.choice(index).calls[position].is_whole = True
            case ToolResult(position, output, is_error, has_failed):
                call = self.choice().calls[position]
                call.output, call.is_error, call.has_failed = output, is_error, has_failed
            case Note(_, _, index):
                self.choice(index).notes.append(event)
            case Finish(_, index):
                choice = self.choice(index)
                choice.finish = event
                choice.finished_rounds += 1
            case LoadEnded(load_time_s):
                self.load_time_s = load_time_s
            case Ended():
                self.ended = event
            case _:
                pass

    def as_json(self) -> dict[str, Any]:
        """For an error that tells what had arrived: text, reasoning and calls of the first choice."""
        choice = self.choice()
        calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in choice.calls]
        return {"text": choice.text, "reasoning": choice.reasoning, "tool_calls": calls}
