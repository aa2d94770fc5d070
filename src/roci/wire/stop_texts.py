"""Ending an answer at a stop text, and telling which it was: the engine ends there too, but does not say why."""

from __future__ import annotations

from collections.abc import Sequence

from roci.wire.generation import Event, Finish, TextDelta


class StopTexts:
    """Looks for `texts` in one choice's visible text, however it is cut."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._held = ""
        self.found: str | None = None
        """The stop text that was met; nothing counts after it."""

    def feed(self, event: Event) -> list[Event]:
        """The events to go on with. Text that may be the beginning of a stop text waits for what follows."""
        if self.found is not None:
            return []
        if isinstance(event, TextDelta):
            return self._text(event)
        if self._held and not isinstance(event, Finish):
            return [event]
        held, self._held = self._held, ""
        return [TextDelta(held), event] if held else [event]

    def _text(self, event: TextDelta) -> list[Event]:
        text = self._held + event.text
        places = [(place, stop) for stop in self._texts if (place := text.find(stop)) >= 0]
        if places:
            place, self.found = min(places)
            self._held = ""
            before: list[Event] = [TextDelta(text[:place], event.choice, event.logprobs)] if place else []
            return [*before, Finish("stop", event.choice, self.found)]
        keep = max((_overlap(text, stop) for stop in self._texts), default=0)
        self._held = text[len(text) - keep :]
        shown = text[: len(text) - keep]
        return [TextDelta(shown, event.choice, event.logprobs)] if shown or event.logprobs else []


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
