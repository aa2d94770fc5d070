"""What a request is told that the pool cannot let in."""

from __future__ import annotations

from roci.errors import ModelNotFoundError, ServerBusyError

RETRY_AFTER_S = 5.0


def shutting_down() -> ServerBusyError:
    """The gateway ends, and the request came or still waits."""
    return ServerBusyError(
        "The server is shutting down.", status=503, code="shutting_down", retry_after_s=RETRY_AFTER_S
    )


def queue_is_full(length: int) -> ServerBusyError:
    return ServerBusyError(
        f"{length} requests are waiting already.",
        status=503,
        code="queue_full",
        retry_after_s=RETRY_AFTER_S,
        hint="Ask again later, or let the server hold more models or more requests at once.",
    )


def unloaded(instance_id: str) -> ServerBusyError:
    """It waited for an instance that somebody unloaded."""
    return ServerBusyError(
        f"{instance_id} was unloaded before it could answer.",
        status=503,
        code="model_unloaded",
        retry_after_s=1.0,
        hint="Ask again: the model is loaded on demand where the server does that.",
    )


def not_loaded(instance_id: str, loaded: tuple[str, ...]) -> ModelNotFoundError:
    """There is no such instance."""
    return ModelNotFoundError(
        f"No model is loaded under the name {instance_id!r}.",
        key=instance_id,
        available=loaded,
        status=404,
        code="model_not_found",
        param="instance_id",
        hint=f"Loaded are: {', '.join(loaded)}." if loaded else "No model is loaded.",
    )
