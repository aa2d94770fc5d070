"""`/api/v1/settings`: what is set and where it came from, and changing a model's own file. LM Studio has no such route.

What a file on this machine can be named by (`mmproj`) is not changed over a network.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import msgspec
from litestar import Request, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET, Struct, UnsetType

from roci.engine.local_model import LocalModel
from roci.engine.model_settings import MODEL_NAMES, MODEL_TYPES, checked_model_settings
from roci.engine.settings_files import change_model_settings as write_model_settings, model_file
from roci.errors import BadRequestError, ConfigError
from roci.server.gateway import Gateway
from roci.server.openapi import Operation, path_parameter
from roci.server.settings import NAMES
from roci.wire.lmstudio.error_shape import NativeErrorBody
from roci.wire.openai.request_faults import decode_body, invalid

_NOT_OVER_A_NETWORK: Final = ("mmproj",)
_SETTABLE: Final = tuple(name for name in MODEL_NAMES if name not in _NOT_OVER_A_NETWORK)


_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class SettingInForce(Struct, frozen=True, kw_only=True):
    value: Any
    origin: str
    """A flag (`--port`), a variable (`ROCI_PORT`), a file's path, `header`, `default`; a program's own: `argument`."""


class SettingsReply(Struct, frozen=True, kw_only=True):
    """The server's settings; those of models among them hold for all models."""

    settings: dict[str, SettingInForce]


class ModelSettingsReply(Struct, frozen=True, kw_only=True):
    """What a model is loaded and asked with where a request does not say otherwise."""

    model: str
    file: str
    """The model's own file, which need not be there."""
    settings: dict[str, SettingInForce]


ModelSettingsPatch: Final = msgspec.defstruct(
    "ModelSettingsPatch",
    [
        *((name, MODEL_TYPES[name] | UnsetType, UNSET) for name in _SETTABLE),
        ("unset", list[Literal[MODEL_NAMES]] | UnsetType, UNSET),  # pyright: ignore[reportInvalidTypeForm]
    ],
    namespace={"__doc__": "Settings for the model's own file; null is a value. `unset` names those to remove."},
    kw_only=True,
    forbid_unknown_fields=True,
)


@get("/api/v1/settings")
async def show_settings(gateway: NamedDependency[Gateway]) -> SettingsReply:
    settings = gateway.settings
    return SettingsReply(
        settings={name: SettingInForce(value=getattr(settings, name), origin=settings.origin(name)) for name in NAMES}
    )


@get("/api/v1/settings/{key:path}")
async def show_model_settings(gateway: NamedDependency[Gateway], key: FromPath[str]) -> ModelSettingsReply:
    model = await gateway.on_disk(key.removeprefix("/"))
    return await asyncio.to_thread(_in_force, gateway, model)


@patch("/api/v1/settings/{key:path}")
async def change_model_settings(
    request: Request[Any, Any, Any], gateway: NamedDependency[Gateway], key: FromPath[str]
) -> ModelSettingsReply:
    """Holds from the next load on, for sampling from the next request on."""
    changes, unset = read_patch(await request.body())
    model = await gateway.on_disk(key.removeprefix("/"))
    if changes.get("draft_model") is not None:
        await gateway.on_disk(changes["draft_model"])
    await asyncio.to_thread(write_model_settings, model_file(gateway.home, model.key), changes, unset)
    return await asyncio.to_thread(_in_force, gateway, model)


def read_patch(body: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings to set, checked, and the names of those to remove.

    Raises:
        BadRequestError: the body is no JSON object, or a name or value in it cannot be used.
    """
    given = decode_body(body, _decoder, {})
    unset = given.pop("unset", [])
    if not isinstance(unset, list) or not all(name in MODEL_NAMES for name in unset):
        raise invalid(f"unset is a list of settings' names: {', '.join(MODEL_NAMES)}.", "unset")
    for name in _NOT_OVER_A_NETWORK:
        if name in given or name in unset:
            raise invalid(f"{name} names a file of the server; it is not changed over a network.", name)
    try:
        return checked_model_settings(given, "request"), tuple(unset)
    except ConfigError as error:
        raise _bad_request(error) from error


def _bad_request(error: ConfigError) -> BadRequestError:
    code = "invalid_value" if error.setting in MODEL_NAMES else "unrecognized_keys"
    message = error.message.replace(" (from request)", "").replace(" (in request)", "")
    return invalid(message, error.setting, code=code, hint=error.hint)


def _in_force(gateway: Gateway, model: LocalModel) -> ModelSettingsReply:
    resolved = gateway.defaults.resolve(model.key, model.facts.max_context_length)
    return ModelSettingsReply(
        model=model.key,
        file=str(model_file(gateway.home, model.key)),
        settings={
            name: SettingInForce(value=getattr(resolved.settings, name), origin=resolved.origins[name])
            for name in MODEL_NAMES
        },
    )


_KEY: Final = path_parameter("key", "A model's key; it may hold slashes.")
HANDLERS: Final = (show_settings, show_model_settings, change_model_settings)
OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/settings",
        summary="The server's settings, and where each came from.",
        reply=SettingsReply,
        errors=NativeErrorBody,
    ),
    Operation(
        method="GET",
        path="/api/v1/settings/{key}",
        summary="A model's settings in force, and where each came from.",
        reply=ModelSettingsReply,
        parameters=(_KEY,),
        errors=NativeErrorBody,
    ),
    Operation(
        method="PATCH",
        path="/api/v1/settings/{key}",
        summary="Change a model's own file of settings.",
        description="Holds from the model's next load on; for sampling from the next request on.",
        request=ModelSettingsPatch,
        reply=ModelSettingsReply,
        parameters=(_KEY,),
        errors=NativeErrorBody,
    ),
)
