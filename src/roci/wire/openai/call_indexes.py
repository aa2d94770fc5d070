"""Which call a streamed piece belongs to, though servers leave indexes or ids out, or repeat them for other calls."""

from __future__ import annotations

import msgspec

from roci.types.stream import ToolCallDelta
from roci.wire.openai.types import WireToolCall, arguments_text


class _Call:
    __slots__ = ("arguments", "id", "index", "name", "wire_index")

    def __init__(self, index: int, call_id: str, name: str, wire_index: int | None) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.wire_index = wire_index
        self.arguments: list[str] = []

    def is_whole(self) -> bool:
        """Its arguments are JSON as they are: what comes now with a name is another call."""
        try:
            msgspec.json.decode("".join(self.arguments))
        except (msgspec.DecodeError, UnicodeError):
            return False
        return True

    def ends_before(self, name: str, arguments: str) -> bool:
        """A piece with this name and these arguments begins another call."""
        if not name or not self.name:
            return False
        return name != self.name or (bool(arguments) and self.is_whole())


class CallIndexes:
    """Gives each streamed call one index, in the order in which they begin."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_wire_index: dict[int, _Call] = {}
        self._last: _Call | None = None

    @property
    def count(self) -> int:
        """Calls so far."""
        return len(self._calls)

    def deltas(self, pieces: list[WireToolCall]) -> tuple[ToolCallDelta, ...]:
        return tuple(self._delta(piece) for piece in pieces)

    def _delta(self, piece: WireToolCall) -> ToolCallDelta:
        call_id, name, arguments = piece.id or "", (piece.function and piece.function.name) or "", ""
        if piece.function is not None:
            arguments = arguments_text(piece.function)
        call = self._known(call_id, name, arguments, piece.index)
        if call is None:
            call = _Call(len(self._calls), call_id, name, piece.index)
            self._calls.append(call)
        call.name = call.name or name
        if arguments:
            call.arguments.append(arguments)
        if call_id:
            self._by_id[call_id] = call
        if piece.index is not None:
            self._by_wire_index[piece.index] = call
        self._last = call
        return ToolCallDelta(index=call.index, id=call_id, name=name, arguments_json=arguments)

    def _known(self, call_id: str, name: str, arguments: str, wire_index: int | None) -> _Call | None:
        """The call that the piece goes on with; None where it begins one."""
        call = self._by_id.get(call_id) if call_id else None
        if call is not None and (wire_index is None or call.wire_index in (None, wire_index)):
            return None if call.ends_before(name, arguments) else call
        call = self._by_wire_index.get(wire_index) if wire_index is not None else None
        if call is not None:
            is_other = bool(call_id and call.id and call_id != call.id)
            # Some servers make a new id for each piece: only the arguments tell whether the call is over.
            if call.ends_before(name, arguments) or (is_other and name and not self._is_open(call)):
                return None
            return call
        last = self._last
        if last is None or (wire_index is not None and (call_id or name)):
            return None
        if call_id and name:
            return None
        if call_id or name:
            return last if self._is_open(last) and not last.ends_before(name, arguments) else None
        return last

    def _is_open(self, call: _Call) -> bool:
        """It has some of its arguments, and not all."""
        return bool(call.arguments) and not call.is_whole()
