"""How a model is loaded and asked, and the one place where it is decided: every way in asks `resolve_model_settings`.

Who wins: the call, then load options, the command line, the environment, the model's file, the server's file, the
model's header, and roci's default. Nothing is opened here; `settings_files.py` reads.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from roci.engine.memory import DEFAULT_CONTEXT_TOKENS
from roci.engine.settings_values import checked_value, flag, unknown_setting, variable
from roci.engine.worker_options import KvCacheType, WorkerOptions

Positive = Annotated[float, Meta(gt=0, le=1e12)]


class ModelSettings(Struct, frozen=True, kw_only=True):
    """What a model's file in `<home>/model-settings` may hold, and the server's settings hold for all models."""

    context_length: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    """Tokens for each answer with its prompt; by default the model's own limit, at most 8,192."""
    parallel: Annotated[int, Meta(ge=1, le=256)] = 4
    """Answers at once from one model; fewer where memory is short."""
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Threads that compute; by default the usable cores minus one."""
    n_batch: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    """Prompt tokens computed in one step, for which neighbours pause; by default 64 on a CPU, 512 with a GPU."""
    n_gpu_layers: Annotated[int, Meta(ge=-1, le=100_000)] = -1
    """Layers on a GPU; -1 is all, 0 none."""
    use_mlock: bool = False
    """Keep the model's memory from being swapped out."""
    use_mmap: bool | None = None
    """Map the file into memory instead of reading it; by default the engine decides."""
    flash_attention: bool | None = None
    """By default the engine decides."""
    kv_cache_type: KvCacheType | None = None
    """How keys and values are stored; by default as 16-bit floats. Quantized ones need flash attention."""
    offload_kv_cache_to_gpu: bool = True
    """Keep keys and values where the layers are; otherwise in the machine's memory."""
    num_experts: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Active experts of a mixture; by default the model's own number."""
    rope_frequency_base: Positive | None = None
    """By default the model's own."""
    rope_frequency_scale: Positive | None = None
    """By default the model's own."""
    draft_model: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """The key, or the file, of a small model that guesses ahead."""
    speculation: Literal["ngram"] | None = None
    """`ngram` guesses ahead from the text so far, without a second model."""
    chat_template: Annotated[str, Meta(min_length=1, max_length=1_000_000)] | None = None
    """A Jinja template instead of the model's own."""
    mmproj: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """The file of the model's projector for images; by default the one beside the model."""
    ttl_s: Annotated[float, Meta(ge=0, le=315_360_000)] | None = 3600.0
    """Idle seconds after which a model that was loaded on demand is unloaded; null never."""
    temperature: Annotated[float, Meta(ge=0, le=1000)] | None = None
    """For requests that do not say; by default the engine's own, as with those below."""
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Only the likeliest tokens that together have this probability."""
    top_k: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    """Only so many of the likeliest tokens; 0 is all."""
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Only tokens at least this likely, in relation to the likeliest."""
    repeat_penalty: Annotated[float, Meta(gt=0, le=1000)] | None = None
    """Above 1 makes repetition less likely."""


class LoadSettings(ModelSettings, frozen=True, kw_only=True):
    """The same with what only one load may ask for."""

    seed: Annotated[int, Meta(ge=0, le=2**32 - 2)] | None = None
    """By default another one each time."""
    force_embedding: bool = False
    """Load a model that was made for text as one for embeddings."""


MODEL_NAMES: Final = ModelSettings.__struct_fields__
LOAD_NAMES: Final = LoadSettings.__struct_fields__
SAMPLING_NAMES: Final = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")
MODEL_TYPES: Final[dict[str, Any]] = typing.get_type_hints(LoadSettings, include_extras=True)
DEFAULTS: Final = LoadSettings()


class SettingsFile(Struct, frozen=True):
    """A file of settings that has been read."""

    path: str
    values: Mapping[str, Any]


class Resolved(Struct, frozen=True, kw_only=True):
    """A model's settings in force, and where each came from."""

    settings: LoadSettings
    origins: Mapping[str, str]
    """Setting -> `call`, `load`, a flag, a variable, a file's path, `header` or `default`."""
    is_context_chosen: bool = False
    """Whether somebody set the context's length; also where the header's limit then cut it down."""

    def worker_options(self, find: Callable[[str], Path] = Path) -> WorkerOptions:
        """What a worker is started with.

        Args:
            find: gives the file of the draft model, by its key; left out, it must be set as a file.
        """
        settings = self.settings
        options = {name: getattr(settings, name) for name in WorkerOptions.__struct_fields__}
        if not self.is_context_chosen:
            # Left to the worker's start, which may shorten it where memory is short.
            options["context_length"] = None
        if settings.draft_model is not None:
            options["draft_model"] = find(settings.draft_model).expanduser()
        if settings.mmproj is not None:
            options["mmproj"] = Path(settings.mmproj).expanduser()
        return WorkerOptions(**options)

    def sampling(self) -> dict[str, float]:
        """Defaults for requests to this model; what nobody set is not in it."""
        values = {name: getattr(self.settings, name) for name in SAMPLING_NAMES}
        return {name: value for name, value in values.items() if value is not None}

    def ttl_s(self, *, is_on_demand: bool) -> float | None:
        """Idle seconds until the model is unloaded; one that somebody loaded stays unless they said otherwise."""
        said = self.origins["ttl_s"] in ("call", "load")
        return self.settings.ttl_s if is_on_demand or said else None


def resolve_model_settings(
    *,
    context_limit: int | None = None,
    call: Mapping[str, object] | None = None,
    load: Mapping[str, object] | None = None,
    command_line: Mapping[str, object] | None = None,
    environment: Mapping[str, object] | None = None,
    model_files: tuple[SettingsFile, ...] = (),
    server_file: SettingsFile | None = None,
    defaults: Mapping[str, object] | None = None,
) -> Resolved:
    """The settings of one model by all sources. A name that is absent was not given; null is a value.

    Args:
        context_limit: tokens, by the header of the model's file; None where it does not say.
        call: fields of one request.
        load: options of one load.
        command_line: flags by setting's name. Texts are read as in the environment.
        environment: `ROCI_*` variables by setting's name, see `environment_values`.
        model_files: the model's own files, the one that wins first.
        server_file: the server's settings; those that are no model's are passed over.
        defaults: instead of roci's, where a way in has other ones.

    Raises:
        ConfigError: names the setting, its value and where it came from; or an unknown name and the nearest known.
    """
    values: dict[str, Any] = dict(defaults or {})
    origins = dict.fromkeys(LOAD_NAMES, "default")
    layers = (
        *_file_layers(server_file, model_files),
        (variable, environment or {}, MODEL_NAMES, True),
        (flag, command_line or {}, MODEL_NAMES, True),
        (lambda _: "load", load or {}, LOAD_NAMES, False),
        (lambda _: "call", call or {}, LOAD_NAMES, False),
    )
    for origin_of, given, known, is_text in layers:
        for name, value in given.items():
            origin = origin_of(name)
            if name not in known:
                raise unknown_setting(name, origin, known, value)
            values[name] = checked_value(name, value, MODEL_TYPES[name], origin, is_text=is_text)
            origins[name] = origin
    wanted: int | None = values.get("context_length")
    context = DEFAULT_CONTEXT_TOKENS if wanted is None else wanted
    if context_limit is not None and context_limit < context:
        context, origins["context_length"] = context_limit, "header"
    values["context_length"] = context
    return Resolved(settings=LoadSettings(**values), origins=origins, is_context_chosen=wanted is not None)


def checked_model_settings(given: Mapping[str, object], origin: str, *, is_text: bool = False) -> dict[str, Any]:
    """What a model's file is to hold.

    Raises:
        ConfigError: names the setting, its value and `origin`, or an unknown name and the nearest known.
    """
    for name, value in given.items():
        if name not in MODEL_NAMES:
            raise unknown_setting(name, origin, MODEL_NAMES, value)
    return {
        name: checked_value(name, value, MODEL_TYPES[name], origin, is_text=is_text) for name, value in given.items()
    }


def environment_values(environ: Mapping[str, str], names: tuple[str, ...] = MODEL_NAMES) -> dict[str, str]:
    """The settings `names` that the environment sets; a variable that is blank sets nothing."""
    given = {name: environ.get(variable(name), "").strip() for name in names}
    return {name: text for name, text in given.items() if text}


_Layer = tuple[Callable[[str], str], Mapping[str, object], tuple[str, ...], bool]


def _file_layers(server_file: SettingsFile | None, model_files: tuple[SettingsFile, ...]) -> Iterator[_Layer]:
    """The weakest first."""
    if server_file is not None:
        shared = {name: value for name, value in server_file.values.items() if name in MODEL_NAMES}
        yield lambda _: server_file.path, shared, MODEL_NAMES, False
    for file in reversed(model_files):
        yield lambda _, path=file.path: path, file.values, MODEL_NAMES, False
