"""What a model is told of a call: the value that its tool gave, or why there is none. Pure."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from roci.types.messages import Content, ImagePart, ModelMessage, TextPart
from roci.types.results import GenerationWarning
from roci.types.tool_function import BoundArguments, Tool
from roci.types.tools import ToolCall

_FAULT_LIMIT_CHARS: Final = 2_000
_BYTES: Final = (bytes, bytearray, memoryview)

_encode: Final = msgspec.json.Encoder(enc_hook=lambda value: _json_form(value)).encode


class ToolRun(msgspec.Struct, frozen=True):
    """A call that is to be run, with its arguments checked."""

    call: ToolCall
    tool: Tool[..., Any]
    arguments: BoundArguments


class ToolOutcome(msgspec.Struct, frozen=True):
    """What came of a call."""

    message: ModelMessage
    warning: GenerationWarning | None = None


def answered(run: ToolRun, value: Any) -> ToolOutcome:
    """What the tool gave, as the model reads it: text and parts as they are, anything else as JSON.

    A value without a JSON form is an error result that names its type. A text beyond the tool's limit is cut, with a
    mark in it and a warning.
    """
    try:
        content = _content(value)
    except (TypeError, ValueError, RecursionError) as error:
        why = "it contains itself" if isinstance(error, RecursionError) else str(error)
        kind = type(cast("object", value)).__name__
        return refused(run.call, f"the tool gave a {kind}, which cannot be written as JSON: {why}")
    if not isinstance(content, str) or len(content) <= run.tool.result_limit_chars:
        return ToolOutcome(ModelMessage.tool_result(run.call.id, content))
    kept = run.tool.result_limit_chars
    mark = f"\n[cut here: the result has {len(content):,} characters, and these are the first {kept:,}]"
    return ToolOutcome(
        ModelMessage.tool_result(run.call.id, content[:kept] + mark),
        GenerationWarning(
            "tool_result_cut",
            f"{run.call.name!r} gave {len(content):,} characters; the model was sent the first {kept:,}.",
        ),
    )


def failed(call: ToolCall, error: Exception) -> ToolOutcome:
    """The tool raised `error`: its class and message, without where it happened."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - the error is somebody's own class, whose words may fail as well
        said = ""
    return refused(call, f"{type(error).__name__}: {said}" if said else type(error).__name__)


def timed_out(run: ToolRun) -> ToolOutcome:
    return refused(run.call, f"the tool did not answer within {run.tool.timeout_s:g} s")


def refused(call: ToolCall, why: str) -> ToolOutcome:
    """The call has no result."""
    if len(why) > _FAULT_LIMIT_CHARS:
        why = why[:_FAULT_LIMIT_CHARS] + " …"
    return ToolOutcome(ModelMessage.tool_result(call.id, f"Error: {_sendable(why)}", is_error=True))


def _content(value: Any) -> Content:
    if isinstance(value, str):
        return _sendable(value)
    if isinstance(value, (TextPart, ImagePart)):
        return [value]
    if isinstance(value, _BYTES):
        raise TypeError("bytes are no text; decode them, or give an ImagePart")
    if isinstance(value, (list, tuple)) and value:
        parts: list[Any] = list(cast("Any", value))
        if any(isinstance(part, (TextPart, ImagePart)) for part in parts) and all(
            isinstance(part, (str, TextPart, ImagePart)) for part in parts
        ):
            return parts
    return _encode(value).decode()


def _json_form(value: Any) -> Any:
    if hasattr(value, "model_dump"):  # pydantic's models
        return value.model_dump(mode="json")
    if hasattr(value, "__fspath__"):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _sendable(text: str) -> str:
    """`text` without what UTF-8 cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
