"""One call written as `{"name": …, "arguments": {…}}` -> tool call events, while it is written."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Final, Literal

from roci.wire.generation import Event, ToolCallDelta, ToolCallEnd, ToolCallStart
from roci.wire.tools.json_scan import Key, Member, MemberReader, Piece, State, string_of

_LETTERS: Final = string.ascii_letters + string.digits
_ARGUMENTS: Final = ("arguments", "parameters")
"""The key that is asked for, and the one that models write instead."""


def new_call_id() -> str:
    """`call_` and 24 letters and digits."""
    return "call_" + "".join(secrets.choice(_LETTERS) for _ in range(24))


class CallReader:
    """Reads one call. It is begun as soon as its name is known and its arguments have begun to be an object."""

    def __init__(self, names: Mapping[str, str], index: int, choice: int) -> None:
        """`names`: what the model calls a tool -> what the client calls it."""
        self.fault = ""
        """Why it is no call, as the end of a sentence; empty while it may be one."""
        self.is_started = False
        self.is_ended = False
        """The call is whole, whatever becomes of the object around it."""
        self._names = names
        self._index = index
        self._choice = choice
        self._members = MemberReader()
        self._key: Literal["name", "arguments", "other"] = "other"
        self._name_text = ""
        self._name: str | None = None
        self._arguments = ""
        self._arguments_are_whole = False

    @property
    def state(self) -> State:
        """Of the object; `broken` too where it is one, but no call."""
        return "broken" if self.fault else self._members.state

    def take(self, text: str, at: int) -> tuple[int, list[Event]]:
        """Reads `text` from `at` to the object's end, or to where it is no call; gives where it stopped."""
        end, members = self._members.take(text, at)
        events: list[Event] = []
        for member in members:
            self._take_member(member, events)
            if self.fault:
                return end, events
        if self._members.state == "broken":
            self.fault = "is not valid JSON"
        elif self._members.state == "whole" and not self.is_ended:
            self._end_object(events)
        return end, events

    def _take_member(self, member: Member, events: list[Event]) -> None:
        if isinstance(member, Key):
            self._begin_member(member.name)
        elif isinstance(member, Piece):
            if self._key == "name":
                self._name_text += member.text
            elif self._key == "arguments":
                self._take_arguments(member.text, events)
        elif self._key == "name":
            self._end_name(events)
        elif self._key == "arguments":
            self._end_arguments(events)

    def _begin_member(self, name: str) -> None:
        self._key = "name" if name == "name" else "arguments" if name in _ARGUMENTS else "other"
        if (self._key == "name" and self._name_text) or (self._key == "arguments" and self._arguments):
            self.fault = f"has {name!r} twice"

    def _end_name(self, events: list[Event]) -> None:
        written = string_of(self._name_text)
        if written is None:
            self.fault = "has a name that is no text"
            return
        self._name = self._names.get(written)
        if self._name is None:
            self.fault = f"names {written!r}, which is none of the tools"
        elif self._arguments_are_whole:
            self._whole(events)

    def _take_arguments(self, text: str, events: list[Event]) -> None:
        self._arguments += text
        if self._arguments[0] == "{" and self._name is not None:
            self._start(events)
            events.append(ToolCallDelta(self._index, text, self._choice))

    def _end_arguments(self, events: list[Event]) -> None:
        if self.is_started:
            self._end(events)
            return
        self._arguments_are_whole = True
        if self._name is not None:
            self._whole(events)

    def _end_object(self, events: list[Event]) -> None:
        if self._name is None:
            self.fault = "has no name"
        else:
            self._whole(events)

    def _whole(self, events: list[Event]) -> None:
        """The name is known and all of the arguments, which may have come as text that holds JSON, or not at all."""
        arguments = _object_text(self._arguments)
        if arguments is None:
            self.fault = "has arguments that are no JSON object"
            return
        self._start(events)
        events.append(ToolCallDelta(self._index, arguments, self._choice))
        self._end(events)

    def _start(self, events: list[Event]) -> None:
        if not self.is_started and self._name is not None:
            self.is_started = True
            events.append(ToolCallStart(self._index, new_call_id(), self._name, self._choice))

    def _end(self, events: list[Event]) -> None:
        self.is_ended = True
        events.append(ToolCallEnd(self._index, self._choice))


def _object_text(text: str) -> str | None:
    """The arguments' JSON object; None where they are another thing."""
    if text.startswith('"'):
        text = (string_of(text) or "").strip()
        members = MemberReader()
        end, _ = members.take(text, 0)
        is_object = members.state == "whole" and end == len(text)
        return text if is_object else None if text else "{}"
    if text in ("", "null"):
        return "{}"
    return text if text.startswith("{") else None
