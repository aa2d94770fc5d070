"""`roci serve` as a command; what it serves is tested with the gateway."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from roci.cli.serve import FLAGS, command, given_flags
from tests.support.command_line import PATIENCE_S, CommandLine


def test_every_setting_of_the_gateway_has_a_flag_of_its_type_with_its_default_in_the_help() -> None:
    from roci.server.settings import NAMES, ServerSettings

    settings = ServerSettings()
    assert sorted(flag.name for flag in FLAGS) == sorted(NAMES)
    for flag in FLAGS:
        default = getattr(settings, flag.name)
        if flag.kind is tuple:
            assert default in ((), False), flag.name
        elif flag.kind is bool:
            assert default in (True, False, None), flag.name
        elif default is not None:
            # Text is for numbers that may be `never` too.
            assert flag.kind is str or isinstance(default, flag.kind), flag.name
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert f"[{shown}]" in flag.help, flag.name


@pytest.mark.parametrize(
    ("words", "cors"),
    [
        (["--cors"], True),
        (["--cors", "--port", "0"], True),
        (["--cors", "https://a.example"], ("https://a.example",)),
        (["--cors", "https://a.example", "--cors=https://b.example"], ("https://a.example", "https://b.example")),
        (["--cors", "off"], False),
        ([], ("https://file.example",)),
    ],
)
def test_cors_alone_is_any_page_and_with_origins_those(words: list[str], cors: object, tmp_path: Path) -> None:
    from roci.server.settings import resolve_settings

    file = tmp_path / "server.json"
    file.write_text('{"cors": ["https://file.example"]}')
    flags = dict(command.make_context("serve", list(words)).params)
    flags.pop("file")
    assert resolve_settings(given_flags(flags), {}, file).cors == cors


def test_a_server_for_others_wants_a_token_and_lets_its_holder_in(alone: CommandLine) -> None:
    refused = alone.run("serve", "--host", "0.0.0.0", "--port", "0", "--require-token")
    assert refused.status == 2
    assert "there is no token yet" in refused.err
    token = alone.run("tokens", "create", "laptop").out.strip()
    with alone.started("serve", "--host", "0.0.0.0", "--port", "0", "--require-token") as process:
        assert process.stderr is not None
        port = re.search(rb"http://0\.0\.0\.0:(\d+)", process.stderr.readline())
        assert port is not None
        url = f"http://127.0.0.1:{port[1].decode()}"
        without = alone.run("models", "--server", url)
        assert without.status == 1
        assert "API token" in without.err
        assert alone.but(LM_API_TOKEN=token).run("models", "--server", url).status == 0


def test_it_says_where_it_serves_and_ctrl_c_ends_it_with_0(alone: CommandLine) -> None:
    with alone.started("serve", "--port", "0") as process:
        assert process.stderr is not None
        url = re.search(rb"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert url is not None
        assert b"roci get smollm2-135m-instruct" in process.stderr.readline()  # there is no model here
        models = alone.run("models", "--json", "--server", url[0].decode())
        assert json.loads(models.out)["server"]["models"] == []
        process.send_signal(2)
        assert process.wait(PATIENCE_S) == 0
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--host", "0.0.0.0"], "--host"),
        (["--host", "example.org"], "--host"),
        (["--cors", "app.example"], "--cors"),
        (["--ttl-s", "soon"], "--ttl-s"),
        (["--port", "70000"], "--port"),
        (["--max-loaded", "0"], "--max-loaded"),
        (["--config", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_setting_that_cannot_be_is_a_usage_error_with_its_origin(
    alone: CommandLine, flags: list[str], words: str
) -> None:
    done = alone.run("serve", *flags)
    assert done.status == 2
    assert words in done.err


def test_the_homes_file_is_read_and_an_unknown_name_in_it_is_told(alone: CommandLine) -> None:
    home = alone.folder / "roci"
    home.mkdir()
    (home / "server.json").write_text('{"prot": 1}')
    done = alone.run("serve")
    assert done.status == 2
    assert "'prot'" in done.err
    assert "Did you mean port?" in done.err


def test_a_busy_port_is_an_error_that_says_what_to_do(alone: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = alone.run("serve", "--port", str(port))
    assert done.status == 1
    assert f"Port {port} on 127.0.0.1 is taken" in done.err
    assert "--port" in done.err
