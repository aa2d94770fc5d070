"""LM Studio's own dialect <-> our types."""

from __future__ import annotations

from typing import Any

import msgspec

from roci.types.models import ModelCapabilities, ModelInfo
from roci.types.requests import CheckedRequest
from roci.wire.lmstudio.types import V0Model, V0Models, V1Model, V1Models
from roci.wire.openai import convert as openai
from roci.wire.openai.image_parts import LMSTUDIO

_ASSUMED = ModelCapabilities()
_decode_v1 = msgspec.json.Decoder(V1Models).decode
_decode_v0 = msgspec.json.Decoder(V0Models).decode
_ANY_OBJECT = {"type": "object", "additionalProperties": True}


def chat_body(request: CheckedRequest, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of `POST /v1/chat/completions` as LM Studio takes it.

    It refuses `json_object`, which becomes the schema of any object, and a tool choice that is an object, so that a
    named choice becomes that one tool and `required`.
    """
    body = openai.chat_body(request, model, stream=stream, images=LMSTUDIO)
    form = request.response_format
    if form is not None and form.kind == "json_object":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "json_object", "strict": True, "schema": _ANY_OBJECT},
        }
    choice = request.choice
    if choice is not None and choice.mode == "named":
        body["tools"] = [openai.wire_tool(tool) for tool in request.tools if tool.name == choice.name]
        body["tool_choice"] = "required"
    return body


def v1_models(body: bytes, content_type: str) -> list[ModelInfo]:
    """The reply of `GET /api/v1/models`; each loaded copy under another name than its key has an entry of its own.

    Raises:
        UnexpectedReplyError: it is something else.
    """
    models = openai.decoded(body, content_type, _decode_v1).models
    infos: list[ModelInfo] = []
    for model in models:
        own = next((copy for copy in model.loaded_instances if copy.id == model.key), None)
        own = own or next(iter(model.loaded_instances), None)
        infos.append(_v1_info(model, model.key, own.config.context_length if own else None))
        infos.extend(
            _v1_info(model, copy.id, copy.config.context_length)
            for copy in model.loaded_instances
            if copy.id != model.key
        )
    return infos


def _v1_info(model: V1Model, key: str, loaded_context: int | None) -> ModelInfo:
    can = model.capabilities
    return ModelInfo(
        key=key,
        kind="embedding" if model.type.startswith("embedding") else "llm",
        display_name=model.display_name or "",
        publisher=model.publisher or "",
        architecture=model.architecture or "",
        quantization=(model.quantization and model.quantization.name) or "",
        size_bytes=model.size_bytes,
        max_context_length=model.max_context_length,
        max_context_source="/api/v1/models" if model.max_context_length else "",
        loaded_context_length=loaded_context,
        loaded_context_source="/api/v1/models" if loaded_context else "",
        is_loaded=bool(model.loaded_instances),
        capabilities=ModelCapabilities(
            # Models not trained for tools get LM Studio's default tool format, so that all of them take tools.
            tools=model.type == "llm",
            json_schema=model.type == "llm",
            vision=can is not None and can.vision,
            reasoning=can is not None and bool(can.reasoning),
            context_length=loaded_context or model.max_context_length or _ASSUMED.context_length,
        ),
        source="/api/v1/models",
    )


def v0_models(body: bytes, content_type: str) -> list[ModelInfo]:
    """The reply of `GET /api/v0/models`.

    Raises:
        UnexpectedReplyError: it is something else.
    """
    return [_v0_info(model) for model in openai.decoded(body, content_type, _decode_v0).data]


def _v0_info(model: V0Model) -> ModelInfo:
    is_chat = model.type in ("llm", "vlm")
    return ModelInfo(
        key=model.id,
        kind="llm" if is_chat else "embedding",
        publisher=model.publisher or "",
        architecture=model.arch or "",
        quantization=model.quantization or "",
        max_context_length=model.max_context_length,
        max_context_source="/api/v0/models" if model.max_context_length else "",
        loaded_context_length=model.loaded_context_length,
        loaded_context_source="/api/v0/models" if model.loaded_context_length else "",
        is_loaded=None if model.state is None else model.state == "loaded",
        capabilities=ModelCapabilities(
            tools=is_chat,
            json_schema=is_chat,
            vision=model.type == "vlm",
            context_length=model.loaded_context_length or model.max_context_length or _ASSUMED.context_length,
        ),
        source="/api/v0/models",
    )
