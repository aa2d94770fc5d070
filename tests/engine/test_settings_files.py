"""Files of settings: their names, reading them, and changing a line as a person would."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roci.engine.model_settings import resolve_model_settings
from roci.engine.settings_files import (
    FILE_LIMIT_BYTES,
    change_model_settings,
    change_settings,
    model_file,
    model_key,
    read_model_files,
    read_settings,
    settings_at,
)
from roci.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "examples" / "model-settings.yaml"

WRITTEN = """\
# mine
context_length: 4096  # big
chat_template: |
  {{ a }}
  b

# about heat
temperature: 0.7
n_gpu_layers: 0
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def values(path: Path) -> dict[str, Any]:
    found = read_settings(path)
    assert found is not None
    return dict(found.values)


@pytest.mark.parametrize(
    "key", ["smollm2-135m-instruct", "publisher/model@q8_0", "a b", "..", "../../etc/passwd", "ü:x\\y%2f", "a\x00b"]
)
def test_each_key_has_a_file_of_its_own_inside_the_folder(tmp_path: Path, key: str) -> None:
    file = model_file(tmp_path, key)
    assert file.parent == tmp_path / "model-settings"
    assert file.resolve().parent == (tmp_path / "model-settings").resolve()
    assert model_key(file) == key


def test_a_plain_key_is_its_files_name_and_letter_case_does_not_count(tmp_path: Path) -> None:
    assert model_file(tmp_path, "SmolLM2").name == "smollm2.yaml"
    assert model_file(tmp_path, "google/gemma@q4_0").name == "google%2Fgemma@q4_0.yaml"


@pytest.mark.parametrize("key", ["", "x" * 300])
def test_a_key_without_a_possible_file_has_no_settings_and_can_get_none(tmp_path: Path, key: str) -> None:
    assert read_model_files(tmp_path, key) == ()
    with pytest.raises(ConfigError):
        model_file(tmp_path, key)


def test_a_variant_has_its_models_settings_beneath_its_own(tmp_path: Path) -> None:
    write(model_file(tmp_path, "m"), "top_k: 1\ntop_p: 0.1\n")
    write(model_file(tmp_path, "m@q8_0"), "top_k: 2\n")
    assert settings_at(tmp_path, "m@q8_0", environ={}).sampling() == {"top_k": 2, "top_p": 0.1}
    assert settings_at(tmp_path, "m", environ={}).sampling() == {"top_k": 1, "top_p": 0.1}


def test_the_example_holds_the_sample_values_and_loads() -> None:
    example = read_settings(EXAMPLE)
    assert example is not None
    assert dict(example.values) == {
        "context_length": 16384,
        "n_gpu_layers": -1,
        "n_batch": 512,
        "threads": 8,
        "use_mlock": True,
        "use_mmap": True,
        "temperature": 0.7,
        "top_p": 0.95,
        "top_k": 40,
        "repeat_penalty": 1.1,
    }
    resolved = resolve_model_settings(model_files=(example,))
    assert resolved.worker_options().context_length == 16384
    assert resolved.origins["threads"] == str(EXAMPLE)


def test_every_further_name_in_the_example_is_a_setting_with_a_value_that_it_takes() -> None:
    lines = re.findall(r"^# (\w+: \S.*?)(?:  .*)?$", EXAMPLE.read_text(), re.MULTILINE)
    given = msgspec.yaml.decode("\n".join(lines))
    resolved = resolve_model_settings(load=given)
    assert {name for name, origin in resolved.origins.items() if origin == "load"} == set(given)
    assert len(given) == 13


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_a_file_with_nothing_in_it_sets_nothing(tmp_path: Path, text: str) -> None:
    assert values(write(tmp_path / "m.yaml", text)) == {}


@pytest.mark.parametrize(
    "text",
    ["- a", "just words", "a: [", "1: 2", "a: {b: 1}", "a: [[1]]", "top_k: 2020-01-01", "\x00", "!!python/object:x {}"]
    + ["a: &x [1]\nb: [*x]", "a: " + "[" * 5000],
)
def test_yaml_that_is_no_mapping_of_plain_values_is_an_error_with_the_files_path(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "m.yaml", text)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        read_settings(path)


def test_a_file_that_is_too_large_or_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than a megabyte"):
        read_settings(write(tmp_path / "m.yaml", "#" * (FILE_LIMIT_BYTES + 1)))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path)


def test_a_change_leaves_the_other_lines_and_comments_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", WRITTEN)
    change_settings(path, {"context_length": 8192, "top_p": 1e-5, "ttl_s": None})
    changed = WRITTEN.replace("4096", "8192") + "top_p: 1.0e-05\nttl_s: null\n"
    assert path.read_text() == changed
    change_settings(path, {}, ["context_length", "chat_template", "top_p", "ttl_s"])
    assert path.read_text() == "# mine\n# about heat\ntemperature: 0.7\nn_gpu_layers: 0\n"


def test_a_template_of_many_lines_comes_back_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", WRITTEN)
    template = "{% for m in messages %}\n  {{ m['content'] }}: \"x\" # no comment\n\n{% endfor %} ü \x7f\n"
    change_settings(path, {"chat_template": template})
    assert values(path) == {"context_length": 4096, "chat_template": template, "temperature": 0.7, "n_gpu_layers": 0}
    assert "# about heat" in path.read_text()


@pytest.mark.parametrize("text", ["{top_k: 1, top_p: 0.5}", "top_k: 1\ntop_k: 2\ntop_p: 0.5", '"top_k": 1\ntop_p: 0.5'])
def test_unusual_forms_are_changed_too(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "m.yaml", text)
    change_settings(path, {"top_k": 7, "temperature": 0})
    assert values(path) == {"top_k": 7, "top_p": 0.5, "temperature": 0}


def test_a_json_file_is_changed_and_keeps_its_order(tmp_path: Path) -> None:
    path = write(tmp_path / "server.json", '{"port": 1, "cors": ["https://a.example"], "verbose": true}')
    change_settings(path, {"port": 2, "host": "127.0.0.1"}, ["verbose"])
    assert msgspec.json.decode(path.read_bytes()) == {
        "port": 2,
        "cors": ["https://a.example"],
        "host": "127.0.0.1",
    }
    assert list(values(path)) == ["port", "cors", "host"]


def test_a_file_is_made_with_its_folders_for_nobody_else(tmp_path: Path) -> None:
    path = model_file(tmp_path / "new", "m")
    change_settings(path, {"top_k": 3})
    assert path.read_text() == "top_k: 3\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["m.yaml"]


def test_a_link_stays_a_link_and_its_target_is_changed(tmp_path: Path) -> None:
    target = write(tmp_path / "dotfiles" / "server.json", "{}")
    link = tmp_path / "server.json"
    link.symlink_to(target)
    change_settings(link, {"port": 2})
    assert link.is_symlink()
    assert values(target) == {"port": 2}


def test_nothing_is_written_unless_the_whole_file_then_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", "contex_length: 1\ntop_k: wrong\n")
    with pytest.raises(ConfigError, match="Did you mean context_length"):
        change_model_settings(path, {"top_p": 0.5})
    assert path.read_text() == "contex_length: 1\ntop_k: wrong\n"
    change_model_settings(path, {"top_k": 5}, ["contex_length"])
    assert path.read_text() == "top_k: 5\n"


def test_changes_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    names = [f"setting_{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: change_settings(path, {name: 1}), names))
    assert sorted(values(path)) == sorted(names)


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    write(tmp_path / "model-settings", "a file where the folder should be")
    with pytest.raises(ConfigError, match="cannot be"):
        change_settings(model_file(tmp_path, "m"), {"top_k": 3})


def test_a_program_without_a_server_has_the_same_order(tmp_path: Path) -> None:
    write(tmp_path / "server.json", '{"port": 1, "top_k": 1, "top_p": 0.1, "parallel": 3}')
    write(model_file(tmp_path, "m"), "top_k: 2\n")
    resolved = settings_at(tmp_path, "m", 2048, environ={"ROCI_MIN_P": "0.2"}, defaults={"parallel": 1})
    assert resolved.sampling() == {"top_k": 2, "top_p": 0.1, "min_p": 0.2}
    assert (resolved.settings.parallel, resolved.settings.context_length) == (3, 2048)
