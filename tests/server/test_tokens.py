"""Access tokens: their form, what is kept of them, and that changes on disk are noticed."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roci.errors import ConfigError, UsageError
from roci.server.state.tokens import FILE_NAME, TokenKeeper, create_token, list_tokens, remove_token

LM_STUDIOS_FORM = r"sk-lm-[A-Za-z0-9]{8}:[A-Za-z0-9]{20}"


def test_a_token_has_lm_studios_form_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    token = create_token(tmp_path / "home", "laptop")
    file = tmp_path / "home" / FILE_NAME
    assert re.fullmatch(LM_STUDIOS_FORM, token)
    assert token.partition(":")[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (kept,) = list_tokens(tmp_path / "home")
    assert (kept.name, kept.id) == ("laptop", token[6:14])


def test_a_keeper_knows_its_tokens_and_no_others(tmp_path: Path) -> None:
    first, second = create_token(tmp_path, "first"), create_token(tmp_path, "second")
    keeper = TokenKeeper(tmp_path)
    assert keeper.knows(first.encode())
    assert keeper.knows(second.encode())
    mixed = f"{first.partition(':')[0]}:{second.partition(':')[2]}"
    for other in (mixed, first[:-1], first + "x", first.swapcase(), "", "sk-lm-", " " + first, first + "\n"):
        assert not keeper.knows(other.encode())


def test_tokens_made_and_removed_are_noticed_without_a_restart(tmp_path: Path) -> None:
    keeper = TokenKeeper(tmp_path)
    token = create_token(tmp_path, "laptop")
    assert keeper.knows(token.encode())
    assert remove_token(tmp_path, "laptop").name == "laptop"
    assert not keeper.knows(token.encode())
    again = create_token(tmp_path, "laptop")
    assert keeper.knows(again.encode())
    (tmp_path / FILE_NAME).unlink()
    assert not keeper.knows(again.encode())


def test_a_damaged_file_lets_nobody_in_and_is_told(tmp_path: Path) -> None:
    keeper = TokenKeeper(tmp_path)
    token = create_token(tmp_path, "laptop")
    assert keeper.knows(token.encode())
    (tmp_path / FILE_NAME).write_text('{"tokens": [{"name": 1}]}')
    assert not keeper.knows(token.encode())
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        list_tokens(tmp_path)
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        create_token(tmp_path, "other")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "\x1b[2J"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        create_token(tmp_path, name)
    assert list_tokens(tmp_path) == []


def test_names_are_taken_once_and_a_removal_may_go_by_the_id(tmp_path: Path) -> None:
    token = create_token(tmp_path, "laptop")
    with pytest.raises(UsageError, match="already"):
        create_token(tmp_path, "laptop")
    with pytest.raises(UsageError, match="Did you mean laptop"):
        remove_token(tmp_path, "labtop")
    assert remove_token(tmp_path, token[6:14]).name == "laptop"
    assert list_tokens(tmp_path) == []


def test_tokens_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: create_token(tmp_path, f"token {number}"), range(16)))
    keeper = TokenKeeper(tmp_path)
    assert all(keeper.knows(token.encode()) for token in made)


def test_a_home_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        create_token(tmp_path / "home", "laptop")
