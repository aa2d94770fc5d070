"""Settings: who wins, and what is said of those that cannot be used."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from roci.engine.settings_files import change_settings
from roci.errors import BadRequestError, ConfigError
from roci.server.model_defaults import ModelDefaults
from roci.server.settings import ServerSettings, check_reach, resolve_settings, settings_file


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


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_a_host_that_others_can_reach_needs_a_token_or_an_express_wish(host: str):
    settings = resolve_settings({"host": host}, {})
    with pytest.raises(ConfigError, match="roci tokens create") as caught:
        check_reach(settings, has_token=True)
    assert (caught.value.setting, caught.value.origin) == ("host", "--host")
    with_token = resolve_settings({"host": host, "require_token": True}, {})
    with pytest.raises(ConfigError, match="there is no token yet"):
        check_reach(with_token, has_token=False)
    check_reach(with_token, has_token=True)
    check_reach(resolve_settings({"host": host, "allow_open": True}, {}), has_token=False)


@pytest.mark.parametrize("host", ["example.org", "", "127.0.0.1:80"])
def test_a_host_that_is_no_address_is_refused(host: str):
    with pytest.raises(ConfigError, match="no address") as caught:
        resolve_settings({"host": host}, {})
    assert caught.value.setting == "host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.0.0.2"])
def test_a_loopback_host_is_taken(host: str):
    settings = resolve_settings({"host": host}, {})
    check_reach(settings, has_token=False)
    assert settings.host == host


def test_the_file_that_users_know_is_accepted(file: Path):
    file.write_text('{"host": "127.0.0.1", "port": 8080, "cors": true, "verbose": true}')
    settings = resolve_settings({}, {}, file)
    assert (settings.host, settings.port, settings.cors, settings.verbose) == ("127.0.0.1", 8080, True, True)


@pytest.mark.parametrize(
    ("value", "cors"),
    [
        (True, True),
        (False, False),
        (["https://App.example/"], ("https://app.example",)),
        (
            ["http://localhost:80", "https://a.example:8443", "null"],
            ("http://localhost", "https://a.example:8443", "null"),
        ),
        (["*"], True),
        ([], ()),
    ],
)
def test_cors_is_off_on_or_a_list_of_origins_as_browsers_write_them(file: Path, value: object, cors: object):
    file.write_text(json.dumps({"cors": value}))
    assert resolve_settings({}, {}, file).cors == cors


@pytest.mark.parametrize(
    ("text", "cors"),
    [
        ("true", True),
        ("off", False),
        ("*", True),
        ("https://a.example, https://b.example", ("https://a.example", "https://b.example")),
    ],
)
def test_cors_in_the_environment_is_a_word_or_origins_with_commas(text: str, cors: object):
    assert resolve_settings({}, {"ROCI_CORS": text}).cors == cors


@pytest.mark.parametrize(
    "entry",
    ["app.example", "https://", "https://a.example/path", "https://*.example", "https://u@a.example", "https://a b"]
    + ["https://a.example:port", "https://a.example?x", "", "https://ü.example"],
)
def test_what_is_no_origin_is_refused(file: Path, entry: str):
    file.write_text(json.dumps({"cors": [entry]}))
    with pytest.raises(ConfigError, match="no origin") as caught:
        resolve_settings({}, {}, file)
    assert caught.value.setting == "cors"


def test_lists_in_the_environment():
    environ = {"ROCI_MODEL_FOLDERS": os.pathsep.join(["/a b", "/c"]), "ROCI_ALLOWED_HOSTS": "box.local, box"}
    settings = resolve_settings({}, environ)
    assert (settings.model_folders, settings.allowed_hosts) == (("/a b", "/c"), ("box.local", "box"))


def test_each_setting_knows_where_it_came_from(file: Path):
    settings = resolve_settings({"port": 21}, {"ROCI_MAX_LOADED": "12"}, file)
    assert settings.origin("port") == "--port"
    assert settings.origin("max_loaded") == "ROCI_MAX_LOADED"
    assert settings.origin("parallel") == str(file)
    assert settings.origin("host") == "default"
    assert ServerSettings(port=5).origin("port") == "argument"


def test_null_is_a_value_where_a_setting_may_be_null(file: Path):
    file.write_text('{"ttl_s": null}')
    assert resolve_settings({}, {}, file).ttl_s is None
    assert resolve_settings({}, {"ROCI_TTL_S": "60"}, file).ttl_s == 60
    file.write_text('{"port": null}')
    with pytest.raises(ConfigError, match="port"):
        resolve_settings({}, {}, file)


def test_the_machines_tools_are_not_given_to_everybody():
    with pytest.raises(ConfigError, match="require_token"):
        resolve_settings({"allow_mcp_file": True}, {})
    assert resolve_settings({"allow_mcp_file": True, "require_token": True}, {}).allow_mcp_file


def test_a_models_own_file_wins_over_the_servers_and_loses_to_environment_and_flags(file: Path, tmp_path: Path):
    file.write_text('{"top_k": 1, "top_p": 0.1, "min_p": 0.1, "temperature": 0.1}')
    own = tmp_path / "model-settings" / "m.yaml"
    own.parent.mkdir()
    own.write_text("top_p: 0.2\nmin_p: 0.2\ntemperature: 0.2\n")
    settings = resolve_settings({"temperature": 0.4}, {"ROCI_MIN_P": "0.3"}, file)
    defaults = ModelDefaults(settings, tmp_path)
    resolved = defaults.resolve("m")
    assert resolved.sampling() == {"top_k": 1, "top_p": 0.2, "min_p": 0.3, "temperature": 0.4}
    assert [resolved.origins[name] for name in ("top_k", "top_p", "min_p", "temperature")] == [
        str(file),
        str(own),
        "ROCI_MIN_P",
        "--temperature",
    ]
    assert defaults.resolve("m", load={"temperature": 0.5}).sampling()["temperature"] == 0.5


def test_settings_made_by_hand_count_as_flags(tmp_path: Path):
    resolved = ModelDefaults(ServerSettings(parallel=2), tmp_path).resolve("m")
    assert (resolved.settings.parallel, resolved.origins["parallel"]) == (2, "--parallel")


def test_a_change_of_a_models_file_holds_at_once(tmp_path: Path):
    defaults = ModelDefaults(ServerSettings(), tmp_path)
    assert defaults.resolve("m") is defaults.resolve("m")
    own = tmp_path / "model-settings" / "m.yaml"
    change_settings(own, {"top_k": 1})
    assert defaults.resolve("m").sampling() == {"top_k": 1}
    change_settings(own, {"top_k": 2})
    assert defaults.resolve("m").sampling() == {"top_k": 2}
    own.unlink()
    assert defaults.resolve("m").sampling() == {}


def test_what_a_request_asks_for_wrongly_is_its_own_fault_and_a_broken_file_is_not(tmp_path: Path):
    defaults = ModelDefaults(ServerSettings(), tmp_path)
    with pytest.raises(BadRequestError) as caught:
        defaults.resolve("m", load={"contxt_length": 1})
    assert (caught.value.param, caught.value.status) == ("contxt_length", 400)
    assert "Did you mean context_length" in str(caught.value)
    with pytest.raises(BadRequestError, match=r"^context_length is 0: Expected"):
        defaults.resolve("m", call={"context_length": 0})
    change_settings(tmp_path / "model-settings" / "m.yaml", {"top_k": -1})
    with pytest.raises(ConfigError, match=r"m\.yaml"):
        defaults.resolve("m")
