"""Changing a YAML mapping of plain values as a person would: in place, without touching the lines around."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml


def edited(content: bytes, wanted: Mapping[str, Any]) -> bytes:
    """`content` changed so that it holds exactly `wanted`; written anew where it is no plain block of lines.

    Args:
        content: YAML that is empty or a mapping of names to plain values.
    """
    try:
        text = content.decode()
        candidate = _edited_in_place(text, wanted)
        if _same(yaml.safe_load(candidate) or {}, wanted):
            return candidate.encode()
    except (UnicodeDecodeError, yaml.YAMLError):
        pass  # another encoding, or a form that lines cannot be changed in
    return _written(wanted).encode()


def _edited_in_place(text: str, wanted: Mapping[str, Any]) -> str:
    node = yaml.compose(text, yaml.SafeLoader)
    missing = dict(wanted)
    for key, value in reversed(node.value if isinstance(node, yaml.MappingNode) else []):
        start, end = value.start_mark.index, value.end_mark.index
        name = key.value
        if name not in wanted:
            # The whole of its lines, a comment at the end too.
            line = text.rfind("\n", 0, key.start_mark.index) + 1
            after = end if text[end - 1 : end] == "\n" else text.find("\n", end) + 1 or len(text)
            text = text[:line] + text[after:]
            continue
        missing.pop(name, None)
        if not _same(yaml.safe_load(text[key.start_mark.index : end]), {name: wanted[name]}):
            ending = "\n" if text[end - 1 : end] == "\n" else ""
            text = text[:start] + _written({name: wanted[name]}).split(": ", 1)[1].rstrip("\n") + ending + text[end:]
    if missing and text and not text.endswith("\n"):
        text += "\n"
    return text + (_written(missing) if missing else "")


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Unlike `==`, knows 0 from false."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _written(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    return yaml.safe_dump(
        dict(values), sort_keys=False, allow_unicode=True, width=sys.maxsize, default_flow_style=False
    )
