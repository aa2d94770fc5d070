"""Taking a port, and saying who has it where that fails."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

import psutil

from roci.errors import ConfigError, PortBusyError, RociError
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.exchange.transports import SyncTransport
from roci.types.settings import Timeouts

BACKLOG: Final = 2048
_ASK_S: Final = 1.0


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on `host`, which is a loopback address or `localhost`; port 0 takes any free one.

    Raises:
        PortBusyError: somebody has the port; says who, and what to do.
        ConfigError: the system does not allow the address or port.
    """
    address = ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose last connections have only just ended may be taken; one that somebody listens on may not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise _busy(str(address), port) from error
        raise ConfigError(
            f"Cannot listen on {address} port {port}: {error.strerror or error}.",
            setting="port",
            value=port,
            hint="Ports below 1024 need special rights: take another with --port.",
        ) from error
    listener.setblocking(False)
    return listener


def _busy(host: str, port: int) -> PortBusyError:
    holder = port_holder(port)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    by = f" by {holder}" if holder else ""
    if _is_model_server(url):
        hint = f"It answers as roci and LM Studio do, so you can use it as it is: {url}. Or take another with --port."
    else:
        hint = f"End that program, or take another port: roci serve --port {port + 1 if port < 65_535 else 0}"
    return PortBusyError(f"Port {port} on {host} is taken{by}.", host=host, port=port, holder=holder, hint=hint)


def port_holder(port: int) -> str:
    """Who listens on `port`, as `name (pid)`; empty where this user may not know."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            is_listener = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if is_listener and connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()} ({connection.pid})"
    except psutil.Error:
        return ""  # other users' processes are hidden on some systems
    return ""


def _is_model_server(url: str) -> bool:
    def greeting() -> Exchange[HttpReply]:
        timeouts = Timeouts(connect_s=_ASK_S, first_token_s=_ASK_S, total_s=_ASK_S)
        return (yield HttpRequest(path="/lmstudio-greeting", timeouts=timeouts))

    transport = SyncTransport(url)
    try:
        reply = transport.run(greeting())
    except RociError:
        return False  # whatever it is, it does not answer as one
    finally:
        transport.close()
    return reply.status == 200 and b'"lmstudio"' in reply.body
