"""One answer as it comes: its text on standard output, what there is to say about it on standard error."""

from __future__ import annotations

import sys
import warnings

from roci.cli import output
from roci.errors import ModelSubstitutedWarning
from roci.providers.streams import TextStream
from roci.types.results import FinishReason, GenerateTextResult


def print_answer(stream: TextStream) -> GenerateTextResult:
    """Write the answer's text piece by piece, and end its line whatever happens. Closes `stream`.

    A terminal is shown the model's thinking too, on standard error.

    Raises:
        RociError: the answer broke off, or never began.
    """
    page = _Page()
    with stream, warnings.catch_warnings():
        # The result says it too, in words for people.
        warnings.simplefilter("ignore", ModelSubstitutedWarning)
        try:
            for delta in stream:
                page.add_thought(delta.reasoning)
                page.add_text(delta.text)
            return stream.result()
        finally:
            page.end_line()


def remark(result: GenerateTextResult, *, is_wanted: bool) -> None:
    """Say what the answer's text does not: another model, no text, or a limit that cut it.

    Args:
        is_wanted: say what is merely good to know, too.
    """
    for warning in result.warnings:
        output.note(f"{output.styled('warning:', 'yellow', sys.stderr)} {output.printable(warning.message)}")
    if result.finish_reason is FinishReason.LENGTH and (is_wanted or not result.text):
        output.note(_dim("(cut off: the limit of tokens was reached)"))
    if result.finish_reason is FinishReason.CONTENT_FILTER:
        output.note(_dim("(cut off by the server's content filter)"))
    if not result.text.strip():
        output.note(_dim("(the model ended its answer without any text)"))


def print_stats(result: GenerateTextResult, *, has_load: bool) -> None:
    """Tokens and times, on standard error.

    Args:
        has_load: the wait for the first token includes the model's load.
    """
    usage, stats = result.usage, result.stats
    parts: list[str] = []
    if usage.total_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens} tokens in, {usage.output_tokens} out")
    else:
        parts.append("tokens not counted by the server")
    if stats.time_to_first_token_s is not None:
        load = " (load included)" if has_load else ""
        parts.append(f"first token after {stats.time_to_first_token_s:.2f} s{load}")
    if stats.tokens_per_second is not None:
        parts.append(f"{stats.tokens_per_second:.1f} tokens/s")
    parts.append(f"{stats.total_time_s:.2f} s in all")
    name = f"{output.printable(result.model)}: " if result.model else ""
    output.note(_dim(name + ", ".join(parts)))


class _Page:
    """Knows where the cursor stands, so that lines are ended that were begun."""

    def __init__(self) -> None:
        self._shows_thoughts = output.is_terminal(sys.stderr)
        self._is_thinking = False
        self._is_line_open = False

    def add_thought(self, piece: str) -> None:
        if not piece or not self._shows_thoughts:
            return
        if not self._is_thinking:
            self._is_thinking = True
            output.note(_dim("thinking: "), end="")
        output.note(_dim(output.printable(piece)), end="")

    def add_text(self, piece: str) -> None:
        if not piece:
            return
        self._end_thinking()
        self._is_line_open = not piece.endswith("\n")  # first, because Ctrl-C may come as soon as it is shown
        output.write(piece, end="")

    def end_line(self) -> None:
        self._end_thinking()
        if self._is_line_open:
            self._is_line_open = False
            output.write("")

    def _end_thinking(self) -> None:
        if self._is_thinking:
            self._is_thinking = False
            output.note("")


def _dim(text: str) -> str:
    return output.styled(text, "dim", sys.stderr)
