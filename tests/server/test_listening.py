"""Taking a port, and saying who has it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from roci.errors import ConfigError, PortBusyError
from roci.server.listening import bind
from roci.server.serving import Serving
from roci.server.settings import ServerSettings
from tests.server.conftest import Gateway


def test_a_free_port_is_reported(tmp_path: Path):
    with Serving(ServerSettings(port=0), tmp_path) as serving:
        assert serving.url.startswith("http://127.0.0.1:")
        assert not serving.url.endswith(":0")


def test_a_busy_port_says_who_holds_it_and_what_to_do():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortBusyError) as caught:
            bind("localhost", port)
    assert caught.value.port == port
    assert caught.value.holder == f"{psutil.Process().name()} ({os.getpid()})"
    assert caught.value.holder in str(caught.value)
    assert "--port" in caught.value.hint


def test_a_port_held_by_a_gateway_says_that_it_can_be_used(gateway: Gateway):
    with pytest.raises(PortBusyError) as caught:
        bind("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    assert gateway.url in caught.value.hint


def test_an_address_that_is_not_this_machines_is_told():
    with pytest.raises(ConfigError):
        bind("::ffff:203.0.113.1", 0)
