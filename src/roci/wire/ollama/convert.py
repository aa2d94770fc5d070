"""Ollama's replies about models -> token counts. A body of another form tells nothing: None."""

from __future__ import annotations

import msgspec

from roci.wire.ollama.types import RunningModels, ShownModel

_decode_shown = msgspec.json.Decoder(ShownModel).decode
_decode_running = msgspec.json.Decoder(RunningModels).decode


def max_context(body: bytes) -> int | None:
    """The model's own limit, by the reply of `POST /api/show`."""
    try:
        facts = _decode_shown(body).model_info
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    length = facts.get(f"{facts.get('general.architecture', '')}.context_length")
    return length if isinstance(length, int) and length > 0 else None


def loaded_context(body: bytes, model: str) -> int | None:
    """What the loaded copy of `model` was given, by the reply of `GET /api/ps`; None where it is not loaded."""
    try:
        running = _decode_running(body).models
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    wanted = _tagged(model)
    return next((entry.context_length for entry in running if wanted in (_tagged(entry.name), entry.model)), None)


def _tagged(name: str) -> str:
    """A name without a tag means `latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
