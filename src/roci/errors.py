"""Every exception that roci raises on purpose. Facts are attributes; `.hint` says what to do next.

RociError
├─ UsageError (ValueError)          the calling code must change (.field)
│  ├─ SelectorError                 no such provider, or no model in the selector (.selector .known .nearest)
│  ├─ ConfigError                   a setting or base URL cannot be used (.setting .value .origin)
│  ├─ UnsupportedError              this provider or model cannot do that (.capability)
│  └─ ToolDefinitionError           a tool cannot be described to a model (.parameter)
├─ TransportError                   no whole reply came
│  ├─ ServerUnreachableError        also a ConnectionError (.base_url)
│  ├─ ConnectionLostError           it broke before the reply was whole (.body)
│  ├─ TimedOutError                 also a TimeoutError (.phase .waited_s .partial)
│  └─ StreamInterruptedError        the stream broke (.partial)
├─ ReplyError                       the server said no (.status .code .param .body .partial)
│  ├─ BadRequestError               400, 413, 422
│  │  └─ ContextTooLongError        (.limit_tokens .given_tokens)
│  ├─ AccessDeniedError             401, 403
│  ├─ ModelNotFoundError            (.key .similar .available)
│  ├─ NoModelLoadedError            the server has nothing loaded and loads nothing by itself (.available)
│  ├─ WrongEndpointError            the server has no such path; often a wrong base URL (.path)
│  ├─ ServerBusyError               429, 503 (.retry_after_s)
│  └─ ServerFailedError             other 5xx
├─ UnexpectedReplyError             a reply outside its wire type (.json_path .body .content_type)
│  ├─ EmbeddingSizeError            a vector of another size than those before it (.expected .actual)
│  ├─ NotAnApiError                 a web page or other text where JSON was due
│  └─ TruncatedReplyError           JSON that stops in the middle
├─ OutputError                      the model's answer is unusable (.reply)
│  ├─ EmptyReplyError               a success with neither content nor a reason
│  ├─ SchemaMismatchError           (.text .json_path .attempts)
│  ├─ ToolCallMissingError          a call was required, and the model made none (.text .tool_choice)
│  └─ ToolRoundsExceededError       the model still calls tools after the last step (.rounds .steps)
├─ WorkerError                      a model process on this machine (.key .log_tail)
│  ├─ LoadFailedError
│  │  ├─ BadModelFileError          no GGUF, an old format, cut short, unknown architecture (.path .reason)
│  │  └─ NotEnoughMemoryError       (.needed_bytes .free_bytes)
│  └─ WorkerDiedError               (.exit_code)
├─ StarterModelError                the starter model could not be fetched (.log_tail)
├─ DownloadError                    a model's file could not be downloaded (.file .done_bytes .total_bytes)
│  ├─ DiskFullError                 (.needed_bytes .free_bytes)
│  └─ CorruptDownloadError          what came is not the file that was announced (.expected .actual)
├─ LibraryError                     a model's files could not be brought in, or removed (.path)
└─ PortBusyError                    `roci serve` cannot have its port (.host .port .holder)

ModelSubstitutedWarning (UserWarning)   another model answered than the one asked for
SuspectedTruncationWarning (UserWarning)   the server counted far fewer prompt tokens than were sent
"""

from __future__ import annotations

from typing import Any


class RociError(Exception):
    """All that roci raises on purpose. `str()` is the message, then the hint."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        """What to do next, as a sentence; empty where the message says it all."""
        self.receipt: Any = None
        """The `Receipt` of the call that failed: how often it was tried, and what it cost. None where nothing was
        asked of a server."""
        self.partial: Any = None
        """The `GenerateTextResult` so far, where something of it had come: a stream's beginning, the rounds before."""

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Facts are keyword arguments, which Exception's own pickling would lose.
        return (_rebuilt, (type(self), self.message, self.__dict__))


def _rebuilt(kind: type[RociError], message: str, facts: dict[str, Any]) -> RociError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    error.__dict__.update(facts)
    return error


# ---- the calling code must change


class UsageError(RociError, ValueError):
    """The calling code must change; nothing was sent."""

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field
        """The argument or field at fault, as a path: `settings.temperature`."""


class SelectorError(UsageError):
    """No such provider, or no model in the selector."""

    def __init__(
        self,
        message: str,
        *,
        selector: str,
        known: tuple[str, ...] = (),
        nearest: tuple[str, ...] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message, field="model", hint=hint)
        self.selector = selector
        self.known = known
        """Every provider name that would have been understood."""
        self.nearest = nearest
        """The selectors most likely meant, best first."""


class ConfigError(UsageError):
    """A setting, from the environment, a file or an argument, cannot be used."""

    def __init__(self, message: str, *, setting: str, value: object = None, origin: str = "", hint: str = "") -> None:
        super().__init__(message, field=setting, hint=hint)
        self.setting = setting
        self.value = value
        self.origin = origin
        """Where the value came from: `argument`, a variable's name, or a file's path."""


class UnsupportedError(UsageError):
    """This provider or model cannot do that."""

    def __init__(self, message: str, *, capability: str, hint: str = "") -> None:
        super().__init__(message, field=capability, hint=hint)
        self.capability = capability


class ToolDefinitionError(UsageError):
    """A tool cannot be described to a model."""

    def __init__(self, message: str, *, tool: str, parameter: str = "", hint: str = "") -> None:
        super().__init__(message, field=f"tools.{tool}" + (f".{parameter}" if parameter else ""), hint=hint)
        self.tool = tool
        self.parameter = parameter


# ---- no whole reply came


class TransportError(RociError):
    """No whole reply came."""


class ServerUnreachableError(TransportError, ConnectionError):
    """Nothing answered at the address."""

    def __init__(self, message: str, *, base_url: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.base_url = base_url


class ConnectionLostError(TransportError):
    """The connection broke before the reply was whole."""

    def __init__(self, message: str, *, body: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.body = body
        """What had arrived of the reply's body."""


class TimedOutError(TransportError, TimeoutError):
    """A phase of the call took longer than its limit."""

    def __init__(self, message: str, *, phase: str, waited_s: float, partial: Any = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.phase = phase
        """`first_token`, `gap` or `total`: the field of `Timeouts` that ran out. A connection that does not come about
        in time is a `ServerUnreachableError`."""
        self.waited_s = waited_s
        self.partial = partial
        """The `GenerateTextResult` so far, where a stream had begun; else None."""


class StreamInterruptedError(TransportError):
    """A stream ended without a finish reason, or with an error in its middle."""

    def __init__(self, message: str, *, partial: Any = None, code: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.partial = partial
        """The `GenerateTextResult` so far, with `finish_reason` `error` and `error` set."""
        self.code = code
        """The server's own code where it sent an error in the stream, such as `worker_died`."""


# ---- the server said no


class ReplyError(RociError):
    """The server said no."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str | None = None,
        param: str | None = None,
        body: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        """The HTTP status; 200 where the server put an error into a success."""
        self.code = code
        self.param = param
        """The field of the request that the server names."""
        self.body = body
        """The reply's body as text, at most 10,000 characters of it."""
        self.partial: Any = None
        """The `GenerateTextResult` so far, where the error came inside a stream."""
        self.should_retry: bool | None = None
        """What the server says of asking again (`x-should-retry`); None where it is silent."""


class BadRequestError(ReplyError):
    """The server refuses the request as it is: 400, 413, 422."""


class ContextTooLongError(BadRequestError):
    """The prompt, with what was asked to be generated, does not fit the model's context."""

    def __init__(
        self, message: str, *, limit_tokens: int | None = None, given_tokens: int | None = None, **reply: Any
    ) -> None:
        super().__init__(message, **reply)
        self.limit_tokens = limit_tokens
        self.given_tokens = given_tokens


class AccessDeniedError(ReplyError):
    """The server is alive and wants another token: 401, 403."""


class ModelNotFoundError(ReplyError):
    """The server has no such model."""

    def __init__(
        self,
        message: str,
        *,
        key: str,
        similar: tuple[str, ...] = (),
        available: tuple[str, ...] = (),
        **reply: Any,
    ) -> None:
        super().__init__(message, **reply)
        self.key = key
        self.similar = similar
        """The nearest names the server has, best first."""
        self.available = available
        """Every model the server listed."""


class NoModelLoadedError(ReplyError):
    """The server has no model loaded and does not load one by itself."""

    def __init__(self, message: str, *, available: tuple[str, ...] = (), **reply: Any) -> None:
        super().__init__(message, **reply)
        self.available = available


class WrongEndpointError(ReplyError):
    """The server has no such path, which most often means a wrong base URL."""

    def __init__(self, message: str, *, path: str, **reply: Any) -> None:
        super().__init__(message, **reply)
        self.path = path


class ServerBusyError(ReplyError):
    """The server has no room now: 429, 503."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **reply: Any) -> None:
        super().__init__(message, **reply)
        self.retry_after_s = retry_after_s
        """What the server's `Retry-After` asks for, in seconds; None where it is silent."""


class ServerFailedError(ReplyError):
    """The server failed: 5xx other than 503, or an error without a class of its own."""


# ---- a reply that is not what it should be


class UnexpectedReplyError(RociError):
    """A reply outside its wire type."""

    def __init__(
        self, message: str, *, body: str = "", json_path: str = "", content_type: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.body = body
        self.json_path = json_path
        self.content_type = content_type


class EmbeddingSizeError(UnexpectedReplyError):
    """A vector is of another size than those before it, or than was asked for."""

    def __init__(self, message: str, *, expected: int, actual: int, **reply: Any) -> None:
        super().__init__(message, **reply)
        self.expected = expected
        """Numbers in a vector."""
        self.actual = actual


class NotAnApiError(UnexpectedReplyError):
    """A web page or other text where JSON was due."""


class TruncatedReplyError(UnexpectedReplyError):
    """JSON that stops in the middle."""


class OutputError(RociError):
    """The model's answer is unusable."""

    def __init__(self, message: str, *, reply: Any = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reply = reply
        """The `ProviderResponse` or `ToolCall` that cannot be used."""


class EmptyReplyError(OutputError):
    """A success with neither content nor a reason for having none."""


class SchemaMismatchError(OutputError):
    """Text of the model is not the JSON that it should be."""

    def __init__(
        self,
        message: str,
        *,
        text: str,
        json_path: str = "$",
        attempts: tuple[Any, ...] = (),
        reply: Any = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, reply=reply, hint=hint)
        self.text = text
        """What the model wrote; the reasoning where it wrote nothing else."""
        self.json_path = json_path
        self.attempts = attempts
        """From `generate_object`: the `ProviderResponse` of each attempt."""


class ToolCallMissingError(OutputError):
    """`tool_choice` required a call, and the answer holds none: this server or model does not keep to it."""

    def __init__(self, message: str, *, tool_choice: str, text: str = "", reply: Any = None, hint: str = "") -> None:
        super().__init__(message, reply=reply, hint=hint)
        self.tool_choice = tool_choice
        """`required`, or the tool's name."""
        self.text = text
        """What the model wrote instead."""


class ToolRoundsExceededError(OutputError):
    """The model wants to call tools again after the last step it was allowed. `.partial` is the result so far."""

    def __init__(
        self, message: str, *, rounds: int, steps: tuple[Any, ...] = (), reply: Any = None, hint: str = ""
    ) -> None:
        super().__init__(message, reply=reply, hint=hint)
        self.rounds = rounds
        self.steps = steps
        """A `GenerationStep` for each round; the last one's calls were not run."""


# ---- model processes on this machine


class WorkerError(RociError):
    """A model process on this machine failed."""

    def __init__(self, message: str, *, key: str, log_tail: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.log_tail = log_tail
        """The process's last log lines, oldest first."""


class LoadFailedError(WorkerError):
    """A model could not be loaded."""


class BadModelFileError(LoadFailedError):
    """The file is not a model that this engine can load."""

    def __init__(self, message: str, *, path: str, reason: str, **worker: Any) -> None:
        super().__init__(message, **worker)
        self.path = path
        self.reason = reason
        """`missing`, `not_gguf`, `not_a_projector`, `old_format`, `truncated`, `unknown_architecture` or `damaged`."""


class NotEnoughMemoryError(LoadFailedError):
    """The model does not fit into the memory that is free."""

    def __init__(
        self, message: str, *, needed_bytes: int | None = None, free_bytes: int | None = None, **worker: Any
    ) -> None:
        super().__init__(message, **worker)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class WorkerDiedError(WorkerError):
    """A model process ended while it was needed."""

    def __init__(self, message: str, *, exit_code: int | None = None, **worker: Any) -> None:
        super().__init__(message, **worker)
        self.exit_code = exit_code
        """The exit status; negative for the signal that ended it."""


class StarterModelError(RociError):
    """The starter model could not be fetched or is not the file it should be."""

    def __init__(self, message: str, *, log_tail: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_tail = log_tail
        """pip's last lines."""


class DownloadError(RociError):
    """A model's file could not be downloaded."""

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        done_bytes: int = 0,
        total_bytes: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.done_bytes = done_bytes
        """What has come and is kept, so that the next attempt goes on from there."""
        self.total_bytes = total_bytes


class DiskFullError(DownloadError):
    """The disk has no room for what is still to come."""

    def __init__(self, message: str, *, needed_bytes: int, free_bytes: int, **download: Any) -> None:
        super().__init__(message, **download)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class CorruptDownloadError(DownloadError):
    """What came is not the file that was announced."""

    def __init__(self, message: str, *, expected: str = "", actual: str = "", **download: Any) -> None:
        super().__init__(message, **download)
        self.expected = expected
        """The SHA-256 in hex, or the size in bytes, that was announced."""
        self.actual = actual


class LibraryError(RociError):
    """A model's files could not be brought into roci's folder, or removed from it."""

    def __init__(self, message: str, *, path: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path
        """The file or folder at which it ended."""


class PortBusyError(RociError):
    """The gateway cannot have the port it was told to take."""

    def __init__(self, message: str, *, host: str, port: int, holder: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.host = host
        self.port = port
        self.holder = holder
        """Who holds the port, as `name (pid)`; empty where this user may not know."""


class ModelSubstitutedWarning(UserWarning):
    """Another model answered than the one asked for."""


class SuspectedTruncationWarning(UserWarning):
    """The server counted far fewer prompt tokens than were sent: it probably cut the prompt."""
