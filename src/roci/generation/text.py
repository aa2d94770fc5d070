"""Text from a model, whole or as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from roci.errors import UsageError
from roci.providers.provider import ModelProvider
from roci.providers.registry import default_registry
from roci.providers.streams import AsyncTextStream, TextStream
from roci.selector import LanguageModel
from roci.types.messages import ModelMessage, conversation
from roci.types.requests import ProviderRequest
from roci.types.results import GenerateTextResult
from roci.types.settings import GenerationSettings, Timeouts
from roci.types.tools import ToolDefinition

Model: TypeAlias = ModelProvider | LanguageModel | str
Messages: TypeAlias = str | ModelMessage | Sequence[ModelMessage]


def generate_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition] = (),
    timeouts: Timeouts | None = None,
) -> GenerateTextResult:
    """The model's answer, whole.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: described to the model; its calls are handed back in `.tool_calls`.
        timeouts: for this call; else the provider's.

    Raises:
        UsageError: an argument is wrong; nothing was sent.
        TransportError: no whole reply came.
        ReplyError: the server said no.
        UnexpectedReplyError, OutputError: the reply cannot be used.
    """
    provider, request = provider_of(model), _request(messages, settings, tools, timeouts)
    return GenerateTextResult.of(provider.generate_text(request), tuple(request.messages))


async def agenerate_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition] = (),
    timeouts: Timeouts | None = None,
) -> GenerateTextResult:
    """The model's answer, whole.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: described to the model; its calls are handed back in `.tool_calls`.
        timeouts: for this call; else the provider's.

    Raises:
        UsageError: an argument is wrong; nothing was sent.
        TransportError: no whole reply came.
        ReplyError: the server said no.
        UnexpectedReplyError, OutputError: the reply cannot be used.
    """
    provider, request = provider_of(model), _request(messages, settings, tools, timeouts)
    return GenerateTextResult.of(await provider.agenerate_text(request), tuple(request.messages))


def stream_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition] = (),
    timeouts: Timeouts | None = None,
) -> TextStream:
    """The model's answer as it comes: iterate it for deltas, then ask its `result()`.

    The request leaves when the stream is first read. Use it in a `with` block, so that leaving early ends the
    generation on the server too.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: described to the model; its calls are handed back.
        timeouts: for this call; else the provider's.

    Raises:
        UsageError: an argument is wrong; reading the stream raises what `generate_text` does, and
            `StreamInterruptedError` with `.partial` where the answer breaks off.
    """
    return provider_of(model).stream_text(_request(messages, settings, tools, timeouts))


def astream_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition] = (),
    timeouts: Timeouts | None = None,
) -> AsyncTextStream:
    """The model's answer as it comes: iterate it for deltas, then ask its `result()`.

    The request leaves when the stream is first read. Use it in a `with` block, so that leaving early ends the
    generation on the server too.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: described to the model; its calls are handed back.
        timeouts: for this call; else the provider's.

    Raises:
        UsageError: an argument is wrong; reading the stream raises what `generate_text` does, and
            `StreamInterruptedError` with `.partial` where the answer breaks off.
    """
    return provider_of(model).astream_text(_request(messages, settings, tools, timeouts))


def provider_of(model: Model) -> ModelProvider:
    """The provider that `model` is or names.

    Raises:
        SelectorError: it names none.
    """
    if isinstance(model, ModelProvider):
        return model
    if isinstance(model, (str, LanguageModel)):  # pyright: ignore[reportUnnecessaryIsInstance]
        return default_registry().provider_for(model)
    raise UsageError(
        f"model is a {type(model).__name__}, not a provider, a LanguageModel or a selector string.",
        field="model",
        hint='For instance "lmstudio:llama3.3", or LmStudioProvider("llama3.3").',
    )


def _request(
    messages: Messages,
    settings: GenerationSettings | None,
    tools: Sequence[ToolDefinition],
    timeouts: Timeouts | None,
) -> ProviderRequest:
    return ProviderRequest(
        messages=conversation(messages),
        settings=settings or GenerationSettings(),
        tools=tuple(tools),
        timeouts=timeouts,
    )
