"""The tool's description, for those who write it by hand."""

from __future__ import annotations

from typing import Any

from bench.typed_answers import TOOL_NAME, TOOL_TEXT

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_TEXT, "parameters": PARAMETERS},
}
