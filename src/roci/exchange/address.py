"""Where a server is: its URL and proxy, the requests that go there, and what it means when none arrives."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx2

from roci.errors import ConnectionLostError, ServerUnreachableError
from roci.exchange.exchange import HttpRequest
from roci.exchange.pace import Pace

# LM Studio and uvicorn close idle connections after 5 s; one of ours must never be older than that when it is reused.
_IDLE_CONNECTION_S = 4.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Address:
    """One server's address, for both transports."""

    def __init__(self, base_url: str, uds: str | None, keep_alive: bool) -> None:
        self.base_url = base_url
        self.uds = uds
        self._urls: dict[str, httpx2.URL] = {}
        parts = urlsplit(base_url)
        self.pool: dict[str, Any] = {
            # A bare context spares reading the certificate store where no TLS will be spoken.
            "verify": True if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            "limits": httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=32 if keep_alive else 0,
                keepalive_expiry=_IDLE_CONNECTION_S,
            ),
            "uds": uds,
            "proxy": None if uds else _proxy(parts.scheme, parts.hostname or ""),
        }

    def request(self, request: HttpRequest, pace: Pace) -> httpx2.Request:
        url = self._urls.get(request.path)
        if url is None:
            if len(self._urls) > 256:
                self._urls.clear()
            url = self._urls[request.path] = httpx2.URL(self.base_url + request.path)
        limits = request.timeouts
        timeout = {
            "connect": limits.connect_s,
            "read": pace.read_limit(),
            "write": limits.first_token_s,
            "pool": limits.connect_s,
        }
        headers = {"accept-encoding": "identity", "user-agent": "roci", **request.headers}
        if request.body is not None:
            headers["content-type"] = "application/json"
        return httpx2.Request(
            request.method, url, headers=headers, content=request.body, extensions={"timeout": timeout}
        )

    def fail(self, error: httpx2.TransportError, pace: Pace, body: bytes = b"") -> NoReturn:
        """Raise what a failed read or connect means for the caller."""
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
            raise pace.timed_out() from error
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            reason = str(error) or "no answer to the connection attempt"
            if isinstance(error, httpx2.ConnectTimeout):
                reason = f"no connection within {pace.timeouts.connect_s:g} s"
            raise ServerUnreachableError(
                f"Nothing answers at {self.base_url} ({reason}).",
                base_url=self.base_url,
                hint=_unreachable_hint(self.base_url),
            ) from error
        reason = str(error) or type(error).__name__
        raise ConnectionLostError(
            f"The connection to {self.base_url} broke before the reply was whole ({reason}).",
            body=body[:10_000].decode("utf-8", "replace"),
            hint="The server may have crashed or been stopped: look at its log, then ask again.",
        ) from error

    def closed_while_waiting(self) -> ConnectionLostError:
        """For a call that waits for its next attempt when its transport is closed."""
        return ConnectionLostError(f"The connections to {self.base_url} were closed before the next attempt.")


def _proxy(scheme: str, host: str) -> str | None:
    """The environment's proxy for this host; none for loopback, where a proxy could only lead astray."""
    if host in _LOOPBACK or host.startswith("127."):
        return None
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies: Mapping[str, str] = getproxies()
    if proxy_bypass(host):
        return None
    return proxies.get(scheme) or proxies.get("all")


def _unreachable_hint(base_url: str) -> str:
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (
        "Check these four:\n"
        "  1. The program is running: LM Studio, or `roci serve`.\n"
        "  2. Its server is started: in LM Studio under Developer, or with `lms server start`.\n"
        f"  3. Nothing blocks port {port}: a firewall, a container or a VM in between.\n"
        f"  4. {base_url} is the right address: LMSTUDIO_BASE_URL or base_url=… sets another."
    )
