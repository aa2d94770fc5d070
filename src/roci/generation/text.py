"""Text from a model, whole or as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from roci.errors import ToolDefinitionError, UsageError
from roci.providers.provider import ModelProvider
from roci.providers.registry import default_registry
from roci.providers.streams import AsyncTextStream, TextStream
from roci.selector import LanguageModel
from roci.types.messages import ModelMessage, conversation
from roci.types.overflow import OnOverflow
from roci.types.requests import ProviderRequest, checked
from roci.types.results import GenerateTextResult
from roci.types.settings import GenerationSettings, Timeouts
from roci.types.tool_review import OnToolCall
from roci.types.tools import ToolDefinition

if TYPE_CHECKING:
    from roci.generation.tool_rounds import ToolRounds

MAX_STEPS: Final = 8

# What runs tools is imported where there are some: calls without tools are not to wait for it.

Model: TypeAlias = ModelProvider | LanguageModel | str
Messages: TypeAlias = str | ModelMessage | Sequence[ModelMessage]


def generate_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition | Callable[..., Any]] = (),
    max_steps: int = MAX_STEPS,
    execute_tools: bool = True,
    on_tool_call: OnToolCall | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateTextResult:
    """The model's answer, whole; with tools, the answer after all that it called.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: what the model may call. A `Tool`, or a function, is run and its result goes back to the model until that
            answers without a call; calls of a plain `ToolDefinition` are handed back in `.tool_calls`.
        max_steps: answers of the model at most, from 1. A `tool_choice` that requires a call holds for the first.
        execute_tools: False hands every call back in `.tool_calls`.
        on_tool_call: asked before a call is run; see `Decision`. May be async in the async functions.
        on_overflow: where the conversation does not fit the model's context: `"error"`, or `"drop_oldest"`, which
            leaves out whole old turns and says so in the receipt.
        timeouts: for each request to the server; else the provider's.

    Raises:
        UsageError: an argument is wrong; nothing was sent.
        TransportError: no whole reply came.
        ReplyError: the server said no.
        UnexpectedReplyError, OutputError: the reply cannot be used. Among them `ToolCallMissingError`, where a required
            call did not come, and `ToolRoundsExceededError`, past `max_steps`.
    """
    provider, request = provider_of(model), _request(messages, settings, tools, on_overflow, timeouts)
    if not request.tools:
        return GenerateTextResult.of(provider.generate_text(request), tuple(request.messages))
    from roci.generation.round_shells import run_rounds

    rounds = _rounds(request, max_steps, execute_tools, on_tool_call)
    return run_rounds(rounds, provider.generate_text, on_tool_call)


async def agenerate_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition | Callable[..., Any]] = (),
    max_steps: int = MAX_STEPS,
    execute_tools: bool = True,
    on_tool_call: OnToolCall | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> GenerateTextResult:
    """The model's answer, whole; with tools, the answer after all that it called.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: what the model may call. A `Tool`, or a function, is run and its result goes back to the model until that
            answers without a call; calls of a plain `ToolDefinition` are handed back in `.tool_calls`.
        max_steps: answers of the model at most, from 1. A `tool_choice` that requires a call holds for the first.
        execute_tools: False hands every call back in `.tool_calls`.
        on_tool_call: asked before a call is run; see `Decision`. May be async in the async functions.
        on_overflow: where the conversation does not fit the model's context: `"error"`, or `"drop_oldest"`, which
            leaves out whole old turns and says so in the receipt.
        timeouts: for each request to the server; else the provider's.

    Raises:
        UsageError: an argument is wrong; nothing was sent.
        TransportError: no whole reply came.
        ReplyError: the server said no.
        UnexpectedReplyError, OutputError: the reply cannot be used. Among them `ToolCallMissingError`, where a required
            call did not come, and `ToolRoundsExceededError`, past `max_steps`.
    """
    provider, request = provider_of(model), _request(messages, settings, tools, on_overflow, timeouts)
    if not request.tools:
        return GenerateTextResult.of(await provider.agenerate_text(request), tuple(request.messages))
    from roci.generation.round_shells import arun_rounds

    rounds = _rounds(request, max_steps, execute_tools, on_tool_call)
    return await arun_rounds(rounds, provider.agenerate_text, on_tool_call)


def stream_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition | Callable[..., Any]] = (),
    max_steps: int = MAX_STEPS,
    execute_tools: bool = True,
    on_tool_call: OnToolCall | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> TextStream:
    """The model's answer as it comes: iterate it for deltas, then ask its `result()`.

    With tools, the deltas of all rounds come one after the other, with the tools' results between them.

    The request leaves when the stream is first read. Use it in a `with` block, so that leaving early ends the
    generation on the server too.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: what the model may call. A `Tool`, or a function, is run and its result goes back to the model until that
            answers without a call; calls of a plain `ToolDefinition` are handed back in `.tool_calls`.
        max_steps: answers of the model at most, from 1. A `tool_choice` that requires a call holds for the first.
        execute_tools: False hands every call back in `.tool_calls`.
        on_tool_call: asked before a call is run; see `Decision`. May be async in the async functions.
        on_overflow: where the conversation does not fit the model's context: `"error"`, or `"drop_oldest"`, which
            leaves out whole old turns and says so in the receipt.
        timeouts: for each request to the server; else the provider's.

    Raises:
        UsageError: an argument is wrong; reading the stream raises what `generate_text` does, and
            `StreamInterruptedError` with `.partial` where the answer breaks off.
    """
    provider, request = provider_of(model), _request(messages, settings, tools, on_overflow, timeouts)
    if not request.tools:
        return provider.stream_text(request)
    from roci.generation.round_shells import RoundsStream

    rounds = _rounds(request, max_steps, execute_tools, on_tool_call)
    return RoundsStream(rounds, provider.stream_text, on_tool_call)


def astream_text(
    model: Model,
    messages: Messages,
    settings: GenerationSettings | None = None,
    *,
    tools: Sequence[ToolDefinition | Callable[..., Any]] = (),
    max_steps: int = MAX_STEPS,
    execute_tools: bool = True,
    on_tool_call: OnToolCall | None = None,
    on_overflow: OnOverflow = "error",
    timeouts: Timeouts | None = None,
) -> AsyncTextStream:
    """The model's answer as it comes: iterate it for deltas, then ask its `result()`.

    With tools, the deltas of all rounds come one after the other, with the tools' results between them.

    The request leaves when the stream is first read. Use it in a `with` block, so that leaving early ends the
    generation on the server too.

    Args:
        model: a provider, a `LanguageModel`, or a selector string such as `"lmstudio:llama3.3"`.
        messages: a conversation, or a string for one user message.
        settings: how to generate; the server's own where it is silent.
        tools: what the model may call. A `Tool`, or a function, is run and its result goes back to the model until that
            answers without a call; calls of a plain `ToolDefinition` are handed back in `.tool_calls`.
        max_steps: answers of the model at most, from 1. A `tool_choice` that requires a call holds for the first.
        execute_tools: False hands every call back in `.tool_calls`.
        on_tool_call: asked before a call is run; see `Decision`. May be async in the async functions.
        on_overflow: where the conversation does not fit the model's context: `"error"`, or `"drop_oldest"`, which
            leaves out whole old turns and says so in the receipt.
        timeouts: for each request to the server; else the provider's.

    Raises:
        UsageError: an argument is wrong; reading the stream raises what `generate_text` does, and
            `StreamInterruptedError` with `.partial` where the answer breaks off.
    """
    provider, request = provider_of(model), _request(messages, settings, tools, on_overflow, timeouts)
    if not request.tools:
        return provider.astream_text(request)
    from roci.generation.round_shells import AsyncRoundsStream

    rounds = _rounds(request, max_steps, execute_tools, on_tool_call)
    return AsyncRoundsStream(rounds, provider.astream_text, on_tool_call)


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
    tools: Sequence[ToolDefinition | Callable[..., Any]],
    on_overflow: OnOverflow,
    timeouts: Timeouts | None,
) -> ProviderRequest:
    return ProviderRequest(
        messages=conversation(messages),
        settings=settings or GenerationSettings(),
        tools=_described(tools) if tools else (),
        on_overflow=on_overflow,
        timeouts=timeouts,
    )


def _described(tools: Sequence[ToolDefinition | Callable[..., Any]]) -> tuple[ToolDefinition, ...]:
    from roci.types.tool_function import as_tool

    return tuple(as_tool(tool) for tool in tools)


def _rounds(
    request: ProviderRequest, max_steps: int, execute_tools: bool, on_tool_call: OnToolCall | None
) -> ToolRounds:
    from roci.generation.tool_rounds import ToolRounds
    from roci.types.tool_function import Tool

    for tool in request.tools or ():
        if isinstance(tool, Tool) and tool.receiver:
            raise ToolDefinitionError(
                f"The tool {tool.name!r} is a method without its object.",
                tool=tool.name,
                parameter=tool.receiver,
                hint="Take it from an instance: `thing.method`, not `Thing.method`.",
            )
    checked(request)  # a stream would say only when it is first read
    return ToolRounds(request, max_steps=max_steps, executes=execute_tools, has_reviewer=on_tool_call is not None)
