"""Where a model's context can be asked when `/v1/models` does not say: the servers' own APIs, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from roci.errors import RociError, UnexpectedReplyError
from roci.exchange.exchange import Exchange, HttpRequest
from roci.providers.context import ASIDE
from roci.types.models import ModelInfo
from roci.wire.llama_cpp import props
from roci.wire.lmstudio import convert as lmstudio
from roci.wire.ollama import convert as ollama


class ContextProbe(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a server's own API, and what its reply says of the context."""

    path: str
    body: bytes | None = None
    """JSON to post; None asks with GET."""
    read: Callable[[bytes], tuple[int | None, int | None]]
    """A reply's body -> (the model's own limit, what the loaded copy has)."""
    tells_maximum: bool = False
    tells_loaded: bool = False

    def is_needed(self, info: ModelInfo) -> bool:
        lacks_loaded = info.loaded_context_length is None and info.is_loaded is not False
        return (self.tells_maximum and info.max_context_length is None) or (self.tells_loaded and lacks_loaded)

    def completed(self, info: ModelInfo, body: bytes) -> ModelInfo:
        """`info` with what `body` says and it did not know."""
        maximum, loaded = self.read(body)
        facts: dict[str, Any] = {}
        if maximum is not None and info.max_context_length is None:
            facts |= {"max_context_length": maximum, "max_context_source": self.path}
        if loaded is not None and info.loaded_context_length is None:
            facts |= {"loaded_context_length": loaded, "loaded_context_source": self.path, "is_loaded": True}
        if not facts:
            return info
        known = facts.get("loaded_context_length") or info.loaded_context_length or facts.get("max_context_length")
        if known is not None:
            facts["capabilities"] = msgspec.structs.replace(info.capabilities, context_length=known)
        return msgspec.structs.replace(info, **facts)


def with_context(info: ModelInfo, model: str, get: Callable[[str], HttpRequest]) -> Exchange[ModelInfo]:
    """`info` with the contexts that its list left open, as far as one of the servers' own APIs tells them."""
    for probe in context_probes(info, model):
        if not probe.is_needed(info):
            continue
        request = msgspec.structs.replace(get(probe.path), timeouts=ASIDE)
        if probe.body is not None:
            request = msgspec.structs.replace(request, method="POST", body=probe.body)
        try:
            reply = yield request
        except RociError:
            # Another server's API, which this one is free not to have; what the list said stays good.
            continue
        if 200 <= reply.status < 300:
            info = probe.completed(info, reply.body)
    return info


def context_probes(info: ModelInfo, model: str) -> tuple[ContextProbe, ...]:
    """The questions that may complete `info`, in the order to ask them; none where LM Studio's own API told it."""
    if not info.source.endswith("/v1/models") or info.source.startswith("/api/"):
        return ()
    show = msgspec.json.encode({"model": model})
    return (
        ContextProbe(
            path="/api/v1/models",
            read=lambda body: _listed(body, model, lmstudio.v1_models),
            tells_maximum=True,
            tells_loaded=True,
        ),
        ContextProbe(
            path="/api/v0/models",
            read=lambda body: _listed(body, model, lmstudio.v0_models),
            tells_maximum=True,
            tells_loaded=True,
        ),
        ContextProbe(path="/props", read=lambda body: (None, props.loaded_context(body)), tells_loaded=True),
        ContextProbe(path="/api/ps", read=lambda body: (None, ollama.loaded_context(body, model)), tells_loaded=True),
        ContextProbe(
            path="/api/show", body=show, read=lambda body: (ollama.max_context(body), None), tells_maximum=True
        ),
    )


def _listed(body: bytes, model: str, read: Callable[[bytes, str], list[ModelInfo]]) -> tuple[int | None, int | None]:
    try:
        models = read(body, "application/json")
    except UnexpectedReplyError:
        return None, None
    found = next((info for info in models if info.key.lower() == model.lower()), None)
    return (None, None) if found is None else (found.max_context_length, found.loaded_context_length)
