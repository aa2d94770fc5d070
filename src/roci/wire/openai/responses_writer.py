"""One answer of `/v1/responses`: named events with a sequence number, or the plain response. Pure.

Source: OpenAI API reference, streaming events of responses; LM Studio 0.3.39 to 0.4.25 as observed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from roci.wire.generation import (
    Call,
    Ended,
    Event,
    Finish,
    Note,
    Part,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    Transcript,
)
from roci.wire.openai.error_shape import openai_error_body
from roci.wire.openai.responses_items import OpenItem, status_of, told_parts
from roci.wire.openai.responses_mcp import ListedServer, ServedTool, list_item
from roci.wire.openai.responses_objects import (
    ResponseShape,
    content_part,
    item_id,
    logprobs_of,
)
from roci.wire.openai.responses_requests import ResponsesRequest
from roci.wire.reply_writer import Begun, Failure

_encode: Final = msgspec.json.Encoder().encode


def _now() -> int:
    return int(time.time())


def _digits() -> str:
    return secrets.token_hex(24)


class ResponsesWriter:
    """One response.

    Args:
        sampling: the model's own settings, of which the response tells those that count.
        listed: the MCP servers whose tools the model was shown; looked at when the answer begins.
        served: the names by which the model calls those tools; looked at as it calls them.
        now: seconds since 1970.
        new_digits: 48 hexadecimal digits for an item's id.
    """

    starts_early = False

    def __init__(
        self,
        request: ResponsesRequest,
        *,
        sampling: Mapping[str, Any] | None = None,
        listed: Sequence[ListedServer] = (),
        served: Mapping[str, ServedTool] | None = None,
        now: Callable[[], int] = _now,
        new_digits: Callable[[], str] = _digits,
    ) -> None:
        self.final: bytes | None = None
        """The response as JSON, once the answer has come to its end; stays None where it failed."""
        self._shape = ResponseShape(request, sampling or {})
        self._listed = listed
        self._served: Mapping[str, ServedTool] = {} if served is None else served
        self._now = now
        self._new_digits = new_digits
        self._begun: Begun | None = None
        self._sequence = 0
        self._output: list[dict[str, Any]] = []
        self._open: OpenItem | None = None
        self._running: dict[int, OpenItem] = {}
        """Calls that the server makes, by their index, until their results are there."""
        self._notes: list[Note] = []
        self._is_cut = False

    def start(self, begun: Begun) -> bytes:
        self._begun = begun
        response = self._shape.response(begun, "in_progress")
        events = [self._event(f"response.{kind}", {"response": response}) for kind in ("created", "in_progress")]
        return b"".join(events + [self._list(listed) for listed in self._listed])

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(text, _, logprobs):
                return self._delta("text", text, logprobs) if text or logprobs else b""
            case ReasoningDelta(text):
                return self._delta("reasoning", text) if text else b""
            case ToolCallStart(index, identifier, name):
                return self._close() + self._add(Part("call", call=Call(identifier, name)), index)
            case ToolCallDelta(_, arguments):
                return self._piece(arguments)
            case ToolCallEnd():
                return self._close(is_whole=True)
            case ToolResult():
                return self._end_call(event)
            case Finish(reason):
                self._is_cut = reason == "length"
                return self._close(is_whole=False if self._is_cut else None)
            case Note():
                self._notes.append(event)
                return b""
            case Ended():
                return self._end(event)
            case _:
                return b""

    def fail(self, failure: Failure) -> bytes:
        """`response.failed` with what had arrived, for those that read events; `error`, which makes clients raise."""
        assert self._begun is not None
        for item in (self._open, *self._running.values()):
            if item is not None:
                self._output[item.index] = item.as_object("incomplete")
        response = self._shape.response(self._begun, "failed", self._output, error=failure, notes=self._notes)
        told = {"code": failure.code, "message": failure.message, "param": failure.param}
        return self._event("response.failed", {"response": response}) + self._event(
            "error", told | msgspec.json.decode(openai_error_body(failure))
        )

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        assert transcript.ended is not None
        self._begun = begun
        choice = transcript.choice()
        self._notes = choice.notes
        self._is_cut = choice.finish is not None and choice.finish.reason == "length"
        self._output = [list_item(listed, self._new_digits()) for listed in self._listed]
        parts = told_parts(choice.parts) or [Part("text")]
        for part in parts:
            is_whole = part.call.is_whole if part.call is not None else not (self._is_cut and part is parts[-1])
            self._output.append(self._item(part, 0).as_object(status_of(is_whole)))
        self.final = self._ended_response(transcript.ended)
        return self.final

    def _delta(self, kind: Literal["reasoning", "text"], text: str, logprobs: tuple[Raw, ...] = ()) -> bytes:
        opened = b""
        if self._open is None or self._open.part.kind != kind:
            opened = self._close() + self._add(Part(kind))
        return opened + self._piece(text, logprobs)

    def _piece(self, text: str, logprobs: tuple[Raw, ...] = ()) -> bytes:
        item = self._open
        assert item is not None
        item.pieces.append(text)
        item.part.logprobs.extend(logprobs)
        shown = b',"logprobs":' + (_encode(logprobs_of(logprobs)) if logprobs else b"[]") if item.is_text else b""
        self._sequence += 1
        return item.delta_head + _encode(text) + shown + b',"sequence_number":%d}\n\n' % (self._sequence - 1)

    def _list(self, listed: ListedServer) -> bytes:
        item = list_item(listed, self._new_digits())
        about = {"output_index": len(self._output), "item": item}
        place = {"item_id": item["id"], "output_index": len(self._output)}
        self._output.append(item)
        events = self._event("response.output_item.added", about)
        for kind in ("in_progress", "completed"):
            events += self._event(f"response.mcp_list_tools.{kind}", place)
        return events + self._event("response.output_item.done", about)

    def _item(self, part: Part, call_index: int) -> OpenItem:
        served = self._served.get(part.call.name) if part.call is not None else None
        digits = self._new_digits()
        identifier = f"mcp_{digits}" if served is not None else item_id(part.kind, digits)
        return OpenItem(part, identifier, len(self._output), served, call_index)

    def _add(self, part: Part, call_index: int = 0) -> bytes:
        """Begins an item."""
        item = self._open = self._item(part, call_index)
        self._output.append(item.as_object("in_progress"))
        added = self._event("response.output_item.added", {"output_index": item.index, "item": self._output[-1]})
        if item.served is not None:
            return added + self._event("response.mcp_call.in_progress", item.place)
        if part.kind != "call":
            place = item.place | {"part": content_part(part)}
            added += self._event("response.content_part.added", place)
        return added

    def _end_call(self, result: ToolResult) -> bytes:
        """The result of a call that the server made."""
        item = self._running.pop(result.index, None)
        if item is None or item.part.call is None:
            return b""
        call = item.part.call
        call.output, call.is_error, call.has_failed = result.output, result.is_error, result.has_failed
        whole = self._output[item.index] = item.as_object("completed")
        kind = f"response.mcp_call.{whole['status']}"
        done = {"output_index": item.index, "item": whole}
        return self._event(kind, item.place) + self._event("response.output_item.done", done)

    def _close(self, *, is_whole: bool | None = None) -> bytes:
        """Ends the item that is open, if one is.

        Args:
            is_whole: None where something else begins, which ends a text and cuts a call.
        """
        item, self._open = self._open, None
        if item is None:
            return b""
        if is_whole is None:
            is_whole = item.part.call is None
        whole = self._output[item.index] = item.as_object(status_of(is_whole))
        if item.served is not None and is_whole:
            self._running[item.call_index] = item
            return self._event("response.mcp_call_arguments.done", item.place | {"arguments": whole["arguments"]})
        if item.part.call is not None:
            done = {"arguments": whole["arguments"], "name": whole["name"]}
            events = self._event("response.function_call_arguments.done", item.place | done)
        else:
            kind = "response.output_text.done" if item.is_text else "response.reasoning_text.done"
            part = whole["content"][0]
            more = {"logprobs": part["logprobs"]} if item.is_text else {}
            events = self._event(kind, item.place | {"text": part["text"]} | more)
            events += self._event("response.content_part.done", item.place | {"part": part})
        return events + self._event("response.output_item.done", {"output_index": item.index, "item": whole})

    def _end(self, ended: Ended) -> bytes:
        events = b""
        if not self._output:
            # An answer without a word is an answer: clients look for its text.
            events = self._add(Part("text")) + self._close(is_whole=not self._is_cut)
        self.final = self._ended_response(ended)
        return events + self._event(f"response.{self._status}", {"response": Raw(self.final)})

    @property
    def _status(self) -> Literal["completed", "incomplete"]:
        return status_of(not self._is_cut)

    def _ended_response(self, ended: Ended) -> bytes:
        assert self._begun is not None
        return _encode(
            self._shape.response(
                self._begun,
                self._status,
                self._output,
                usage=ended.usage,
                completed_at=self._now(),
                notes=self._notes,
            )
        )

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        data = _encode({"type": kind, **fields, "sequence_number": self._sequence})
        self._sequence += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
