"""One file as it comes: asked for again and again until it is whole, then checked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from roci.engine.gguf_header import read_header
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.part_file import PartFile
from roci.engine.hub.progress import Reporter, Throttle
from roci.engine.hub.refusals import refusal, retry_after_s, unreachable
from roci.engine.hub.repository import RemoteFile
from roci.engine.hub.web import Web, host_of
from roci.errors import (
    BadModelFileError,
    CorruptDownloadError,
    DownloadError,
    ReplyError,
    RociError,
    ServerUnreachableError,
    TransportError,
)
from roci.exchange.transports import AsyncOpenReply
from roci.types.settings import Timeouts

AGAIN: Final = (408, 429, 500, 502, 503, 504)
RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
KEPT: Final = "What has come is kept: the same command goes on from there."


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a download bears with a bad line."""

    tries: int = 6
    """Attempts in a row that bring nothing, before it gives up."""
    first_wait_s: float = 1.0
    """Before the second attempt; doubled each time."""
    wait_cap_s: float = 60.0
    """The longest wait, also where the server's `Retry-After` asks for more."""
    connect_s: float = 15.0
    stall_s: float = 60.0
    """How long nothing may come, before it counts as a broken connection."""

    @property
    def timeouts(self) -> Timeouts:
        return Timeouts(connect_s=self.connect_s, first_token_s=self.stall_s, gap_s=self.stall_s)

    def wait_s(self, failures: int, asked_s: float | None) -> float:
        """Before the next attempt, after this many failures in a row."""
        own = self.first_wait_s * 2 ** min(failures - 1, 20)
        return min(self.wait_cap_s, own if asked_s is None else max(asked_s, 0.0))


class _Again(Exception):  # noqa: N818
    """An attempt that failed and may be made again."""

    def __init__(self, cause: RociError, asked_s: float | None = None) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.asked_s = asked_s


class Receiver:
    """Brings one file into its part."""

    def __init__(
        self,
        remote: RemoteFile,
        part: PartFile,
        *,
        web: Web,
        hub: Hub,
        repo: str,
        patience: Patience,
        throttle: Throttle,
        reporter: Reporter,
        on_size: Callable[[int], None],
    ) -> None:
        """Args: on_size: told the size where only the reply says it; it may raise."""
        self.remote = remote
        self.part = part
        self.web = web
        self.hub = hub
        self.repo = repo
        self.patience = patience
        self.throttle = throttle
        self.reporter = reporter
        self._on_size = on_size
        self._size_bytes = remote.size_bytes
        self._validator = ""
        """What tells that the file at its server is still the same."""

    async def bring(self) -> None:
        """All of the file, checked. What came earlier is taken for good only if the checksum says so."""
        part, size = self.part, self.remote.size_bytes
        if self.remote.sha256 is None or (size is not None and part.size_bytes > size):
            part.restart()  # it may be of another file, and nothing would tell
        for done in part.reread():
            self.reporter.tell("checking", self.remote.name, done)
            await asyncio.sleep(0)
        was_begun = part.size_bytes > 0
        try:
            await self._receive_and_check()
        except CorruptDownloadError:
            if not was_begun:
                raise
            await self._receive_and_check()

    async def _receive_and_check(self) -> None:
        await self._receive()
        try:
            self._check()
        except (CorruptDownloadError, BadModelFileError):
            self.part.restart()
            raise

    async def _receive(self) -> None:
        failures, most_bytes = 0, self.part.size_bytes
        while self._size_bytes is None or self.part.size_bytes < self._size_bytes:
            try:
                await self._attempt()
            except _Again as again:
                # Only what goes beyond all that ever came is progress, or starting anew could go on for ever.
                failures = 1 if self.part.size_bytes > most_bytes else failures + 1
                most_bytes = max(most_bytes, self.part.size_bytes)
                if failures >= self.patience.tries:
                    self._give_up(again.cause)
                wait_s = self.patience.wait_s(failures, again.asked_s)
                note = f"{again.cause.message.rstrip('.')}; again in {wait_s:.0f} s"
                self.reporter.tell("retrying", self.remote.name, self.part.size_bytes, note)
                await asyncio.sleep(wait_s)

    async def _attempt(self) -> None:
        url, part = self.remote.url, self.part
        headers = self.hub.headers_for(url) if self.repo else {}
        if part.size_bytes:
            headers["range"] = f"bytes={part.size_bytes}-"
            if self._validator:
                headers["if-range"] = self._validator
        try:
            async with self.web.open(url, headers, self.patience.timeouts) as reply:
                self._begin(reply)
                async for piece in reply:
                    part.append(piece)
                    self.reporter.tell("downloading", self.remote.name, part.size_bytes)
                    if self._size_bytes is not None and part.size_bytes > self._size_bytes:
                        part.restart()
                        raise self._wrong_size("more")
                    await self.throttle.spend(len(piece))
        except TransportError as error:
            raise _Again(unreachable(error, url)) from error
        if self._size_bytes is None:
            self._size_bytes = part.size_bytes  # the reply's end was marked, though its size was not announced
        elif part.size_bytes < self._size_bytes:
            raise _Again(DownloadError(f"{host_of(url)} sent only a part of {self.remote.name}."))

    def _begin(self, reply: AsyncOpenReply) -> None:
        """Takes in what a reply says of itself, before its body."""
        part, status, headers = self.part, reply.status, reply.headers
        server, name = host_of(self.remote.url), self.remote.name
        if status not in (200, 206):
            self._refuse(reply)
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise DownloadError(f"{server} compresses {name}, which was not asked for.")
        begin, total = 0, _length(headers.get("content-length"))
        if status == 206:
            match = RANGE.fullmatch(headers.get("content-range", "").strip().lower())
            begin, total = (int(match[1]), _length(match[2])) if match else (-1, None)
        if begin != part.size_bytes:
            part.restart()  # the range was not heeded
            if status == 206:
                raise _Again(DownloadError(f"{server} sent another part of {name} than was asked for."))
        if total is not None and self._size_bytes is None:
            self._on_size(total)
            self._size_bytes = total
        elif total is not None and total != self._size_bytes:
            raise self._wrong_size(f"{total:,}")
        etag = headers.get("etag", "")
        # A weak one does not vouch for the bytes.
        self._validator = etag if etag.startswith('"') else headers.get("last-modified", "")

    def _refuse(self, reply: AsyncOpenReply) -> NoReturn:
        error = refusal(
            reply.status,
            reply.headers,
            what=self.remote.name,
            url=self.remote.url,
            hub=self.hub,
            repo=self.repo,
        )
        if reply.status == 416 and self.part.size_bytes:
            total = _length(reply.headers.get("content-range", "").lower().removeprefix("bytes */"))
            if total is not None and self._size_bytes is not None and total != self._size_bytes:
                raise self._wrong_size(f"{total:,}")
            self.part.restart()  # there is no such range: another file lies there now
        elif reply.status not in AGAIN:
            raise error
        raise _Again(error, retry_after_s(reply.headers))

    def _give_up(self, cause: RociError) -> NoReturn:
        if isinstance(cause, (ReplyError, ServerUnreachableError)) and not self.part.size_bytes:
            raise cause
        kept = f" {KEPT}" if self.remote.sha256 else ""
        raise DownloadError(
            f"{self.remote.name} could not be downloaded in {self.patience.tries} attempts: {cause.message}",
            file=self.remote.name,
            done_bytes=self.part.size_bytes,
            total_bytes=self._size_bytes,
            hint=f"Check the network, and try again later.{kept}",
        ) from cause

    def _check(self) -> None:
        """Raises unless what came is what was announced; a file without a checksum must at least be a model."""
        remote = self.remote
        if remote.sha256 is None:
            read_header(self.part.path, key=remote.name)
        elif self.part.sha256() != remote.sha256:
            raise CorruptDownloadError(
                f"{remote.name} is damaged: its SHA-256 is not the one that {host_of(remote.url)} announces. "
                "It was removed.",
                expected=remote.sha256,
                actual=self.part.sha256(),
                file=remote.name,
                total_bytes=remote.size_bytes,
                hint="Try again; if it stays so, a proxy or mirror on the way changes it.",
            )

    def _wrong_size(self, actual: str) -> CorruptDownloadError:
        expected = self._size_bytes or 0
        return CorruptDownloadError(
            f"{self.remote.name} should have {expected:,} bytes, and {host_of(self.remote.url)} sends {actual}.",
            expected=str(expected),
            actual=actual,
            file=self.remote.name,
            total_bytes=expected,
            hint="Try again; if it stays so, a proxy or mirror on the way changes it.",
        )


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 16 else None
