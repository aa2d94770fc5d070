"""How an answer is to be made: sampling, limits, format, and how long to wait."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from roci.errors import UsageError
from roci.types.tools import ToolChoice

Reasoning = Literal["off", "on", "low", "medium", "high"]


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The form of the answer. Use `text`, `json_object` or `json_schema`."""

    kind: Literal["text", "json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str = "response"
    strict: bool = True

    @classmethod
    def text(cls) -> ResponseFormat:
        return cls(kind="text")

    @classmethod
    def json_object(cls) -> ResponseFormat:
        """Any one JSON object ("JSON mode")."""
        return cls(kind="json_object")

    @classmethod
    def json_schema(cls, schema: dict[str, Any], *, name: str = "response", strict: bool = True) -> ResponseFormat:
        """JSON that fits `schema`, enforced by the server where it can."""
        return cls(kind="json_schema", schema=schema, name=name, strict=strict)


class GenerationSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to generate. None leaves a value to the server.

    `check()` is called by every function that generates; a value outside its range never leaves the program.
    """

    max_tokens: int | None = None
    """Tokens to generate at most, from 1."""
    temperature: float | None = None
    """From 0 (always the likeliest token)."""
    top_p: float | None = None
    """0 to 1."""
    top_k: int | None = None
    """From 0, which switches it off."""
    min_p: float | None = None
    """0 to 1."""
    repeat_penalty: float | None = None
    """Above 0; 1 is no penalty."""
    presence_penalty: float | None = None
    """-2 to 2."""
    frequency_penalty: float | None = None
    """-2 to 2."""
    seed: int | None = None
    """Repeatable only while the server runs this request alone."""
    stop_sequences: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    response_format: ResponseFormat | None = None
    tool_choice: ToolChoice | str | None = None
    """`"auto"`, `"none"`, `"required"`, a tool's name, or a `ToolChoice`."""
    reasoning: Reasoning | None = None
    extra: dict[str, Any] = {}
    """Fields for the server, sent as they are; they win over roci's own. Not `stream`: the call decides that."""

    def check(self) -> None:
        """Raise what is out of range.

        Raises:
            UsageError: names the field, what it was given, and what it takes.
        """
        for name, low, high, low_is_allowed in _RANGES:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise _bad(name, value, "a number")
            if not math.isfinite(value) or value > high or value < low or (value == low and not low_is_allowed):
                raise _bad(name, value, _range_words(low, high, low_is_allowed))
        if isinstance(self.stop_sequences, str):
            raise _bad("stop_sequences", self.stop_sequences, "a tuple of strings")
        if any(not sequence for sequence in self.stop_sequences):
            raise _bad("stop_sequences", self.stop_sequences, "non-empty strings")
        if "stream" in self.extra:
            raise UsageError(
                "settings.extra holds 'stream', which the function that is called decides.",
                field="settings.extra.stream",
                hint="Call stream_text for a stream, generate_text for a whole answer.",
            )


_RANGES = (
    ("max_tokens", 1, math.inf, True),
    ("temperature", 0, math.inf, True),
    ("top_p", 0, 1, True),
    ("top_k", 0, math.inf, True),
    ("min_p", 0, 1, True),
    ("repeat_penalty", 0, math.inf, False),
    ("presence_penalty", -2, 2, True),
    ("frequency_penalty", -2, 2, True),
    ("seed", -(2**63), 2**63, True),
)


def _range_words(low: float, high: float, low_is_allowed: bool) -> str:
    if math.isinf(high):
        return f"a finite number from {low:g}" if low_is_allowed else f"a finite number above {low:g}"
    return f"a number from {low:g} to {high:g}"


def _bad(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(f"settings.{name} is {value!r}; it takes {wanted}.", field=f"settings.{name}")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase of a call may take, in seconds; None is for ever.

    A time-out of a call wins over the provider's, and that over the environment's (`ROCI_TIMEOUT_CONNECT_S`,
    `ROCI_TIMEOUT_FIRST_TOKEN_S`, `ROCI_TIMEOUT_GAP_S`, `ROCI_TIMEOUT_TOTAL_S`).
    """

    connect_s: float | None = 5.0
    """Until there is a connection; past it, the server is unreachable."""
    first_token_s: float | None = 600.0
    """From the request to the first byte of the answer: the server's queue, a model's load and the prompt's
    prefill are all in it. A reply that is not streamed comes as one piece, so that this bounds all of it."""
    gap_s: float | None = 120.0
    """Between two pieces of a streamed answer."""
    total_s: float | None = None
    """The whole call."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(
                    f"timeouts.{name} is {value!r}; it takes seconds above 0, or None for no limit.",
                    field=f"timeouts.{name}",
                )
