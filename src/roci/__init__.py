"""One Python API to local LLM servers, LM Studio first.

    from roci import generate_text

    print(generate_text("lmstudio:llama3.3", "Why is the sky blue?").text)

Every function or method `x` that talks to a server has an async twin `ax` with the same signature. Nothing is
imported until it is touched.
"""

TYPE_CHECKING = False  # type checkers know the name; importing it from `typing` would cost more than the rest

if TYPE_CHECKING:
    from roci.config import RociConfig as RociConfig
    from roci.errors import (
        AccessDeniedError as AccessDeniedError,
        BadModelFileError as BadModelFileError,
        BadRequestError as BadRequestError,
        ConfigError as ConfigError,
        ConnectionLostError as ConnectionLostError,
        ContextTooLongError as ContextTooLongError,
        EmptyReplyError as EmptyReplyError,
        LoadFailedError as LoadFailedError,
        ModelNotFoundError as ModelNotFoundError,
        ModelSubstitutedWarning as ModelSubstitutedWarning,
        NoModelLoadedError as NoModelLoadedError,
        NotAnApiError as NotAnApiError,
        NotEnoughMemoryError as NotEnoughMemoryError,
        OutputError as OutputError,
        PortBusyError as PortBusyError,
        ReplyError as ReplyError,
        RociError as RociError,
        SchemaMismatchError as SchemaMismatchError,
        SelectorError as SelectorError,
        ServerBusyError as ServerBusyError,
        ServerFailedError as ServerFailedError,
        ServerUnreachableError as ServerUnreachableError,
        StarterModelError as StarterModelError,
        StreamInterruptedError as StreamInterruptedError,
        TimedOutError as TimedOutError,
        ToolDefinitionError as ToolDefinitionError,
        TransportError as TransportError,
        TruncatedReplyError as TruncatedReplyError,
        UnexpectedReplyError as UnexpectedReplyError,
        UnsupportedError as UnsupportedError,
        UsageError as UsageError,
        WorkerDiedError as WorkerDiedError,
        WorkerError as WorkerError,
        WrongEndpointError as WrongEndpointError,
    )
    from roci.generation.text import (
        agenerate_text as agenerate_text,
        astream_text as astream_text,
        generate_text as generate_text,
        stream_text as stream_text,
    )
    from roci.providers.lmstudio import LmStudioProvider as LmStudioProvider
    from roci.providers.local import LocalProvider as LocalProvider
    from roci.providers.openai_compatible import OpenAICompatibleProvider as OpenAICompatibleProvider
    from roci.providers.provider import ModelProvider as ModelProvider
    from roci.providers.registry import (
        ProviderFactory as ProviderFactory,
        ProviderRegistry as ProviderRegistry,
        default_registry as default_registry,
    )
    from roci.providers.streams import (
        AsyncTextStream as AsyncTextStream,
        TextStream as TextStream,
    )
    from roci.selector import (
        LanguageModel as LanguageModel,
        ModelSelector as ModelSelector,
    )
    from roci.types.messages import (
        ImagePart as ImagePart,
        ModelMessage as ModelMessage,
        TextPart as TextPart,
    )
    from roci.types.models import (
        LmStudioModel as LmStudioModel,
        ModelCapabilities as ModelCapabilities,
        ModelInfo as ModelInfo,
    )
    from roci.types.requests import ProviderRequest as ProviderRequest
    from roci.types.results import (
        FinishReason as FinishReason,
        GenerateTextResult as GenerateTextResult,
        GenerationStats as GenerationStats,
        GenerationStep as GenerationStep,
        GenerationWarning as GenerationWarning,
        ProviderResponse as ProviderResponse,
        Usage as Usage,
    )
    from roci.types.settings import (
        GenerationSettings as GenerationSettings,
        ResponseFormat as ResponseFormat,
        Timeouts as Timeouts,
    )
    from roci.types.stream import (
        TextStreamDelta as TextStreamDelta,
        ToolCallDelta as ToolCallDelta,
    )
    from roci.types.tools import (
        ToolCall as ToolCall,
        ToolChoice as ToolChoice,
        ToolDefinition as ToolDefinition,
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

__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll] - the aliases above say it to type checkers


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
