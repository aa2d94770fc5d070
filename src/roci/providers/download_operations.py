"""Downloads that a server makes, sync and async side by side; and what every operation on its models needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from roci.errors import RociError, UnsupportedError, UsageError
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.types.settings import Timeouts

if TYPE_CHECKING:
    from roci.providers.management import Download, Management
    from roci.types.management import DownloadStatus, IfInterrupted, OnDownloadProgress

_CANCEL_TIMEOUTS = Timeouts(connect_s=2.0, first_token_s=30.0, gap_s=30.0, total_s=30.0)


class DownloadOperations(ABC):
    """The operations on a server's downloads."""

    def download_model(
        self,
        name: str,
        quantization: str | None = None,
        *,
        force: bool = False,
        on_progress: OnDownloadProgress | None = None,
        if_interrupted: IfInterrupted = "leave",
        poll_s: float = 1.0,
        timeouts: Timeouts | None = None,
    ) -> DownloadStatus:
        """Have the server download a model, and wait until it is there; `already_downloaded` where it was.

        The download is the server's: it goes on when this call ends early, and the same call joins it or, where it
        was cut, goes on with it.

        Args:
            name: `owner/name` or a Hugging Face link; for `roci serve` also a name of its catalog, or any link.
            quantization: `Q4_K_M` for instance; None leaves it to the server.
            force: take the smallest file where none fits the server's machine; `roci serve` alone.
            on_progress: called with each `DownloadStatus`, so every `poll_s` seconds.
            if_interrupted: `cancel` ends the server's download if this call ends early, by Ctrl-C, cancellation or
                an error of `on_progress`; `roci serve` alone.
            poll_s: seconds between two questions, 0.05 to 60.
            timeouts: for each question.

        Raises:
            UnsupportedError: the server has no downloads, or not what was asked of it.
            ModelNotFoundError: there is no such model.
            DiskFullError: the server's disk has no room for it; `.needed_bytes`, `.free_bytes`.
            DownloadError: it failed, was paused or was cancelled; `.done_bytes`.
        """
        download, management = self._downloading(
            name, quantization, force, on_progress, if_interrupted, poll_s, timeouts
        )
        transport = self._connect()
        try:
            return transport.run(management.download(download))
        except RociError:
            raise  # it is the server's own end of it, or nobody answers
        except BaseException:
            if if_interrupted == "cancel" and download.job_id:
                with suppress(RociError):  # it has ended meanwhile, or nobody answers any more
                    transport.run(
                        self._management("cancel_download", _CANCEL_TIMEOUTS).cancel_download(download.job_id)
                    )
            raise

    async def adownload_model(
        self,
        name: str,
        quantization: str | None = None,
        *,
        force: bool = False,
        on_progress: OnDownloadProgress | None = None,
        if_interrupted: IfInterrupted = "leave",
        poll_s: float = 1.0,
        timeouts: Timeouts | None = None,
    ) -> DownloadStatus:
        """Have the server download a model, and wait until it is there; `already_downloaded` where it was.

        The download is the server's: it goes on when this call ends early, and the same call joins it or, where it
        was cut, goes on with it.

        Args:
            name: `owner/name` or a Hugging Face link; for `roci serve` also a name of its catalog, or any link.
            quantization: `Q4_K_M` for instance; None leaves it to the server.
            force: take the smallest file where none fits the server's machine; `roci serve` alone.
            on_progress: called with each `DownloadStatus`, so every `poll_s` seconds.
            if_interrupted: `cancel` ends the server's download if this call ends early, by Ctrl-C, cancellation or
                an error of `on_progress`; `roci serve` alone.
            poll_s: seconds between two questions, 0.05 to 60.
            timeouts: for each question.

        Raises:
            UnsupportedError: the server has no downloads, or not what was asked of it.
            ModelNotFoundError: there is no such model.
            DiskFullError: the server's disk has no room for it; `.needed_bytes`, `.free_bytes`.
            DownloadError: it failed, was paused or was cancelled; `.done_bytes`.
        """
        download, management = self._downloading(
            name, quantization, force, on_progress, if_interrupted, poll_s, timeouts
        )
        transport = await self._aconnect()
        try:
            return await transport.run(management.download(download))
        except RociError:
            raise  # it is the server's own end of it, or nobody answers
        except BaseException:
            if if_interrupted == "cancel" and download.job_id:
                with suppress(RociError):  # it has ended meanwhile, or nobody answers any more
                    await transport.run(
                        self._management("cancel_download", _CANCEL_TIMEOUTS).cancel_download(download.job_id)
                    )
            raise

    def cancel_download(self, job_id: str, *, timeouts: Timeouts | None = None) -> None:
        """End a server's download and remove what has come of it.

        Raises:
            UnsupportedError: the server cannot; LM Studio cannot.
            ReplyError: there is no such download, or it is complete.
        """
        management = self._management("cancel_download", timeouts)
        self._connect().run(management.cancel_download(job_id))

    async def acancel_download(self, job_id: str, *, timeouts: Timeouts | None = None) -> None:
        """End a server's download and remove what has come of it.

        Raises:
            UnsupportedError: the server cannot; LM Studio cannot.
            ReplyError: there is no such download, or it is complete.
        """
        management = self._management("cancel_download", timeouts)
        await (await self._aconnect()).run(management.cancel_download(job_id))

    @abstractmethod
    def _connect(self) -> SyncTransport:
        """The transport for sync calls."""

    @abstractmethod
    async def _aconnect(self) -> AsyncTransport:
        """The transport for calls of the running event loop."""

    def _management(self, capability: str, timeouts: Timeouts | None = None) -> Management:
        """How this server is told to manage its models.

        Raises:
            UnsupportedError: roci does not know how; `capability` is what was wanted.
        """
        raise UnsupportedError(
            f"{type(self).__name__} does not manage models.",
            capability=capability,
            hint="LM Studio and `roci serve` do: LmStudioProvider, or LmStudioServer, which needs no model.",
        )

    def _downloading(
        self,
        name: str,
        quantization: str | None,
        force: bool,
        on_progress: OnDownloadProgress | None,
        if_interrupted: IfInterrupted,
        poll_s: float,
        timeouts: Timeouts | None,
    ) -> tuple[Download, Management]:
        management = self._management("download_model", timeouts)
        if if_interrupted not in ("leave", "cancel"):
            raise UsageError(
                f"if_interrupted is {if_interrupted!r}; it takes 'leave' or 'cancel'.", field="if_interrupted"
            )
        if not 0.05 <= poll_s <= 60:
            raise UsageError(f"poll_s is {poll_s!r}; it takes seconds from 0.05 to 60.", field="poll_s")
        from roci.providers.management import Download

        return Download(name, quantization, force=force, on_progress=on_progress, poll_s=poll_s), management
