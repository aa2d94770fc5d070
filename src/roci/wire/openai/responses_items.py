"""The output items of a `/v1/responses` answer while they are written. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from roci.wire.generation import Part
from roci.wire.openai.responses_mcp import ServedTool, call_item
from roci.wire.openai.responses_objects import ItemStatus, output_item

_DELTAS: Final = {
    "reasoning": "response.reasoning_text.delta",
    "text": "response.output_text.delta",
    "call": "response.function_call_arguments.delta",
    "served": "response.mcp_call_arguments.delta",
}
_encode: Final = msgspec.json.Encoder().encode


class OpenItem:
    """An output item while its pieces come."""

    def __init__(self, part: Part, identifier: str, index: int, served: ServedTool | None, call_index: int) -> None:
        self.part = part
        self.index = index
        self.served = served
        """The tool that the server itself calls."""
        self.call_index = call_index
        call = part.call
        self.pieces = [part.text if call is None else call.arguments]
        self.place: dict[str, Any] = {"item_id": identifier, "output_index": index}
        if part.kind != "call":
            self.place["content_index"] = 0
        kind = _DELTAS["served" if served is not None else part.kind]
        place = _encode(self.place)[1:-1]
        # Written once for an item: an event for each token needs only the token.
        self.delta_head = b'event: %b\ndata: {"type":"%b",%b,"delta":' % (kind.encode(), kind.encode(), place)

    @property
    def is_text(self) -> bool:
        return self.part.kind == "text"

    def as_object(self, status: ItemStatus) -> dict[str, Any]:
        text = "".join(self.pieces)
        if self.part.call is not None:
            self.part.call.arguments, self.part.call.is_whole = text, status == "completed"
        else:
            self.part.text = text
        if self.served is not None and self.part.call is not None:
            return call_item(self.part.call, self.served, self.place["item_id"], status)
        return output_item(self.part, self.place["item_id"], status)


def status_of(is_whole: bool) -> Literal["completed", "incomplete"]:
    return "completed" if is_whole else "incomplete"


def told_parts(parts: Sequence[Part]) -> list[Part]:
    """The parts that hold anything, those of one kind that thereby meet made one: as the stream tells them."""
    told: list[Part] = []
    for part in parts:
        if part.call is None and not part.text and not part.logprobs:
            continue
        if told and part.call is None and told[-1].kind == part.kind:
            merged = told[-1]
            told[-1] = Part(part.kind, merged.text + part.text, logprobs=merged.logprobs + part.logprobs)
        else:
            told.append(part)
    return told
