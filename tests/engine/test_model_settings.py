"""A model's settings: who wins, where each came from, and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roci.engine.model_settings import (
    DEFAULTS,
    LOAD_NAMES,
    MODEL_NAMES,
    SettingsFile,
    environment_values,
    resolve_model_settings,
)
from roci.engine.worker_options import WorkerOptions, check_options
from roci.errors import ConfigError

MODEL_FILE = SettingsFile("m.yaml", {"parallel": 4})
SERVER_FILE = SettingsFile("server.json", {"parallel": 3, "port": 1})
# Strongest first, each with another value of one setting.
SOURCES: list[tuple[str, dict[str, Any], int]] = [
    ("call", {"call": {"parallel": 9}}, 9),
    ("load", {"load": {"parallel": 8}}, 8),
    ("--parallel", {"command_line": {"parallel": 7}}, 7),
    ("ROCI_PARALLEL", {"environment": {"parallel": "6"}}, 6),
    ("m@q8_0.yaml", {"model_files": (SettingsFile("m@q8_0.yaml", {"parallel": 5}), MODEL_FILE)}, 5),
    ("m.yaml", {"model_files": (MODEL_FILE,)}, 4),
    ("server.json", {"server_file": SERVER_FILE}, 3),
]


@pytest.mark.parametrize("position", range(len(SOURCES)))
def test_each_source_wins_over_all_that_are_weaker(position: int) -> None:
    origin, _, value = SOURCES[position]
    given: dict[str, Any] = {}
    for _, source, _ in reversed(SOURCES[position:]):
        given |= source
    resolved = resolve_model_settings(**given)
    assert (resolved.settings.parallel, resolved.origins["parallel"]) == (value, origin)


def test_without_any_source_every_setting_is_its_default() -> None:
    resolved = resolve_model_settings()
    assert set(resolved.origins) == set(LOAD_NAMES)
    assert set(resolved.origins.values()) == {"default"}
    assert resolved.worker_options() == WorkerOptions()
    assert resolved.sampling() == {}


def test_a_way_in_may_have_other_defaults_which_every_source_wins_over() -> None:
    assert resolve_model_settings(defaults={"parallel": 1}).settings.parallel == 1
    assert resolve_model_settings(defaults={"parallel": 1}, server_file=SERVER_FILE).settings.parallel == 3


@pytest.mark.parametrize(
    ("limit", "wanted", "shown", "origin", "given_to_worker"),
    [
        (None, None, 8192, "default", None),
        (32_768, None, 8192, "default", None),
        (2048, None, 2048, "header", None),
        (32_768, 16_384, 16_384, "m.yaml", 16_384),
        (2048, 16_384, 2048, "header", 2048),
    ],
)
def test_the_context_is_never_longer_than_the_models_own(
    limit: int | None, wanted: int | None, shown: int, origin: str, given_to_worker: int | None
) -> None:
    files = (SettingsFile("m.yaml", {"context_length": wanted}),) if wanted else ()
    resolved = resolve_model_settings(context_limit=limit, model_files=files)
    assert (resolved.settings.context_length, resolved.origins["context_length"]) == (shown, origin)
    assert resolved.worker_options().context_length == given_to_worker


def test_null_in_a_stronger_source_takes_a_number_back() -> None:
    server = SettingsFile("server.json", {"context_length": 4096, "ttl_s": 60})
    model = SettingsFile("m.yaml", {"context_length": None, "ttl_s": None})
    resolved = resolve_model_settings(server_file=server, model_files=(model,))
    assert resolved.worker_options().context_length is None
    assert (resolved.settings.ttl_s, resolved.origins["ttl_s"]) == (None, "m.yaml")


def test_only_models_loaded_on_demand_have_the_usual_idle_time() -> None:
    usual = resolve_model_settings()
    assert (usual.ttl_s(is_on_demand=True), usual.ttl_s(is_on_demand=False)) == (3600, None)
    assert resolve_model_settings(load={"ttl_s": 60}).ttl_s(is_on_demand=False) == 60


def test_all_load_options_reach_the_worker_and_files_are_found() -> None:
    values: dict[str, Any] = {
        "context_length": 4096,
        "parallel": 2,
        "threads": 3,
        "n_batch": 128,
        "n_gpu_layers": 0,
        "use_mlock": True,
        "use_mmap": False,
        "flash_attention": True,
        "kv_cache_type": "q8_0",
        "offload_kv_cache_to_gpu": False,
        "num_experts": 2,
        "rope_frequency_base": 1e6,
        "rope_frequency_scale": 0.5,
        "draft_model": "tiny",
        "speculation": "ngram",
        "seed": 7,
        "chat_template": "{{ messages }}",
        "mmproj": "/files/eyes.gguf",
        "force_embedding": True,
    }
    options = resolve_model_settings(load=values).worker_options(lambda key: Path("/models") / f"{key}.gguf")
    assert set(values) == set(WorkerOptions.__struct_fields__)
    files = {"draft_model": Path("/models/tiny.gguf"), "mmproj": Path("/files/eyes.gguf")}
    assert {name: getattr(options, name) for name in values} == values | files


def test_the_default_options_are_fit_for_a_worker() -> None:
    check_options(resolve_model_settings().worker_options())
    assert {name: getattr(DEFAULTS, name) for name in WorkerOptions.__struct_fields__} == {
        name: getattr(WorkerOptions(), name) for name in WorkerOptions.__struct_fields__
    }


def test_the_environment_is_read_by_type() -> None:
    environ = {
        "ROCI_THREADS": "2",
        "ROCI_TEMPERATURE": "0.5",
        "ROCI_USE_MLOCK": "yes",
        "ROCI_FLASH_ATTENTION": "off",
        "ROCI_TTL_S": "never",
        "ROCI_TOP_K": " ",
        "ROCI_MODEL": "local:m",
    }
    resolved = resolve_model_settings(environment=environment_values(environ))
    settings = resolved.settings
    assert (settings.threads, settings.temperature, settings.use_mlock) == (2, 0.5, True)
    assert (settings.flash_attention, settings.ttl_s, settings.top_k) == (False, None, None)
    assert resolved.origins["ttl_s"] == "ROCI_TTL_S"
    assert resolved.sampling() == {"temperature": 0.5}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context_length", 0),
        ("context_length", "4096"),
        ("context_length", 1.5),
        ("n_gpu_layers", -2),
        ("n_gpu_layers", False),
        ("threads", 0),
        ("use_mlock", 1),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("temperature", -0.1),
        ("temperature", float("inf")),
        ("repeat_penalty", 0),
        ("parallel", None),
        ("kv_cache_type", "q4"),
        ("speculation", "yes"),
        ("ttl_s", -1),
        ("chat_template", ""),
        ("draft_model", ["a"]),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_name_and_file(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_model_settings(model_files=(SettingsFile("/home/m.yaml", {name: value}),))
    assert (caught.value.setting, caught.value.origin) == (name, "/home/m.yaml")
    assert name in str(caught.value)
    assert "/home/m.yaml" in str(caught.value)


def test_a_choice_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match="it takes f16, f32, bf16, q8_0"):
        resolve_model_settings(load={"kv_cache_type": "q4"})


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("contex_length", "context_length"), ("n_gpu_layer", "n_gpu_layers"), ("Temperature", "temperature")],
)
def test_an_unknown_name_is_an_error_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean {nearest}") as caught:
        resolve_model_settings(model_files=(SettingsFile("/home/m.yaml", {name: 1}),))
    assert "/home/m.yaml" in str(caught.value)


def test_what_only_a_load_may_ask_for_is_no_setting_of_a_file() -> None:
    assert resolve_model_settings(load={"seed": 3}).settings.seed == 3
    with pytest.raises(ConfigError, match="There is no setting 'seed'"):
        resolve_model_settings(model_files=(SettingsFile("m.yaml", {"seed": 3}),))


def test_the_servers_own_settings_in_its_file_are_passed_over() -> None:
    resolved = resolve_model_settings(server_file=SettingsFile("s", {"port": "wrong", "top_k": 3}))
    assert resolved.sampling() == {"top_k": 3}
    assert "port" not in MODEL_NAMES
