"""What a kind of server can do with its models: one class for each dialect, which builds exchanges and sends nothing.

A dialect overrides what its server can do; all else is an `UnsupportedError` that names the capability.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

from roci.errors import UnsupportedError
from roci.exchange.exchange import Exchange, StreamDecoder
from roci.types.management import (
    DownloadStatus,
    IfLoaded,
    LoadedModel,
    LoadOptions,
    LoadProgress,
    OnDownloadProgress,
    OnLoadProgress,
    ServerStatus,
)
from roci.types.models import ModelInfo


class Loading(StreamDecoder[LoadProgress], Protocol):
    """A load in progress."""

    def loaded(self) -> LoadedModel:
        """The copy, after `close()`; what kept it from being loaded is raised."""
        ...


class Download:
    """A download that is waited for."""

    def __init__(
        self, name: str, quantization: str | None, *, force: bool, on_progress: OnDownloadProgress | None, poll_s: float
    ) -> None:
        self.name = name
        self.quantization = quantization
        self.force = force
        self.poll_s = poll_s
        self.job_id = ""
        """Set once the server works at it."""
        self._on_progress = on_progress

    def tell(self, status: DownloadStatus) -> None:
        if self._on_progress is not None:
            self._on_progress(status)


class Management:
    """The operations, each as an exchange. A server may have any of them."""

    server_name = "This kind of server"

    def listing(self) -> Exchange[list[ModelInfo]]:
        self.cannot("list_models", "list its models")

    def loaded(self) -> Exchange[list[LoadedModel]]:
        self.cannot("list_loaded", "say which models are in memory")

    def load(
        self, key: str, options: LoadOptions, if_loaded: IfLoaded, on_progress: OnLoadProgress | None
    ) -> Exchange[Loading]:
        """The load of `key`; `on_progress` is told only what is known before the server answers."""
        self.cannot("load_model", "be told to load a model")

    def unload(self, name: str | None) -> Exchange[tuple[str, ...]]:
        """The ids of what was unloaded; everything where `name` is None."""
        self.cannot("unload_model", "be told to unload a model")

    def download(self, download: Download) -> Exchange[DownloadStatus]:
        self.cannot("download_model", "be told to download a model")

    def cancel_download(self, job_id: str) -> Exchange[None]:
        self.cannot("cancel_download", "be told to end a download")

    def delete(self, key: str) -> Exchange[int]:
        """The bytes that it freed."""
        self.cannot("delete_model", "be told to delete a model")

    def status(self) -> Exchange[ServerStatus]:
        self.cannot("server_status", "be asked how it is")

    def cannot(self, capability: str, words: str, hint: str = "") -> NoReturn:
        raise UnsupportedError(f"{self.server_name} cannot {words}.", capability=capability, hint=hint)
