"""What a tool of an MCP server gave, as text for a model. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_decoder: Final = msgspec.json.Decoder(list[dict[str, Any]])


def output_text(output: str) -> str:
    """The text in the JSON of a tool's content parts; parts that are no text are named only."""
    try:
        parts = _decoder.decode(output)
    except (msgspec.DecodeError, RecursionError):
        return output
    return "\n".join(_part_text(part) for part in parts)


def _part_text(part: dict[str, Any]) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource_link", "uri": str(uri)}:
            return uri
        case {"type": str(kind)}:
            return f"({kind}, which cannot be shown)"
        case _:
            return msgspec.json.encode(part).decode()
