"""`roci` as a whole: help, version, exit statuses, and streams that are not what one expects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roci.cli.command_line import COMMANDS
from roci.version import VERSION
from tests.support.command_line import ROCI, CommandLine

FULL = Path("/dev/full")


def test_roci_alone_shows_every_command(alone: CommandLine) -> None:
    done = alone.run()
    assert done.status == 0
    assert all(f"  {name}" in done.out for name in COMMANDS)
    assert done.err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(alone: CommandLine, name: str) -> None:
    done = alone.run(name, "--help")
    assert done.status == 0
    assert f"roci {name}" in done.out.partition("Examples:")[2]


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_printed(alone: CommandLine, flag: str) -> None:
    assert alone.run(flag).out == f"roci {VERSION}\n"


def test_the_version_imports_none_of_the_packages_that_take_time() -> None:
    code = """if 1:
        import sys
        sys.argv = ["roci", "--version"]
        from roci.cli.main import main
        main()
        print([name for name in ("click", "rich", "httpx2", "msgspec", "importlib.metadata") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"roci {VERSION}\n[]\n"


def test_an_unknown_command_names_the_nearest(alone: CommandLine) -> None:
    done = alone.run("moddels")
    assert done.status == 2
    assert done.out == ""
    assert "no command 'moddels'. Did you mean models?" in done.err


def test_a_prompt_without_run_says_how_to_ask(alone: CommandLine) -> None:
    done = alone.run("why")
    assert done.status == 2
    assert 'roci run "why' in done.err


@pytest.mark.parametrize("arguments", [["run", "--no-such-flag"], ["run", "--max-tokens", "many", "x"], ["get"]])
def test_a_wrong_command_line_exits_with_2_and_says_where_help_is(alone: CommandLine, arguments: list[str]) -> None:
    done = alone.run(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert f"roci {arguments[0]} --help" in done.err


def test_a_setting_that_cannot_be_used_names_its_variable(alone: CommandLine) -> None:
    done = alone.but(LMSTUDIO_BASE_URL="localhost:1234").run("models")
    assert done.status == 2
    assert "LMSTUDIO_BASE_URL" in done.err
    assert "Did you mean http://localhost:1234?" in done.err


def test_a_full_disk_behind_standard_output_is_an_error_in_a_line(alone: CommandLine) -> None:
    if not FULL.exists():
        pytest.skip("this system has no /dev/full")
    with FULL.open("wb") as full:
        done = subprocess.run(
            [*ROCI, "--help"], stdout=full, stderr=subprocess.PIPE, env=alone.environment, check=False, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_standard_streams_do_no_harm(alone: CommandLine) -> None:
    command = " ".join([*ROCI, "models", "--json", "<&- >&- 2>&-"])
    assert subprocess.run(["sh", "-c", command], env=alone.environment, check=False).returncode == 0


def test_help_fits_a_narrow_window(alone: CommandLine) -> None:
    lines = alone.but(COLUMNS="40").run("run", "--help").out.partition("Examples:")[0].splitlines()
    assert max(map(len, lines)) <= 40


def test_interrupting_before_anything_happened_is_quiet(alone: CommandLine) -> None:
    with alone.on_terminal("chat", "-m", "lmstudio:m") as terminal:
        terminal.expect("> ")
        terminal.type(b"\x04")
        assert terminal.finish() == 0
    assert b"Traceback" not in terminal.shown
