"""How an answer in the user's type comes about: ask, read, show the model what is wrong, ask again. No I/O."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import replace

from roci.errors import BadRequestError, ReplyError, RociError, SchemaMismatchError, UnsupportedError, UsageError
from roci.generation.json_search import Found, find
from roci.generation.object_receipts import object_receipt, summed
from roci.types.messages import ModelMessage, Part, TextPart
from roci.types.object_results import GenerateObjectResult
from roci.types.output_schema import FIELD, NoMatchError, OutputType, output_of_schema, output_of_type
from roci.types.receipt import Adjustment, Receipt, Retry
from roci.types.requests import ProviderRequest
from roci.types.results import FinishReason, ProviderResponse
from roci.types.settings import ResponseFormat
from roci.wire.openai.response_format import refuses_format
from roci.wire.schema.enforceable import enforceable

T = TypeVar("T")

MAX_RETRIES: Final = 2
RETRIES_LIMIT: Final = 20

_SHOWN_SCHEMA_LIMIT: Final = 20_000
_FAULT_LIMIT: Final = 1_000
_KEPT_SCHEMAS: Final = 128

Attempts = Generator[ProviderRequest, ProviderResponse, GenerateObjectResult[T]]
"""Yields what to ask, is sent the answer or thrown the failure, and returns the result."""


def output_of(wanted: Any) -> OutputType[Any]:
    """What answers are to be, for a type or a JSON Schema.

    Raises:
        UsageError: no schema can be made of it, or nothing fits it.
        UnsupportedError: it is a JSON Schema, and there is nothing to check answers with.
    """
    output = _schema_output(cast(dict[str, Any], wanted)) if isinstance(wanted, dict) else output_of_type(wanted)
    try:
        enforceable(output.schema)
    except UsageError as error:
        raise UsageError(error.message, field=f"{FIELD}.{error.field}", hint=error.hint) from error
    return output


def _schema_output(schema: dict[str, Any]) -> OutputType[Any]:
    try:
        return _kept_schema_output(msgspec.json.encode(schema))
    except (TypeError, RecursionError) as error:
        raise UsageError(f"The schema is no JSON: {error}.", field=FIELD) from error


@lru_cache(_KEPT_SCHEMAS)
def _kept_schema_output(written: bytes) -> OutputType[Any]:
    from roci.wire.schema.checked import SchemaChecker
    from roci.wire.schema.tidy import tidied

    schema: dict[str, Any] = msgspec.json.decode(written)
    try:
        checker = SchemaChecker(tidied(schema, FIELD), FIELD)
    except BadRequestError as error:
        raise UsageError(error.message, field=error.param or FIELD) from error
    except ImportError as error:
        raise UnsupportedError(
            "Answers cannot be checked against a JSON Schema here: jsonschema-rs is not installed.",
            capability="json_schema",
            hint="pip install 'roci-ai[server]', or pass a type, such as a dataclass, in place of the schema.",
        ) from error
    return output_of_schema(schema, checker.fault_of)


def attempts(request: ProviderRequest, output: OutputType[T], max_retries: int) -> Attempts[T]:
    """Asks until an answer fits, at most `max_retries` times more than once.

    A server that refuses to enforce a schema is asked in its other ways, with the schema in the prompt: it has
    generated nothing, so that this is none of the retries.

    Raises:
        SchemaMismatchError: no answer fitted, or the last one was cut short.
        RociError: what was thrown, with a receipt of the answers before it.
    """
    asking = _Asking(request, output)
    while True:
        try:
            response = yield asking.request()
        except ReplyError as refusal:
            if not (refuses_format(refusal) and asking.take_other_way(refusal)):
                asking.tell(refusal)
                raise
            continue
        except RociError as failure:
            asking.tell(failure)
            raise
        asking.answers.append(response)
        is_cut = response.finish_reason is FinishReason.LENGTH
        try:
            found = find(response.text, response.reasoning, output, is_cut=is_cut)
        except NoMatchError as fault:
            if is_cut or len(asking.retries) >= max_retries:
                raise asking.mismatch(fault, is_cut=is_cut) from fault
            asking.correct(fault)
        else:
            return asking.result(found)


class _Asking:
    """What was asked and answered so far."""

    def __init__(self, request: ProviderRequest, output: OutputType[Any]) -> None:
        self.answers: list[ProviderResponse] = []
        self.retries: list[Retry] = []
        self._asked = request
        self._output = output
        self._part = enforceable(output.schema)
        self._forms = [
            ResponseFormat.json_schema(output.schema, name=output.name),
            ResponseFormat.json_object(),
            ResponseFormat.text(),
        ]
        self._adjustments: list[Adjustment] = []
        self._corrections: tuple[ModelMessage, ...] = ()
        self._broke_the_schema = False

    @property
    def _enforces(self) -> bool:
        """The server took the schema."""
        return self._forms[0].kind == "json_schema"

    def request(self) -> ProviderRequest:
        messages = tuple(self._asked.messages)
        form = self._forms[0]
        if not self._enforces:
            messages = _with_words(messages, self._demand())
        return replace(
            self._asked,
            messages=messages + self._corrections,
            response_format=None if form.kind == "text" else form,
        )

    def take_other_way(self, refusal: ReplyError) -> bool:
        """False where there is none left."""
        refused = self._forms[0].kind
        if refused == "text":
            return False
        del self._forms[0]
        self._adjustments.append(
            Adjustment(setting="response_format", asked=refused, sent=self._forms[0].kind, reason=refusal.message)
        )
        return True

    def correct(self, fault: NoMatchError) -> None:
        """The last answer does not fit: say so to the model."""
        answer = self.answers[-1]
        self._note_a_break(fault, answer)
        wrong = _in_words(fault)
        tokens = answer.usage.output_tokens
        self.retries.append(Retry(reason=f"The answer did not fit: {wrong}.", generated_tokens=tokens))
        said = answer.text.strip() or answer.reasoning.strip()
        if said:
            demand = f"That does not fit: {wrong}. Answer again, with the corrected JSON alone."
            if self._enforces:
                demand = f"{demand} {self._demand()}"
            self._corrections = (ModelMessage.assistant(said), ModelMessage.user(demand))

    def _note_a_break(self, fault: NoMatchError, answer: ProviderResponse) -> None:
        if self._enforces and not self._broke_the_schema:
            self._broke_the_schema = not fault.is_json or _breaks(self._part.schema, answer.text)

    def _demand(self) -> str:
        schema = msgspec.json.encode(self._output.schema).decode()
        if len(schema) > _SHOWN_SCHEMA_LIMIT:
            schema = schema[:_SHOWN_SCHEMA_LIMIT] + "…"
        return f"Answer with JSON alone, without any other words, that fits this JSON Schema:\n{schema}"

    def tell(self, failure: RociError) -> None:
        """Put what the answers before it cost into `failure`."""
        if self.answers:
            receipt, last = self._receipt(None), failure.receipt
            retries: tuple[Retry, ...] = last.retries if last is not None else ()
            failure.receipt = replace(receipt, retries=receipt.retries + retries)

    def mismatch(self, fault: NoMatchError, *, is_cut: bool) -> SchemaMismatchError:
        answer = self.answers[-1]
        if is_cut:
            message = (
                f"The answer was cut short by the token limit, and what there is does not fit: {_in_words(fault)}."
            )
            hint = "Raise settings.max_tokens, or load the model with a longer context; what came is in .text."
        else:
            self._note_a_break(fault, answer)
            often = f", also after {len(self.retries)} more" if self.retries else ""
            message = f"The answer{often} does not fit {self._output.name}: {_in_words(fault)}."
            hint = (
                "A larger model, a simpler type, or a prompt that names the fields may help; see .text and .attempts."
            )
        error = SchemaMismatchError(
            message,
            text=answer.text or answer.reasoning,
            json_path=fault.json_path,
            attempts=tuple(self.answers),
            reply=answer,
            hint=hint,
        )
        error.receipt = self._receipt(None)
        return error

    def result(self, found: Found[T]) -> GenerateObjectResult[T]:
        answer = self.answers[-1]
        return GenerateObjectResult(
            object=found.value,
            text=answer.text,
            reasoning=answer.reasoning,
            usage=summed(each.usage for each in self.answers),
            finish_reason=answer.finish_reason,
            messages=(*self._asked.messages, answer.message),
            attempts=tuple(self.answers),
            stats=replace(answer.stats, total_time_s=sum(each.stats.total_time_s for each in self.answers)),
            warnings=tuple(dict.fromkeys(warning for each in self.answers for warning in each.warnings)),
            model=answer.model,
            receipt=self._receipt(found),
        )

    def _receipt(self, found: Found[Any] | None) -> Receipt:
        return object_receipt(
            self.answers,
            found,
            took_schema=self._enforces,
            broke_schema=self._broke_the_schema,
            checked_only=self._part.checked_only,
            adjustments=self._adjustments,
            retries=self.retries,
        )


def _in_words(fault: NoMatchError) -> str:
    place = "" if fault.json_path == "$" or f"(at {fault.json_path})" in fault.message else f" (at {fault.json_path})"
    return f"{fault.message[:_FAULT_LIMIT].rstrip('.')}{place}"


def _breaks(schema: dict[str, Any], text: str) -> bool:
    """Whether the text breaks what the server was to enforce, and not only what is checked here."""
    from roci.wire.schema.checked import SchemaChecker

    try:
        return SchemaChecker(schema, FIELD).fault(text) is not None
    except ImportError:
        return False  # nothing here can tell


def _with_words(messages: tuple[ModelMessage, ...], words: str) -> tuple[ModelMessage, ...]:
    """The conversation with a demand at the end of the user's last message: not every model knows system messages."""
    last = messages[-1]
    if last.role != "user":
        return (*messages, ModelMessage.user(words))
    parts: tuple[Part, ...] = (*last.parts, TextPart(f"\n\n{words}"))
    return (*messages[:-1], replace(last, parts=parts))
