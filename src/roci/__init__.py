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
        DiskFullError as DiskFullError,
        DownloadError as DownloadError,
        EmbeddingSizeError as EmbeddingSizeError,
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
        SuspectedTruncationWarning as SuspectedTruncationWarning,
        TimedOutError as TimedOutError,
        ToolCallMissingError as ToolCallMissingError,
        ToolDefinitionError as ToolDefinitionError,
        ToolRoundsExceededError as ToolRoundsExceededError,
        TransportError as TransportError,
        TruncatedReplyError as TruncatedReplyError,
        UnexpectedReplyError as UnexpectedReplyError,
        UnsupportedError as UnsupportedError,
        UsageError as UsageError,
        WorkerDiedError as WorkerDiedError,
        WorkerError as WorkerError,
        WrongEndpointError as WrongEndpointError,
    )
    from roci.generation.embed import (
        aembed as aembed,
        embed as embed,
    )
    from roci.generation.images import (
        afetch_image as afetch_image,
        fetch_image as fetch_image,
    )
    from roci.generation.object import (
        agenerate_object as agenerate_object,
        astream_object as astream_object,
        generate_object as generate_object,
        stream_object as stream_object,
    )
    from roci.generation.object_streams import (
        AsyncObjectStream as AsyncObjectStream,
        ObjectStream as ObjectStream,
    )
    from roci.generation.text import (
        agenerate_text as agenerate_text,
        astream_text as astream_text,
        generate_text as generate_text,
        stream_text as stream_text,
    )
    from roci.providers.lmstudio import LmStudioProvider as LmStudioProvider
    from roci.providers.local import LocalProvider as LocalProvider
    from roci.providers.model_server import LmStudioServer as LmStudioServer
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
    from roci.types.embeddings import (
        EmbedRequest as EmbedRequest,
        EmbedResponse as EmbedResponse,
        EmbedResult as EmbedResult,
    )
    from roci.types.management import (
        DownloadStatus as DownloadStatus,
        LoadedModel as LoadedModel,
        LoadOptions as LoadOptions,
        LoadProgress as LoadProgress,
        ServerStatus as ServerStatus,
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
    from roci.types.object_results import GenerateObjectResult as GenerateObjectResult
    from roci.types.receipt import (
        Adjustment as Adjustment,
        Receipt as Receipt,
        Retry as Retry,
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
    from roci.types.retries import RetryPolicy as RetryPolicy
    from roci.types.settings import (
        GenerationSettings as GenerationSettings,
        ResponseFormat as ResponseFormat,
        Timeouts as Timeouts,
    )
    from roci.types.stream import (
        TextStreamDelta as TextStreamDelta,
        ToolCallDelta as ToolCallDelta,
    )
    from roci.types.tool_function import (
        Tool as Tool,
        tool as tool,
    )
    from roci.types.tools import (
        ToolCall as ToolCall,
        ToolChoice as ToolChoice,
        ToolDefinition as ToolDefinition,
    )

_NAMES_OF = {
    "roci.generation.embed": (
        "aembed",
        "embed",
    ),
    "roci.generation.images": (
        "afetch_image",
        "fetch_image",
    ),
    "roci.generation.object": (
        "agenerate_object",
        "astream_object",
        "generate_object",
        "stream_object",
    ),
    "roci.generation.object_streams": (
        "AsyncObjectStream",
        "ObjectStream",
    ),
    "roci.types.object_results": ("GenerateObjectResult",),
    "roci.generation.text": (
        "agenerate_text",
        "astream_text",
        "generate_text",
        "stream_text",
    ),
    "roci.providers.provider": ("ModelProvider",),
    "roci.providers.lmstudio": ("LmStudioProvider",),
    "roci.providers.model_server": ("LmStudioServer",),
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
    "roci.types.embeddings": (
        "EmbedRequest",
        "EmbedResponse",
        "EmbedResult",
    ),
    "roci.types.management": (
        "DownloadStatus",
        "LoadOptions",
        "LoadProgress",
        "LoadedModel",
        "ServerStatus",
    ),
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
    "roci.types.tool_function": (
        "Tool",
        "tool",
    ),
    "roci.types.tools": (
        "ToolCall",
        "ToolChoice",
        "ToolDefinition",
    ),
    "roci.types.receipt": (
        "Adjustment",
        "Receipt",
        "Retry",
    ),
    "roci.types.requests": ("ProviderRequest",),
    "roci.types.retries": ("RetryPolicy",),
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
        "DiskFullError",
        "DownloadError",
        "EmbeddingSizeError",
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
        "SuspectedTruncationWarning",
        "TimedOutError",
        "ToolCallMissingError",
        "ToolDefinitionError",
        "ToolRoundsExceededError",
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
