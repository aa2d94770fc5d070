"""What a request's `response_format` means: what the engine enforces, and what roci checks when the answer is whole."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from roci.wire.generation import Note
from roci.wire.openai.requests import ChatRequest, JsonSchemaSpec, ResponseFormatSpec
from roci.wire.schema.checked import SchemaChecker
from roci.wire.schema.normalise import GrammarPart, SchemaTooLargeError, normalise
from roci.wire.schema.tidy import Schema, tidied

Enforced = Literal["full", "partial", "none"]

PATH: Final = "response_format.json_schema.schema"
VALID: Final = "schema_valid"
MISMATCH: Final = "schema_mismatch"

_THINKING_SHARE: Final = 2
_THINKING_TOKENS: Final = 4096
_TOLD_LIMIT: Final = 8


class SchemaPlan(Struct, frozen=True, kw_only=True):
    """How one request's answers are held to its schema."""

    chat: ChatRequest
    """With the `response_format` that the worker is to be sent; None for plain text."""
    enforced: Enforced = "none"
    """How much of the schema the engine's grammar enforces; `none` also where there is no schema."""
    checked_only: tuple[str, ...] = ()
    """Paths in the schema of what the grammar does not enforce: `properties.age.multipleOf`."""
    checker: SchemaChecker | None = None

    @property
    def checks(self) -> bool:
        """There is something to check."""
        return self.checker is not None

    def check(self, text: str) -> Note | None:
        """Whether a finished answer fits the schema; None where there is none. Not for an answer that is a call."""
        if self.checker is None:
            return None
        fault = self.checker.fault(text)
        if fault is not None:
            return Note(MISMATCH, f"The answer does not fit the schema: {fault}. {self._how()}")
        return Note(VALID, f"The answer fits the schema. {self._how()}")

    def _how(self) -> str:
        if self.enforced == "full":
            return "All of it was enforced while the answer was made."
        if self.enforced == "none":
            return "It was checked only: it could not be enforced."
        told = ", ".join(self.checked_only[:_TOLD_LIMIT])
        more = len(self.checked_only) - _TOLD_LIMIT
        return f"It was enforced but for what is only checked: {told}{f' and {more} more' if more > 0 else ''}."


def plan_schema(chat: ChatRequest) -> SchemaPlan:
    """Decides on the client's `response_format`; comes before the tools' plan, which may put another in its place.

    Raises:
        BadRequestError: a schema that can be neither enforced nor checked; `.param` is the path of the fault in it.
    """
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return SchemaPlan(chat=replace(chat, response_format=None))
    if wanted.type == "json_object" or wanted.json_schema is None:
        schema: Schema = {"type": "object"}
        return _plan(chat, schema, GrammarPart(schema, ()), "json_object")
    schema = tidied(wanted.json_schema.schema, PATH)
    checker = SchemaChecker(schema, PATH)
    name = wanted.json_schema.name or "answer"
    try:
        return _plan(chat, schema, normalise(schema, PATH), name, checker)
    except SchemaTooLargeError:
        loose: Schema = {"type": "object"} if schema.get("type") == "object" else {}
        return _plan(chat, schema, GrammarPart(loose, ("the whole, which is too large for a grammar",)), name, checker)


def _plan(
    chat: ChatRequest, schema: Schema, part: GrammarPart, name: str, checker: SchemaChecker | None = None
) -> SchemaPlan:
    response_format = ResponseFormatSpec("json_schema", JsonSchemaSpec(schema=part.schema, name=name))
    is_open = part.schema in ({}, {"type": "object"}) and schema not in ({}, {"type": "object"})
    return SchemaPlan(
        chat=replace(chat, response_format=response_format),
        enforced="full" if not part.checked_only else "none" if is_open else "partial",
        checked_only=part.checked_only,
        checker=checker or SchemaChecker(schema, PATH),
    )


def thinking_budget(max_tokens: int | None, wanted: int | None, *, has_grammar: bool) -> int | None:
    """Reasoning tokens to allow at most; None for no limit.

    Under a grammar a model cannot end its answer while it thinks, so that without a limit it may think until the
    token limit and answer nothing. A limit of 0 leaves some templates' end mark half written.

    Args:
        max_tokens: of the whole answer; None or -1 where there is no limit.
        wanted: what the client asks for.
        has_grammar: the answer is held to a schema.
    """
    has_limit = max_tokens is not None and max_tokens > 0
    if wanted is None and not has_grammar:
        return None
    most = max(1, max_tokens - 1) if has_limit and max_tokens is not None else None
    if wanted is None:
        wanted = _THINKING_TOKENS if max_tokens is None or not has_limit else max_tokens // _THINKING_SHARE
        wanted = min(wanted, _THINKING_TOKENS)
    return max(1, wanted if most is None or not has_grammar else min(wanted, most))
