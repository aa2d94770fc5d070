"""`roci serve` as a command; what it serves is tested with the gateway."""

from __future__ import annotations

import json
import re
import socket

import pytest

from roci.cli.serve import FLAGS
from tests.support.command_line import PATIENCE_S, CommandLine


def test_every_setting_of_the_gateway_has_a_flag_of_its_type_with_its_default_in_the_help() -> None:
    from roci.server.settings import ServerSettings

    settings = ServerSettings()
    assert [flag.name for flag in FLAGS] == list(ServerSettings.__struct_fields__)
    for flag in FLAGS:
        default = getattr(settings, flag.name)
        if default is None:
            continue
        assert isinstance(default, flag.kind), flag.name
        if flag.kind is not bool:
            shown = f"{default:g}" if flag.kind is float else str(default)
            assert f"[{shown}]" in flag.help, flag.name


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
