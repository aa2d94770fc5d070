"""The command line where only the SDK is installed: no gateway, no embedded engine."""

from __future__ import annotations

import pytest

from tests.support.canned_server import CannedServer
from tests.support.command_line import CommandLine

INSTALL = "pip install 'roci-ai[server]'"
# To Python, a module that is None is one that is not installed.
HIDE = "import sys; sys.modules.update(dict.fromkeys(['litestar', 'uvicorn', 'xllamacpp']))"


@pytest.fixture
def bare(alone: CommandLine) -> CommandLine:
    folder = alone.folder / "startup"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDE)
    return alone.but(PYTHONPATH=str(folder))


def test_serve_says_what_is_missing_and_how_to_install_it(bare: CommandLine) -> None:
    done = bare.run("serve")
    assert done.status == 2
    assert "litestar, uvicorn, xllamacpp" in done.err
    assert INSTALL in done.err


def test_the_help_of_serve_needs_nothing(bare: CommandLine) -> None:
    assert "--max-loaded" in bare.run("serve", "--help").out


def test_a_local_model_says_how_to_install_the_engine(bare: CommandLine) -> None:
    done = bare.run("run", "-m", "local:smollm2-135m-instruct", "Hi")
    assert done.status == 2
    assert INSTALL in done.err


def test_without_a_server_too_both_ways_out_are_named(bare: CommandLine) -> None:
    done = bare.run("run", "Hi")
    assert done.status == 1
    assert "Check these four" in done.err
    assert INSTALL in done.err


def test_a_server_is_all_it_takes(bare: CommandLine, server: CannedServer) -> None:
    assert bare.but(LMSTUDIO_BASE_URL=server.url).run("run", "Hi").out == "Hello there.\n"


def test_the_doctor_warns_where_a_server_answers(bare: CommandLine, server: CannedServer) -> None:
    done = bare.but(LMSTUDIO_BASE_URL=server.url).run("doctor")
    assert done.status == 0
    assert "warning  engine         The embedded engine (xllamacpp) is not installed" in done.out
    assert INSTALL in done.out
