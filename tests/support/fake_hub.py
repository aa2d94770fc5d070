"""A hub on loopback that speaks the three routes of Hugging Face's, serves real small files, and fails as it is told.

    with fake_hub() as hub:
        hub.add("owner/name", {"name-Q4_K_M.gguf": gguf_bytes({...})})
        hub.faults.append(Cut(after_bytes=1000))       # the next request for a file gets this

Each request for a file takes the first of `faults`; without one it is served well. Requests are kept in `requests`.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Cut:
    """The connection ends after so many bytes of the body."""

    after_bytes: int


@dataclass
class Stall:
    """Nothing comes after so many bytes of the body; the connection stays."""

    after_bytes: int


@dataclass
class Status:
    """Another status than 200."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Body:
    """Another body than the file's."""

    data: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class WrongRange:
    """A 206 that begins elsewhere than asked."""


Fault = Cut | Stall | Status | Body | WrongRange


@dataclass
class Seen:
    """A request."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class Repo:
    files: dict[str, bytes]
    listing: dict[str, Any]
    sizes: dict[str, int]
    """Sizes that are announced instead of the real ones."""
    hashes: dict[str, str | None]
    """Likewise."""


class FakeHub:
    """The state of a running hub; change it while it runs."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.listing_faults: list[Status | Body | Stall] = []
        self.requests: list[Seen] = []
        self.asked_for_file = threading.Event()
        """Set once some bytes of a file, or as many as a fault allows, are sent."""
        self.token: str | None = None
        """Needed for everything, if set."""
        self.gated: set[str] = set()
        self.heeds_range = True
        self.announces_size = True
        self.redirect_to: str | None = None
        """Requests for files are sent there, by a redirect; `{path}` is the file's."""
        self.stalls_ended = 0
        """How often a client has left while it got nothing."""
        self.stopping = threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="fake-hub")
        self._thread.start()

    def add(
        self,
        repo: str,
        files: dict[str, bytes],
        *,
        sizes: dict[str, int] | None = None,
        hashes: dict[str, str | None] | None = None,
        **listing: Any,
    ) -> None:
        """A repository. `sizes` and `hashes` are announced instead of the real ones; `listing` are fields of it."""
        self.repos[repo] = Repo(files, listing, sizes or {}, hashes or {})

    def file_requests(self) -> list[Seen]:
        return [seen for seen in self.requests if "/resolve/" in seen.path]

    def file_url(self, repo: str, file: str) -> str:
        return f"{self.url}/{repo}/resolve/main/{file}"

    def close(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.hang_up()
        self._server.server_close()


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    try:
        yield hub
    finally:
        hub.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Ends what clients have left open."""
        for connection in self._connections:
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        hub = self.server.hub
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append(Seen(path, parse_qs(parts.query), headers))
        if hub.token is not None and headers.get("authorization") != f"Bearer {hub.token}":
            self._reply(401, {}, b"{}")
        elif path == "/api/models":
            self._list(parse_qs(parts.query))
        elif path.startswith("/api/models/"):
            self._describe(path.removeprefix("/api/models/"))
        else:
            self._file(path.removeprefix("/"), headers)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Tests look at `requests` instead."""

    def _list(self, query: dict[str, list[str]]) -> None:
        hub = self.server.hub
        if hub.listing_faults:
            self._fail(hub.listing_faults.pop(0))
            return
        words = query.get("search", [""])[0].lower().split()
        found = [self._listed(name, repo) for name, repo in hub.repos.items() if all(w in name.lower() for w in words)]
        found.sort(key=lambda one: -one.get("downloads", 0))
        self._json(200, found[: int(query.get("limit", ["100"])[0])])

    def _describe(self, name: str) -> None:
        hub = self.server.hub
        if hub.listing_faults:
            self._fail(hub.listing_faults.pop(0))
            return
        repo = hub.repos.get(name.partition("/revision/")[0])
        if repo is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [
            {
                "rfilename": path,
                "size": repo.sizes.get(path, len(data)),
                "lfs": {
                    "sha256": repo.hashes.get(path, hashlib.sha256(data).hexdigest()),
                    "size": repo.sizes.get(path, len(data)),
                    "pointerSize": 135,
                },
            }
            for path, data in repo.files.items()
        ]
        self._json(200, {**self._listed(name, repo), "siblings": siblings})

    def _listed(self, name: str, repo: Repo) -> dict[str, Any]:
        names = [{"rfilename": path} for path in repo.files]
        return {"id": name.partition("/revision/")[0], "sha": COMMIT, "siblings": names, **repo.listing}

    def _file(self, path: str, headers: dict[str, str]) -> None:
        hub = self.server.hub
        owner, _, rest = path.partition("/")
        name, _, rest = rest.partition("/")
        repo = hub.repos.get(f"{owner}/{name}")
        file = rest.partition("/")[2].partition("/")[2]
        if f"{owner}/{name}" in hub.gated:
            self._reply(403, {"X-Error-Code": "GatedRepo"}, b"gated")
        elif repo is None or file not in repo.files:
            self._reply(404, {"X-Error-Code": "EntryNotFound"}, b"")
        elif hub.redirect_to is not None:
            self._reply(302, {"Location": hub.redirect_to.format(path=path)}, b"")
        else:
            self._serve(repo.files[file], headers, hub.faults.pop(0) if hub.faults else None)

    def _serve(self, data: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        hub = self.server.hub
        if isinstance(fault, (Status, Body)):
            self._fail(fault)
            return
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        begin, status, more = 0, 200, {"ETag": etag}
        asked = headers.get("range", "")
        if hub.heeds_range and asked and headers.get("if-range", etag) == etag:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(data):
                self._reply(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
                return
            if isinstance(fault, WrongRange):
                begin -= 1
            status = 206
            more["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        body = data[begin:]
        self.send_response(status)
        for key, value in more.items():
            self.send_header(key, value)
        if hub.announces_size:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        limit = fault.after_bytes if isinstance(fault, (Cut, Stall)) else len(body)
        self._write(body[:limit])
        hub.asked_for_file.set()
        if isinstance(fault, Stall):
            self._until_client_leaves()
        if isinstance(fault, (Cut, Stall)):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif not hub.announces_size:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        if self.server.hub.announces_size:
            self.wfile.write(data)
        elif data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _until_client_leaves(self) -> None:
        while not self.server.hub.stopping.is_set():
            if select.select([self.connection], [], [], 0.05)[0]:
                self.server.hub.stalls_ended += 1
                return

    def _fail(self, fault: Status | Body | Stall) -> None:
        if isinstance(fault, Stall):
            self._until_client_leaves()
            self.close_connection = True
        elif isinstance(fault, Status):
            self._reply(fault.status, fault.headers, b"")
        else:
            self._reply(200, fault.headers, fault.data)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
