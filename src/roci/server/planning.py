"""How one request is put to one loaded model: what the worker is asked, and how its events are read. Pure."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from roci.engine.worker_options import WorkerReady
from roci.server.target import Target
from roci.wire.ask import Ask
from roci.wire.generation import Event, Finish, Note, TextDelta
from roci.wire.images import DATA_PREFIX, NOT_FETCHED, chat_images
from roci.wire.llama_cpp.body import worker_body
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatRequest
from roci.wire.reasoning import plan_reasoning
from roci.wire.schema.plan import SchemaPlan, plan_schema, thinking_budget
from roci.wire.stop_texts import StopTexts
from roci.wire.tools.plan import plan_tools
from roci.wire.tools.readers import EventReader

_BUDGET: Final = "thinking_budget_tokens"


class Plan(Struct, kw_only=True):
    body: bytes
    """What the worker's chat route is sent."""
    reader: AnswerReader


def plan(ask: Ask, target: Target, ready: WorkerReady, worker_name: str, first_call_index: int = 0) -> Plan:
    """Decides on tools, schema, reasoning and stop texts.

    Raises:
        BadRequestError: this model cannot do what is asked; names the field.
    """
    chat = ask.chat
    _check_abilities(chat, target, ready)
    schema = plan_schema(chat)
    tools = plan_tools(schema.chat, supports_tools=ready.supports_tools)
    chat = tools.chat
    abilities = target.model.abilities
    options = abilities.reasoning_options
    reasoning = plan_reasoning(
        ask.reasoning,
        options,
        default=abilities.reasoning_default,
        switch=abilities.reasoning_switch,
        is_strict=ask.reasoning_is_strict,
    )
    fields: dict[str, Any] = dict(reasoning.fields)
    may_think = bool(options) and ask.reasoning != "off"
    if may_think:
        has_grammar = chat.response_format is not None and chat.response_format.type != "text"
        limit = chat.max_completion_tokens if chat.max_completion_tokens is not None else chat.max_tokens
        budget = thinking_budget(limit, ask.thinking_budget_tokens, has_grammar=has_grammar)
        if budget is not None:
            fields[_BUDGET] = budget
    stops = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    watches_stops = ask.tells_stop_sequence and bool(stops)
    if watches_stops:
        chat = replace(chat, stop=None)
        fields["timings_per_token"] = True
    body = worker_body(
        chat,
        worker_name,
        defaults=target.sampling,
        forwarded=ask.forwarded,
        fields=fields,
        template=reasoning.template,
    )
    reader = AnswerReader(tools.reader(first_call_index), schema, stops if watches_stops else [], reasoning.ignored)
    return Plan(body=body, reader=reader)


class AnswerReader:
    """What the worker's events mean, given how it was asked: tool calls, stop texts, whether the schema held."""

    def __init__(self, tools: EventReader, schema: SchemaPlan, stops: list[str], ignored_reasoning: str) -> None:
        self._tools = tools
        self._schema = schema
        self._stops = StopTexts(stops) if stops else None
        self._texts: dict[int, list[str]] = {}
        self._ignored_reasoning = ignored_reasoning

    @property
    def is_stopped(self) -> bool:
        """A stop text was met: nothing more of the worker's stream counts."""
        return self._stops is not None and self._stops.found is not None

    def read(self, events: list[Event]) -> list[Event]:
        if self._stops is not None:
            events = [stopped for event in events for stopped in self._stops.feed(event)]
        read: list[Event] = []
        for event in events:
            for told in self._tools.feed(event):
                if self._schema.checks or isinstance(told, Finish):
                    self._look(told, read)
                read.append(told)
        return read

    def rest(self) -> list[Event]:
        """What was held back of an answer that broke off."""
        return self._tools.close()

    def _look(self, event: Event, read: list[Event]) -> None:
        """Keeps what the schema is to be held against, and puts before a `Finish` what is to be said of the answer."""
        if isinstance(event, TextDelta):
            self._texts.setdefault(event.choice, []).append(event.text)
        elif isinstance(event, Finish):
            if self._ignored_reasoning:
                read.append(Note("reasoning_ignored", self._ignored_reasoning, event.choice))
            if self._schema.checks and event.reason != "tool_calls":
                note = self._schema.check("".join(self._texts.get(event.choice, [])))
                if note is not None:
                    read.append(replace(note, choice=event.choice))


def _check_abilities(chat: ChatRequest, target: Target, ready: WorkerReady) -> None:
    """Refuses what this model cannot do and the engine would take for a fault of its own."""
    key = target.model.key
    if ready.is_embedding:
        raise invalid(f"{key} is loaded to make vectors; it cannot chat.", "model", code="not_a_chat_model")
    if (chat.has_images or chat.has_audio) and not ready.supports_vision:
        kind = "images" if chat.has_images else "audio"
        raise invalid(f"{key} takes text only, no {kind}.", "messages", code=f"{kind}_not_supported")
    for image in chat_images(chat.messages):
        if not image.text.startswith(DATA_PREFIX):
            # The engine would fetch it.
            raise invalid(f"{image.path} is no image that was looked at before.", image.path, hint=NOT_FETCHED)
    if chat.answers > ready.parallel:
        raise invalid(f"n is {chat.n}; {key} makes {ready.parallel} answers at once at most.", "n")
