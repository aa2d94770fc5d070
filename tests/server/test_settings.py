"""Settings: who wins, and what is said of those that cannot be used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from roci.errors import ConfigError
from roci.server.settings import ServerSettings, resolve_settings, settings_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.json"
    path.write_text(json.dumps({"port": 1, "max_loaded": 2, "parallel": 3, "drain_s": 4}))
    return path


def test_the_defaults_are_loopback_and_lm_studios_port():
    settings = resolve_settings({}, {})
    assert settings == ServerSettings()
    assert (settings.host, settings.port, settings.max_loaded) == ("127.0.0.1", 1234, 1)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path):
    environ = {"ROCI_PORT": "11", "ROCI_MAX_LOADED": "12"}
    settings = resolve_settings({"port": 21, "max_loaded": None}, environ, file)
    assert (settings.port, settings.max_loaded, settings.parallel, settings.drain_s) == (21, 12, 3, 4.0)


def test_variables_are_read_as_their_settings_types():
    environ = {"ROCI_VERBOSE": "yes", "ROCI_DRAIN_S": "1.5", "ROCI_CONTEXT_LENGTH": "2048", "ROCI_THREADS": " "}
    settings = resolve_settings({}, environ)
    assert (settings.verbose, settings.drain_s, settings.context_length) == (True, 1.5, 2048)
    assert settings.threads is None
    assert resolve_settings({}, {"ROCI_VERBOSE": "0"}).verbose is False


@pytest.mark.parametrize(
    ("flags", "environ", "setting", "origin"),
    [
        ({"port": 70_000}, {}, "port", "--port"),
        ({"max_loaded": 0}, {}, "max_loaded", "--max-loaded"),
        ({}, {"ROCI_PORT": "http"}, "port", "ROCI_PORT"),
        ({}, {"ROCI_DRAIN_S": "nan"}, "drain_s", "ROCI_DRAIN_S"),
        ({}, {"ROCI_VERBOSE": "perhaps"}, "verbose", "ROCI_VERBOSE"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_origin(
    flags: dict[str, object], environ: dict[str, str], setting: str, origin: str
):
    with pytest.raises(ConfigError) as caught:
        resolve_settings(flags, environ)
    assert (caught.value.setting, caught.value.origin) == (setting, origin)
    assert origin in str(caught.value)


def test_an_unknown_name_in_the_file_is_an_error_with_the_nearest(file: Path):
    file.write_text('{"max_laoded": 2}')
    with pytest.raises(ConfigError, match="Did you mean max_loaded") as caught:
        resolve_settings({}, {}, file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"port": "1234"}', '{"port": 1.5}'])
def test_a_file_that_holds_no_settings_is_an_error(file: Path, text: str):
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        resolve_settings({}, {}, file)


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"missing\.json"):
        resolve_settings({}, {}, settings_file(tmp_path, tmp_path / "missing.json"))


def test_the_homes_own_file_is_used_if_it_is_there(file: Path, tmp_path: Path):
    assert settings_file(tmp_path) == file
    assert settings_file(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
def test_a_host_that_others_can_reach_is_refused(host: str):
    with pytest.raises(ConfigError) as caught:
        resolve_settings({"host": host}, {})
    assert caught.value.setting == "host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.0.0.2"])
def test_a_loopback_host_is_taken(host: str):
    assert resolve_settings({"host": host}, {}).host == host
