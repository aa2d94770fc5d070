"""An answer in a type of the user's, whole or as it grows."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from roci.errors import RociError, UsageError
from roci.generation.object_attempts import MAX_RETRIES, RETRIES_LIMIT, Attempts, attempts, output_of
from roci.generation.object_streams import AsyncObjectStream, ObjectStream
from roci.generation.text import Messages, Model, provider_of
from roci.providers.provider import ModelProvider
from roci.types.messages import conversation
from roci.types.object_results import GenerateObjectResult
from roci.types.output_schema import OutputType
from roci.types.overflow import OnOverflow
from roci.types.requests import ProviderRequest
from roci.types.settings import GenerationSettings, Timeouts

T = TypeVar("T")


@overload
def generate_object(
    model: Model,
    messages: Messages,
    output_type: type[T],
    *,
    settings: GenerationSettings | None = None,
    max_retries: int = MAX_RETRIES,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateObjectResult[T]: ...
@overload
def generate_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    max_retries: int = MAX_RETRIES,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateObjectResult[Any]: ...
def generate_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    max_retries: int = MAX_RETRIES,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateObjectResult[Any]:
    """The model's answer as a value of `output_type`.

    The server holds the model to the type's JSON Schema while it writes, where it can; the answer is always checked
    here too. `.receipt` says which of it happened.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        output_type: a pydantic model, dataclass, msgspec Struct, TypedDict, enum, `Literal`, union, `list[…]`,
            `dict[…]` or plain type; or a JSON Schema as a dict, whose answers are what JSON decodes to.
        settings: how to generate; the server's own where it is silent.
        max_retries: how often to ask again, with the fault shown to the model, where an answer does not fit; 0 to 20.
            An answer that the token limit cut is not asked for again.
        on_overflow: `"drop_oldest"` leaves old turns out of a conversation that does not fit the context.
        timeouts: for each attempt; else the provider's.

    Raises:
        UsageError: an argument is wrong, or the type has no JSON Schema; nothing was sent.
        SchemaMismatchError: no answer fitted; `.json_path`, `.text`, `.attempts`, `.receipt`.
        TransportError: no whole reply came.
        ReplyError: the server said no.
        UnexpectedReplyError, OutputError: the reply cannot be used.
    """
    provider, asking, _ = _attempts(model, messages, output_type, settings, max_retries, on_overflow, timeouts)
    request = next(asking)
    while True:
        try:
            response = provider.generate_text(request)
        except RociError as failure:
            request = asking.throw(failure)
            continue
        try:
            request = asking.send(response)
        except StopIteration as done:
            return done.value


@overload
async def agenerate_object(
    model: Model,
    messages: Messages,
    output_type: type[T],
    *,
    settings: GenerationSettings | None = None,
    max_retries: int = MAX_RETRIES,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateObjectResult[T]: ...
@overload
async def agenerate_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    max_retries: int = MAX_RETRIES,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateObjectResult[Any]: ...
async def agenerate_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    max_retries: int = MAX_RETRIES,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateObjectResult[Any]:
    """The model's answer as a value of `output_type`.

    The server holds the model to the type's JSON Schema while it writes, where it can; the answer is always checked
    here too. `.receipt` says which of it happened.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        output_type: a pydantic model, dataclass, msgspec Struct, TypedDict, enum, `Literal`, union, `list[…]`,
            `dict[…]` or plain type; or a JSON Schema as a dict, whose answers are what JSON decodes to.
        settings: how to generate; the server's own where it is silent.
        max_retries: how often to ask again, with the fault shown to the model, where an answer does not fit; 0 to 20.
            An answer that the token limit cut is not asked for again.
        on_overflow: `"drop_oldest"` leaves old turns out of a conversation that does not fit the context.
        timeouts: for each attempt; else the provider's.

    Raises:
        UsageError: an argument is wrong, or the type has no JSON Schema; nothing was sent.
        SchemaMismatchError: no answer fitted; `.json_path`, `.text`, `.attempts`, `.receipt`.
        TransportError: no whole reply came.
        ReplyError: the server said no.
        UnexpectedReplyError, OutputError: the reply cannot be used.
    """
    provider, asking, _ = _attempts(model, messages, output_type, settings, max_retries, on_overflow, timeouts)
    request = next(asking)
    while True:
        try:
            response = await provider.agenerate_text(request)
        except RociError as failure:
            request = asking.throw(failure)
            continue
        try:
            request = asking.send(response)
        except StopIteration as done:
            return done.value


@overload
def stream_object(
    model: Model,
    messages: Messages,
    output_type: type[T],
    *,
    settings: GenerationSettings | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> ObjectStream[T]: ...
@overload
def stream_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> ObjectStream[Any]: ...
def stream_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> ObjectStream[Any]:
    """The model's answer as it grows: iterate it for partial values, then ask its `result()`.

    A partial value is what JSON decodes to (dicts, lists, texts, numbers), not yet checked: keys may be missing, texts
    may go on, and a number at the end is held back until it is whole. The request leaves when the stream is first
    read. Use it in a `with` block, so that leaving early ends the generation on the server too. An answer that does
    not fit in the end is not asked for again.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        output_type: as for `generate_object`.
        settings: how to generate; the server's own where it is silent.
        on_overflow: `"drop_oldest"` leaves old turns out of a conversation that does not fit the context.
        timeouts: for this call; else the provider's.

    Raises:
        UsageError: an argument is wrong, or the type has no JSON Schema; reading the stream raises what
            `generate_object` does, and `StreamInterruptedError` with `.partial` where the answer breaks off.
    """
    provider, asking, output = _attempts(model, messages, output_type, settings, 0, on_overflow, timeouts)
    return ObjectStream(provider.stream_text, asking, output)


@overload
def astream_object(
    model: Model,
    messages: Messages,
    output_type: type[T],
    *,
    settings: GenerationSettings | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> AsyncObjectStream[T]: ...
@overload
def astream_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> AsyncObjectStream[Any]: ...
def astream_object(
    model: Model,
    messages: Messages,
    output_type: Any,
    *,
    settings: GenerationSettings | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> AsyncObjectStream[Any]:
    """The model's answer as it grows: iterate it for partial values, then ask its `result()`.

    A partial value is what JSON decodes to (dicts, lists, texts, numbers), not yet checked: keys may be missing, texts
    may go on, and a number at the end is held back until it is whole. The request leaves when the stream is first
    read. Use it in a `with` block, so that leaving early ends the generation on the server too. An answer that does
    not fit in the end is not asked for again.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        output_type: as for `generate_object`.
        settings: how to generate; the server's own where it is silent.
        on_overflow: `"drop_oldest"` leaves old turns out of a conversation that does not fit the context.
        timeouts: for this call; else the provider's.

    Raises:
        UsageError: an argument is wrong, or the type has no JSON Schema; reading the stream raises what
            `generate_object` does, and `StreamInterruptedError` with `.partial` where the answer breaks off.
    """
    provider, asking, output = _attempts(model, messages, output_type, settings, 0, on_overflow, timeouts)
    return AsyncObjectStream(provider.astream_text, asking, output)


def _attempts(
    model: Model,
    messages: Messages,
    output_type: Any,
    settings: GenerationSettings | None,
    max_retries: int,
    on_overflow: OnOverflow,
    timeouts: Timeouts | None,
) -> tuple[ModelProvider, Attempts[Any], OutputType[Any]]:
    provider = provider_of(model)
    settings = settings or GenerationSettings()
    if settings.response_format is not None:
        raise UsageError(
            "settings.response_format is set, and output_type asks for another form of the answer.",
            field="settings.response_format",
            hint="Leave it out: the schema follows from output_type.",
        )
    if isinstance(max_retries, bool) or not isinstance(max_retries, int) or not 0 <= max_retries <= RETRIES_LIMIT:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"max_retries is {max_retries!r}; it takes 0 to {RETRIES_LIMIT}.", field="max_retries")
    output = output_of(output_type)
    request = ProviderRequest(
        messages=conversation(messages), settings=settings, on_overflow=on_overflow, timeouts=timeouts
    )
    return provider, attempts(request, output, max_retries), output
