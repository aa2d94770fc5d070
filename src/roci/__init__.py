"""One Python API to local LLM servers, LM Studio first.

    from roci import generate_text

    print(generate_text("lmstudio:llama3.3", "Why is the sky blue?").text)

Every function or method `x` that talks to a server has an async twin `ax` with the same signature. Nothing is
imported until it is touched.
"""

TYPE_CHECKING = False  # type checkers know the name; importing it from `typing` would cost more than the rest

if TYPE_CHECKING:
    from roci.config import (
        RociConfig,
    )
    from roci.errors import (
        AccessDeniedError,
        BadModelFileError,
        BadRequestError,
        ConfigError,
        ConnectionLostError,
        ContextTooLongError,
        EmptyReplyError,
        LoadFailedError,
        ModelNotFoundError,
        ModelSubstitutedWarning,
        NoModelLoadedError,
        NotAnApiError,
        NotEnoughMemoryError,
        OutputError,
        PortBusyError,
        ReplyError,
        RociError,
        SchemaMismatchError,
        SelectorError,
        ServerBusyError,
        ServerFailedError,
        ServerUnreachableError,
        StarterModelError,
        StreamInterruptedError,
        TimedOutError,
        ToolDefinitionError,
        TransportError,
        TruncatedReplyError,
        UnexpectedReplyError,
        UnsupportedError,
        UsageError,
        WorkerDiedError,
        WorkerError,
        WrongEndpointError,
    )
    from roci.generation.text import (
        agenerate_text,
        astream_text,
        generate_text,
        stream_text,
    )
    from roci.providers.lmstudio import (
        LmStudioProvider,
    )
    from roci.providers.local import (
        LocalProvider,
    )
    from roci.providers.openai_compatible import (
        OpenAICompatibleProvider,
    )
    from roci.providers.provider import (
        ModelProvider,
    )
    from roci.providers.registry import (
        ProviderFactory,
        ProviderRegistry,
        default_registry,
    )
    from roci.providers.streams import (
        AsyncTextStream,
        TextStream,
    )
    from roci.selector import (
        LanguageModel,
        ModelSelector,
    )
    from roci.types.messages import (
        ImagePart,
        ModelMessage,
        TextPart,
    )
    from roci.types.models import (
        LmStudioModel,
        ModelCapabilities,
        ModelInfo,
    )
    from roci.types.requests import (
        ProviderRequest,
    )
    from roci.types.results import (
        FinishReason,
        GenerateTextResult,
        GenerationStats,
        GenerationStep,
        GenerationWarning,
        ProviderResponse,
        Usage,
    )
    from roci.types.settings import (
        GenerationSettings,
        ResponseFormat,
        Timeouts,
    )
    from roci.types.stream import (
        TextStreamDelta,
        ToolCallDelta,
    )
    from roci.types.tools import (
        ToolCall,
        ToolChoice,
        ToolDefinition,
    )

_NAMES_OF = {
    "roci.generation.text": (
        "agenerate_text",
        "astream_text",
        "generate_text",
        "stream_text",
    ),
    "roci.providers.provider": ("ModelProvider",),
    "roci.providers.lmstudio": ("LmStudioProvider",),
    "roci.providers.openai_compatible": ("OpenAICompatibleProvider",),
    "roci.providers.local": ("LocalProvider",),
    "roci.providers.registry": (
        "ProviderFactory",
        "ProviderRegistry",
        "default_registry",
    ),
    "roci.providers.streams": (
        "AsyncTextStream",
        "TextStream",
    ),
    "roci.selector": (
        "LanguageModel",
        "ModelSelector",
    ),
    "roci.config": ("RociConfig",),
    "roci.types.messages": (
        "ImagePart",
        "ModelMessage",
        "TextPart",
    ),
    "roci.types.settings": (
        "GenerationSettings",
        "ResponseFormat",
        "Timeouts",
    ),
    "roci.types.tools": (
        "ToolCall",
        "ToolChoice",
        "ToolDefinition",
    ),
    "roci.types.requests": ("ProviderRequest",),
    "roci.types.results": (
        "FinishReason",
        "GenerateTextResult",
        "GenerationStats",
        "GenerationStep",
        "GenerationWarning",
        "ProviderResponse",
        "Usage",
    ),
    "roci.types.stream": (
        "TextStreamDelta",
        "ToolCallDelta",
    ),
    "roci.types.models": (
        "LmStudioModel",
        "ModelCapabilities",
        "ModelInfo",
    ),
    "roci.errors": (
        "AccessDeniedError",
        "BadModelFileError",
        "BadRequestError",
        "ConfigError",
        "ConnectionLostError",
        "ContextTooLongError",
        "EmptyReplyError",
        "LoadFailedError",
        "ModelNotFoundError",
        "ModelSubstitutedWarning",
        "NoModelLoadedError",
        "NotAnApiError",
        "NotEnoughMemoryError",
        "OutputError",
        "PortBusyError",
        "ReplyError",
        "RociError",
        "SchemaMismatchError",
        "SelectorError",
        "ServerBusyError",
        "ServerFailedError",
        "ServerUnreachableError",
        "StarterModelError",
        "StreamInterruptedError",
        "TimedOutError",
        "ToolDefinitionError",
        "TransportError",
        "TruncatedReplyError",
        "UnexpectedReplyError",
        "UnsupportedError",
        "UsageError",
        "WorkerDiedError",
        "WorkerError",
        "WrongEndpointError",
    ),
}
_HOMES = {name: home for home, names in _NAMES_OF.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped as a reader looks for them
    "agenerate_text",
    "astream_text",
    "generate_text",
    "stream_text",
    "ModelProvider",
    "LmStudioProvider",
    "OpenAICompatibleProvider",
    "LocalProvider",
    "ProviderFactory",
    "ProviderRegistry",
    "default_registry",
    "AsyncTextStream",
    "TextStream",
    "LanguageModel",
    "ModelSelector",
    "RociConfig",
    "ImagePart",
    "ModelMessage",
    "TextPart",
    "GenerationSettings",
    "ResponseFormat",
    "Timeouts",
    "ToolCall",
    "ToolChoice",
    "ToolDefinition",
    "ProviderRequest",
    "FinishReason",
    "GenerateTextResult",
    "GenerationStats",
    "GenerationStep",
    "GenerationWarning",
    "ProviderResponse",
    "Usage",
    "TextStreamDelta",
    "ToolCallDelta",
    "LmStudioModel",
    "ModelCapabilities",
    "ModelInfo",
    "AccessDeniedError",
    "BadModelFileError",
    "BadRequestError",
    "ConfigError",
    "ConnectionLostError",
    "ContextTooLongError",
    "EmptyReplyError",
    "LoadFailedError",
    "ModelNotFoundError",
    "ModelSubstitutedWarning",
    "NoModelLoadedError",
    "NotAnApiError",
    "NotEnoughMemoryError",
    "OutputError",
    "PortBusyError",
    "ReplyError",
    "RociError",
    "SchemaMismatchError",
    "SelectorError",
    "ServerBusyError",
    "ServerFailedError",
    "ServerUnreachableError",
    "StarterModelError",
    "StreamInterruptedError",
    "TimedOutError",
    "ToolDefinitionError",
    "TransportError",
    "TruncatedReplyError",
    "UnexpectedReplyError",
    "UnsupportedError",
    "UsageError",
    "WorkerDiedError",
    "WorkerError",
    "WrongEndpointError",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'roci' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
