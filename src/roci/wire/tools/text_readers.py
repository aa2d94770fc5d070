"""The ways in which a model writes its calls as text: LM Studio's default format, and the forced forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from roci.wire.generation import Event, Note, StopReason, TextDelta
from roci.wire.tools.call_reader import CallReader
from roci.wire.tools.json_scan import Key, MemberReader, Piece

CALL_BEGIN: Final = "[TOOL_REQUEST]"
CALL_END: Final = "[END_TOOL_REQUEST]"
ANSWER_KEY: Final = "answer"
CALL_KEY: Final = "tool_call"

CUT: Final = "tool_call_cut"
NO_CALL: Final = "tool_parse_error"

_FENCE: Final = "```"
_FAULTS_LIMIT: Final = 32
"""After so many calls that are none, the rest of an answer is text: each is read again from its beginning."""
_INFO_LIMIT: Final = 16
"""Letters of a code fence's language, at most."""


class DefaultFormatText:
    """Text with calls in it, `[TOOL_REQUEST]{…}[END_TOOL_REQUEST]`.

    Blanks alone around calls belong to the markup; all other text is passed on. A call may lack its end mark, and its
    object may stand in a code fence. What turns out to be no call is passed on as text, with a note.
    """

    def __init__(self, names: Mapping[str, str], choice: int) -> None:
        self._names = names
        self._choice = choice
        self._mode: Literal["text", "before", "call", "after"] = "text"
        self._held: str = ""
        """`text`: what may be the beginning of a mark. `after`: what has come since the call."""
        self._blank = ""
        """Blanks since the last call, or the beginning, while nothing else has come."""
        self._has_text = False
        """Something other than blanks has come since the last call, or the beginning."""
        self._raw = ""
        """`before` and `call`: all that has come since the mark."""
        self._call = CallReader(names, 0, choice)
        self._begun_calls = 0
        self._faults = 0

    def feed(self, text: str) -> list[Event]:
        events: list[Event] = []
        while text:
            text = self._step(text, events)
        return events

    def finish(self, reason: StopReason | None) -> list[Event]:
        events: list[Event] = []
        while self._mode in ("before", "call") and not self._call.is_ended:
            if self._call.is_started and reason != "stop":
                events += _cut_note(reason, self._choice)
                return events
            text = self._fail("is not whole", events)
            while text:
                text = self._step(text, events)
        if self._mode == "text":
            self._pass(self._held, events)
            if self._blank and not self._begun_calls:
                events.append(TextDelta(self._blank, self._choice))
        return events

    def _step(self, text: str, events: list[Event]) -> str:
        """Reads on; gives what of `text` is to be read next."""
        if self._mode == "text":
            return self._read_text(text, events)
        if self._mode == "before":
            return self._read_before(text, events)
        if self._mode == "call":
            return self._read_call(text, events)
        return self._read_after(text)

    def _read_text(self, text: str, events: list[Event]) -> str:
        text, self._held = self._held + text, ""
        if self._faults >= _FAULTS_LIMIT:
            self._pass(text, events)
            return ""
        before, mark, rest = text.partition(CALL_BEGIN)
        if mark:
            self._pass(before, events)
            self._mode, self._raw = "before", ""
            self._call = CallReader(self._names, self._begun_calls, self._choice)
            return rest
        certain = len(text) - _begun(text, CALL_BEGIN)
        self._held = text[certain:]
        self._pass(text[:certain], events)
        return ""

    def _read_before(self, text: str, events: list[Event]) -> str:
        at = text.find("{")
        self._raw += text if at < 0 else text[:at]
        if not _may_come_before(self._raw, is_whole=at >= 0):
            return self._fail("does not begin with a JSON object", events) + ("" if at < 0 else text[at:])
        if at < 0:
            return ""
        self._mode = "call"
        return text[at:]

    def _read_call(self, text: str, events: list[Event]) -> str:
        end, found = self._call.take(text, 0)
        events += found
        self._raw += text[:end]
        if self._call.is_ended and self._call.state != "open":
            self._begun_calls += 1
            self._mode, self._held = "after", ""
            self._blank, self._has_text = "", False
        elif self._call.state == "broken":
            return self._fail(self._call.fault, events) + text[end:]
        return text[end:]

    def _read_after(self, text: str) -> str:
        for at, letter in enumerate(text):
            rest = (self._held + letter).lstrip()
            if rest[:1] == "`" and _FENCE.startswith(rest[:3]):
                rest = rest[3:].lstrip()
            if rest == CALL_END:
                self._mode, self._held = "text", ""
                return text[at + 1 :]
            if not CALL_END.startswith(rest):
                held, self._held = self._held, ""
                self._mode = "text"
                return held + text[at:]
            self._held += letter
        return ""

    def _pass(self, text: str, events: list[Event]) -> None:
        if not self._has_text:
            text, self._blank = self._blank + text, ""
            if not text.strip():
                self._blank = text
                return
            self._has_text = True
        if text:
            events.append(TextDelta(text, self._choice))

    def _fail(self, fault: str, events: list[Event]) -> str:
        """It is no call: its mark is text, and what came after the mark, which is given, is to be read again."""
        self._faults += 1
        self._begun_calls += self._call.is_started
        self._mode = "text"
        self._pass(CALL_BEGIN, events)
        events.append(_fault_note(fault, self._choice))
        raw, self._raw = self._raw, ""
        return raw


class ForcedText:
    """A text that is one call, `{"name": …, "arguments": {…}}`, because a schema made it so."""

    def __init__(self, names: Mapping[str, str], choice: int) -> None:
        self._choice = choice
        self._call = CallReader(names, 0, choice)
        self._raw = ""
        self._rest: _Rest | None = None
        """There is one once the call is whole, or turned out to be none."""

    def feed(self, text: str) -> list[Event]:
        if self._rest is not None:
            return self._rest.feed(text)
        end, events = self._call.take(text, 0)
        self._raw += text[:end]
        if self._call.state == "open":
            return events
        self._rest = _Rest(self._choice)
        if not self._call.is_ended:
            events += self._rest.refused(self._raw, self._call.fault)
        return events + self._rest.feed(text[end:])

    def finish(self, reason: StopReason | None) -> list[Event]:
        if self._rest is not None or self._call.is_ended:
            return []
        return _end_open_call(self._call, self._raw, reason, self._choice)


class EnvelopeText:
    """A text that is `{"tool_call": {"name": …, "arguments": {…}}}` or `{"answer": …}`, because a schema made it so.

    The answer's JSON text is passed on as the text.
    """

    def __init__(self, names: Mapping[str, str], choice: int) -> None:
        self._choice = choice
        self._members = MemberReader()
        self._call = CallReader(names, 0, choice)
        self._key = ""
        self._raw = ""
        self._rest: _Rest | None = None
        self._has_answer = False

    def feed(self, text: str) -> list[Event]:
        if self._rest is not None:
            return self._rest.feed(text)
        end, members = self._members.take(text, 0)
        self._raw += text[:end]
        events: list[Event] = []
        for member in members:
            if isinstance(member, Key):
                self._key = member.name
            elif isinstance(member, Piece) and self._key == CALL_KEY:
                events += self._call.take(member.text, 0)[1]
            elif isinstance(member, Piece) and self._key == ANSWER_KEY:
                self._has_answer = True
                events.append(TextDelta(member.text, self._choice))
        if self._is_over():
            self._rest = _Rest(self._choice)
            if not self._has_answer and not self._call.is_ended:
                fault = self._call.fault or f"has neither {CALL_KEY!r} nor {ANSWER_KEY!r}"
                events += self._rest.refused(self._raw, fault)
            events += self._rest.feed(text[end:])
        return events

    def finish(self, reason: StopReason | None) -> list[Event]:
        if self._rest is not None or self._call.is_ended or self._has_answer:
            return []
        return _end_open_call(self._call, self._raw, reason, self._choice)

    def _is_over(self) -> bool:
        return self._members.state != "open" or (self._call.state == "broken" and not self._call.is_ended)


class _Rest:
    """What comes after the object is text; blanks alone are not."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._blank: str = ""
        self._has_text = False

    def refused(self, raw: str, fault: str) -> list[Event]:
        """The object was none of those that were wanted, so that all of it is text."""
        self._has_text = True
        return [TextDelta(raw, self._choice), _fault_note(fault, self._choice)]

    def feed(self, text: str) -> list[Event]:
        if not self._has_text:
            text, self._blank = self._blank + text, ""
            if not text.strip():
                self._blank = text
                return []
            self._has_text = True
        return [TextDelta(text, self._choice)] if text else []


def _end_open_call(call: CallReader, raw: str, reason: StopReason | None, choice: int) -> list[Event]:
    if call.is_started and reason != "stop":
        return _cut_note(reason, choice)
    events: list[Event] = [TextDelta(raw, choice)] if raw.strip() else []
    if reason == "stop":
        events.append(_fault_note("is not whole", choice))
    return events + _cut_note(reason, choice)


def _cut_note(reason: StopReason | None, choice: int) -> list[Event]:
    if reason != "length":
        return []
    return [Note(CUT, "The token limit cut a tool call, so that it cannot be made; raise max_tokens.", choice)]


def _fault_note(fault: str, choice: int) -> Note:
    return Note(NO_CALL, f"A tool call of the model {fault}; it is given as text.", choice)


def _begun(text: str, mark: str) -> int:
    """How many of the last letters of `text` may be the beginning of `mark`."""
    at = text.rfind(mark[0], max(0, len(text) - len(mark) + 1))
    while at >= 0:
        if mark.startswith(text[at:]):
            return len(text) - at
        at = text.rfind(mark[0], max(0, len(text) - len(mark) + 1), at)
    return 0


def _may_come_before(text: str, *, is_whole: bool) -> bool:
    """Whether a call's object may come after this: blanks, and the beginning of a code fence."""
    rest = text.lstrip()
    if not rest:
        return True
    if len(rest) < len(_FENCE):
        return not is_whole and _FENCE.startswith(rest)
    info = rest.removeprefix(_FENCE).strip()
    return rest.startswith(_FENCE) and (not info or info.isalnum()) and len(info) <= _INFO_LIMIT
