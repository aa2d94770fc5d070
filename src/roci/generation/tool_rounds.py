"""Ask the model, run the tools that it calls, ask again: what is to be done next, as values. No I/O.

Four shells do it: plain in `text.py`, streamed in `round_streams.py`, sync and async each.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from time import monotonic
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from roci.errors import OutputError, RociError, SchemaMismatchError, ToolRoundsExceededError, UsageError
from roci.generation.round_answers import (
    arguments_fault,
    history_message,
    missing_call,
    with_calls_of_text,
    with_own_ids,
)
from roci.generation.round_results import receipt_of, result_of
from roci.generation.tool_results import ToolOutcome, ToolRun, refused
from roci.types.messages import ModelMessage
from roci.types.requests import ProviderRequest
from roci.types.results import GenerateTextResult, GenerationStep, GenerationWarning, ProviderResponse
from roci.types.stream import TextStreamDelta, ToolCallDelta
from roci.types.tool_function import Tool
from roci.types.tool_review import Decision
from roci.types.tools import ToolCall, ToolDefinition, tool_choice

_CALLS_LIMIT: Final = 128
"""Calls of one round that are run; a model that makes more is in a loop."""
_NAMES_TOLD: Final = 50


class Ask(msgspec.Struct, frozen=True):
    """Ask the model; the answer is a `ProviderResponse`."""

    request: ProviderRequest


class Review(msgspec.Struct, frozen=True):
    """Ask `on_tool_call`; the answer is its `Decision`."""

    call: ToolCall


class Run(msgspec.Struct, frozen=True):
    """Run these; the answer is a list with a `ToolOutcome` for each."""

    runs: tuple[ToolRun, ...]


class Tell(msgspec.Struct, frozen=True):
    """Show this to the reader of a stream; the answer is None."""

    delta: TextStreamDelta


Todo: TypeAlias = Ask | Review | Run | Tell
Rounds: TypeAlias = Generator[Todo, Any, Any]


class ToolRounds:
    """The rounds of one call. `start()` and `send(answer)` say what to do next; None: `result` is there.

    Args:
        request: its tools that are `Tool`s are run; calls of the others are handed back, and end the rounds.
        max_steps: answers of the model, at most.
        executes: False hands all calls back.
        has_reviewer: there is an `on_tool_call`.

    Raises:
        UsageError: `max_steps` is below 1.
    """

    def __init__(self, request: ProviderRequest, *, max_steps: int, executes: bool, has_reviewer: bool) -> None:
        if isinstance(max_steps, bool) or max_steps < 1:
            raise UsageError(f"max_steps is {max_steps!r}; it takes a number from 1.", field="max_steps")
        self.result: GenerateTextResult | None = None
        self._request = request
        self._tools: dict[str, ToolDefinition] = {tool.name: tool for tool in request.tools or ()}
        settings = request.settings
        self._choice = None if settings.tool_choice is None else tool_choice(settings.tool_choice)
        self._max_steps = max_steps
        self._executes = executes
        self._has_reviewer = has_reviewer
        self._messages = list(request.messages)
        self._steps: list[GenerationStep] = []
        self._warnings: list[GenerationWarning] = []
        self._ids: set[str] = set()
        self._failure: OutputError | None = None
        """What was raised here, which has all that is known already."""
        self._started = monotonic()
        self._todo: Rounds = self._rounds()

    def start(self) -> Todo | None:
        self._started = monotonic()
        return self.send(None)

    def send(self, answer: Any) -> Todo | None:
        """What to do next, after `answer` to what there was to do.

        Raises:
            ToolCallMissingError, ToolRoundsExceededError: `.partial` has all so far.
        """
        try:
            return self._todo.send(answer)
        except StopIteration:
            return None

    def note_failure(self, failure: RociError) -> None:
        """Give `failure`, which ended a later round, what the rounds before it gave and cost."""
        if not self._steps or failure is self._failure:
            return
        broken = failure.partial if isinstance(failure.partial, GenerateTextResult) else None
        failure.receipt = receipt_of([*(step.response.receipt for step in self._steps), failure.receipt])
        failure.partial = self._result(failure, broken=broken)

    def _rounds(self) -> Rounds:
        is_over = False
        while not is_over:
            answer: ProviderResponse = yield Ask(self._next_request())
            response = self._readable(answer)
            is_text_the_calls = bool(response.tool_calls) and not answer.tool_calls
            if is_text_the_calls:
                yield Tell(TextStreamDelta(tool_calls=_pieces(response.tool_calls)))
            self._messages += history_message(response, is_text_the_calls=is_text_the_calls)
            mine, left = self._divided(response.tool_calls)
            self._failure = self._fault(response, mine, left)
            if self._failure is not None:
                self._steps.append(GenerationStep(response=response))
                self._failure.partial = self._result(self._failure, left=response.tool_calls)
                self._failure.receipt = self._failure.partial.receipt
                raise self._failure
            started = monotonic()
            outcomes: list[ToolOutcome] = (yield from self._outcomes(mine)) if mine else []
            self._warnings += [outcome.warning for outcome in outcomes if outcome.warning]
            results = tuple(outcome.message for outcome in outcomes)
            self._messages += results
            time_s = monotonic() - started if mine else 0.0
            step = GenerationStep(response=response, tool_results=results, tools_time_s=time_s)
            self._steps.append(step)
            is_over = bool(left) or not mine
            if is_over:
                self.result = self._result(left=left)
            yield Tell(TextStreamDelta(step=step))

    def _next_request(self) -> ProviderRequest:
        """The conversation so far. A call that was required is, from the second round on, free again."""
        if not self._steps:
            return self._request
        settings = self._request.settings
        if self._choice is not None and self._choice.mode in ("required", "named"):
            settings = replace(settings, tool_choice=None)
        return replace(self._request, messages=tuple(self._messages), settings=settings)

    def _readable(self, answer: ProviderResponse) -> ProviderResponse:
        form = self._request.response_format or self._request.settings.response_format
        if (self._choice is None or self._choice.mode != "none") and (form is None or form.kind == "text"):
            answer = with_calls_of_text(answer, tuple(self._tools.values()))
        return with_own_ids(answer, self._ids)

    def _divided(self, calls: tuple[ToolCall, ...]) -> tuple[tuple[ToolCall, ...], tuple[ToolCall, ...]]:
        """(The calls that are answered here, those that are handed back)."""
        if not self._executes or not any(isinstance(tool, Tool) for tool in self._tools.values()):
            return (), calls
        left = tuple(call for call in calls if not self._is_answered_here(call))
        return tuple(call for call in calls if self._is_answered_here(call)), left

    def _is_answered_here(self, call: ToolCall) -> bool:
        """A name that is none of the tools is: the model is told so."""
        tool = self._tools.get(call.name)
        return tool is None or isinstance(tool, Tool)

    def _fault(
        self, response: ProviderResponse, mine: tuple[ToolCall, ...], left: tuple[ToolCall, ...]
    ) -> OutputError | None:
        missing = None if self._steps else missing_call(self._choice, response)
        if missing is not None or not mine or left or len(self._steps) + 1 < self._max_steps:
            return missing
        names = ", ".join(dict.fromkeys(call.name for call in mine))
        steps = (*self._steps, GenerationStep(response=response))
        return ToolRoundsExceededError(
            f"The model calls tools ({names}) once more in step {self._max_steps}, the last that max_steps allows.",
            rounds=len(steps),
            steps=steps,
            reply=response,
            hint="Raise max_steps, or go on from .partial.messages.",
        )

    def _outcomes(self, calls: tuple[ToolCall, ...]) -> Generator[Todo, Any, list[ToolOutcome]]:
        """What comes of each call. What needs no running is told at once."""
        outcomes: list[ToolOutcome | None] = []
        runs: list[ToolRun] = []
        for index, call in enumerate(calls):
            planned: ToolRun | ToolOutcome
            if index >= _CALLS_LIMIT:
                planned = refused(call, f"more than {_CALLS_LIMIT} calls at once")
            else:
                decision: Decision = (yield Review(call)) if self._has_reviewer else None
                planned = self._planned(call, decision)
            if isinstance(planned, ToolRun):
                runs.append(planned)
                outcomes.append(None)
            else:
                outcomes.append(planned)
                yield Tell(TextStreamDelta(tool_results=(planned.message,)))
        ran = iter((yield Run(tuple(runs))) if runs else ())
        return [outcome or next(ran) for outcome in outcomes]

    def _planned(self, call: ToolCall, decision: Decision) -> ToolRun | ToolOutcome:
        if decision is False:
            return refused(call, "the call was refused")
        if isinstance(decision, str):
            return refused(call, f"the call was refused: {decision}" if decision else "the call was refused")
        if isinstance(decision, ModelMessage):
            return ToolOutcome(replace(decision, role="tool", tool_call_id=call.id))
        if isinstance(decision, ToolCall):
            call = replace(decision, id=call.id)
        elif decision is not None and decision is not True:  # pyright: ignore[reportUnnecessaryComparison]
            raise UsageError(
                f"on_tool_call gave a {type(decision).__name__}.",
                field="on_tool_call",
                hint="It gives None or True to run the call, False or a text to refuse it, a ToolCall to run instead, "
                "or a ModelMessage.tool_result.",
            )
        tool: Any = self._tools.get(call.name)
        if not isinstance(tool, Tool):
            names = ", ".join([name for name, known in self._tools.items() if isinstance(known, Tool)][:_NAMES_TOLD])
            return refused(call, f"there is no tool {call.name!r}; the tools are {names}")
        try:
            return ToolRun(call, tool, tool.bind(call))  # pyright: ignore[reportUnknownArgumentType]
        except SchemaMismatchError as error:
            return refused(call, arguments_fault(call) or error.message)

    def _result(
        self,
        error: RociError | None = None,
        *,
        left: tuple[ToolCall, ...] = (),
        broken: GenerateTextResult | None = None,
    ) -> GenerateTextResult:
        """All so far; `broken` is what had come of a round that `error` ended."""
        steps, messages = self._steps, self._messages
        if broken is not None:
            steps, messages = [*steps, *broken.steps], broken.messages
        return result_of(
            steps,
            messages,
            left=left or (broken.tool_calls if broken else ()),
            warnings=self._warnings,
            total_time_s=monotonic() - self._started,
            error=error,
        )


def _pieces(calls: Sequence[ToolCall]) -> tuple[ToolCallDelta, ...]:
    return tuple(
        ToolCallDelta(index=index, id=call.id, name=call.name, arguments_json=call.arguments_json)
        for index, call in enumerate(calls)
    )
