"""Where settings come from, and who wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from roci import ConfigError, RociConfig
from roci.config import LMSTUDIO_TOKEN_VARIABLES, TIMEOUT_VARIABLES, checked_url, server_root


def config(directory: Path, **environ: str) -> RociConfig:
    return RociConfig.from_env(environ, directory=directory)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    found = config(tmp_path)

    assert found.lmstudio_base_url == "http://localhost:1234"
    assert (found.lmstudio_token, found.openai_api_key, found.model, found.timeouts) == (None, None, None, {})
    assert found.home.is_absolute()


def test_the_environment_is_read(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        LMSTUDIO_BASE_URL="http://box:5000/v1/",
        OPENAI_BASE_URL="https://host/v1",
        OPENAI_API_KEY="k",
        ROCI_MODEL="lmstudio:m",
        ROCI_HOME=str(tmp_path),
    )

    assert (found.lmstudio_base_url, found.openai_base_url) == ("http://box:5000", "https://host/v1")
    assert (found.openai_api_key, found.model, found.home) == ("k", "lmstudio:m", tmp_path)
    assert found.origins["lmstudio_base_url"] == "LMSTUDIO_BASE_URL"


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMSTUDIO_BASE_URL", "http://box:1")

    assert RociConfig.from_env().lmstudio_base_url == "http://box:1"


def test_env_file_of_the_working_directory_is_read_and_never_overrides(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LMSTUDIO_BASE_URL=http://file:1\nLM_API_TOKEN='from file'\nROCI_MODEL=${HOME}\n")

    alone = config(tmp_path)
    assert (alone.lmstudio_base_url, alone.lmstudio_token, alone.model) == ("http://file:1", "from file", "${HOME}")
    assert alone.origins["lmstudio_base_url"] == ".env: LMSTUDIO_BASE_URL"
    beside = config(tmp_path, LMSTUDIO_BASE_URL="http://environment:1", LM_STUDIO_API_KEY="from environment")
    assert (beside.lmstudio_base_url, beside.lmstudio_token) == ("http://environment:1", "from environment")


@pytest.mark.parametrize("position", range(len(LMSTUDIO_TOKEN_VARIABLES)))
def test_the_first_token_that_is_set_wins(tmp_path: Path, position: int) -> None:
    environ = {name: name for name in LMSTUDIO_TOKEN_VARIABLES[position:]}

    assert config(tmp_path, **environ).lmstudio_token == LMSTUDIO_TOKEN_VARIABLES[position]


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert config(tmp_path, LMSTUDIO_BASE_URL=" ").lmstudio_base_url == "http://localhost:1234"


def test_time_outs_are_read_from_the_environment(tmp_path: Path) -> None:
    environ = dict.fromkeys(TIMEOUT_VARIABLES.values(), "2.5") | {"ROCI_TIMEOUT_TOTAL_S": "none"}

    found = config(tmp_path, **environ)
    assert found.timeouts == {"connect_s": 2.5, "first_token_s": 2.5, "gap_s": 2.5, "total_s": None}


@pytest.mark.parametrize("value", ["soon", "-1", "0", "inf", "nan"])
def test_a_time_out_that_is_none_names_its_variable(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, ROCI_TIMEOUT_GAP_S=value)

    assert caught.value.setting == "ROCI_TIMEOUT_GAP_S"


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", " http://h:1/v1 "])
def test_an_address_means_the_same_with_and_without_v1_and_slash(url: str) -> None:
    assert server_root(url) == "http://h:1"


@pytest.mark.parametrize(
    "url",
    ["localhost:1234", "//localhost", "ftp://host", "http://", "http://h:0", "http://h:99999", "http://h/a?b", ""],
)
def test_a_base_url_that_is_none_is_an_error_that_shows_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_url(url, "LMSTUDIO_BASE_URL")

    assert caught.value.setting == "base_url"
    assert repr(url) in str(caught.value)
    assert "LMSTUDIO_BASE_URL" in str(caught.value)


def test_an_env_file_that_is_no_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")

    with pytest.raises(ConfigError, match=r"\.env"):
        config(tmp_path)


def test_tokens_stay_out_of_the_repr(tmp_path: Path) -> None:
    assert "secret" not in repr(config(tmp_path, LM_API_TOKEN="secret", OPENAI_API_KEY="secret"))
