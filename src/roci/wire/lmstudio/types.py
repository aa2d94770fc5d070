"""LM Studio's model lists, as `/api/v1` and `/api/v0` give them: the fields roci reads.

Source: LM Studio REST reference ("List models" of v1 and v0), read for 0.4.0; fields seen up to 0.4.25.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Quantization(Struct):
    name: str | None = None


class InstanceConfig(Struct, frozen=True):
    context_length: int | None = None


class LoadedInstance(Struct):
    id: str
    config: InstanceConfig = InstanceConfig()


class Capabilities(Struct):
    vision: bool = False
    trained_for_tool_use: bool = False
    reasoning: dict[str, Any] | bool | None = None


class V1Model(Struct):
    """An entry of `GET /api/v1/models`."""

    key: str
    type: str = "llm"
    publisher: str | None = None
    display_name: str | None = None
    architecture: str | None = None
    quantization: Quantization | None = None
    size_bytes: int | None = None
    max_context_length: int | None = None
    loaded_instances: list[LoadedInstance] = []
    capabilities: Capabilities | None = None


class V1Models(Struct):
    models: list[V1Model]


class V0Model(Struct):
    """An entry of `GET /api/v0/models`."""

    id: str
    type: str = "llm"
    publisher: str | None = None
    arch: str | None = None
    quantization: str | None = None
    state: str | None = None
    max_context_length: int | None = None
    loaded_context_length: int | None = None
    capabilities: list[str] | None = None


class V0Models(Struct):
    data: list[V0Model]
