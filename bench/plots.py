"""Bars as SVG text: readable beside a table, on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, Literal

import msgspec

_WIDTH: Final = 720
_LABELS: Final = 150
"""Where bars begin."""
_NOTES: Final = 250
"""Room behind the longest bar."""
_BAR: Final = 16
_LINE: Final = 22
_MARGIN: Final = 12
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600}"
    ".floor{fill:#8b949e}.ours{fill:#2f81f7}.peer{fill:#d29922}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}}"
)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    value: float
    """From 0; its bar is as long as that beside the plot's greatest."""
    note: str
    """Behind the bar."""
    kind: Literal["floor", "ours", "peer"]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Bars under one heading."""

    heading: str
    bars: tuple[Bar, ...]


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that stands beside the page."""

    file_name: str
    title: str
    groups: tuple[Group, ...]

    def __str__(self) -> str:
        """The picture as a link in Markdown."""
        return f"![{self.title}]({self.file_name})"

    def svg(self) -> str:
        greatest = max((bar.value for group in self.groups for bar in group.bars), default=0.0) or 1.0
        lines, y = [_text(_MARGIN, _MARGIN + 13, self.title, "h")], _MARGIN + _LINE
        for group in self.groups:
            y += _LINE // 2
            lines.append(_text(_MARGIN, y + 13, group.heading, "h"))
            y += _LINE
            for bar in group.bars:
                lines += _drawn(bar, y, bar.value / greatest)
                y += _LINE
        return _picture(lines, y + _MARGIN, self.title)


def _drawn(bar: Bar, y: int, share: float) -> Sequence[str]:
    width = share * (_WIDTH - _LABELS - _NOTES)
    return (
        _text(_MARGIN, y + 13, bar.label),
        f'<rect class="{bar.kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        _text(_LABELS + round(width) + 6, y + 13, bar.note),
    )


def _text(x: int, y: int, words: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text{marked} x="{x}" y="{y}">{escape(words)}</text>'


def _picture(lines: Sequence[str], height: int, title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    named = f'{head} role="img" aria-label="{escape(title)}">'
    return "\n".join([named, f"<style>{_STYLE}</style>", *lines, "</svg>"]) + "\n"
