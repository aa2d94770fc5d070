"""How LM Studio and `roci serve` manage their models, over `/api/v1`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from roci.errors import (
    DownloadError,
    ModelNotFoundError,
    ReplyError,
    RociError,
    UnexpectedReplyError,
    UnsupportedError,
    UsageError,
    WrongEndpointError,
)
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.providers.management import Download, Management
from roci.providers.retries import Attempts
from roci.selector import nearest_names
from roci.types.management import (
    DownloadStatus,
    IfLoaded,
    LoadedModel,
    LoadOptions,
    LoadProgress,
    OnLoadProgress,
    ServerStatus,
)
from roci.types.models import ModelInfo
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts
from roci.wire.lmstudio import convert
from roci.wire.lmstudio.load_stream import LoadDecoder
from roci.wire.lmstudio.management import (
    LMSTUDIO_OPTIONS,
    Health,
    download_of,
    freed_bytes,
    has_options,
    load_body,
    loaded_models,
    tells_status,
)
from roci.wire.lmstudio.management_errors import refusal
from roci.wire.openai.convert import models as openai_models
from roci.wire.openai.errors import read_error

T = TypeVar("T")
_MODELS: Final = "/api/v1/models"
_LOAD: Final = "/api/v1/models/load"
_UNLOAD: Final = "/api/v1/models/unload"
_DOWNLOAD: Final = "/api/v1/models/download"
_LISTS: Final = ((_MODELS, convert.v1_models), ("/api/v0/models", convert.v0_models))
_ROCI_ONLY: Final = "`roci serve` can."


class LmStudioManagement(Management):
    """For one server. Whether it is LM Studio or `roci serve` is asked where it makes a difference."""

    server_name = "LM Studio"

    def __init__(self, base_url: str, headers: Mapping[str, str], *, timeouts: Timeouts, retries: RetryPolicy) -> None:
        self._base_url = base_url
        self._headers = headers
        self._timeouts = timeouts
        self._retries = retries

    def listing(self) -> Exchange[list[ModelInfo]]:
        """`/api/v1/models`, which tells most; older servers have `/api/v0/models` or only `/v1/models`."""
        for path, read in _LISTS:
            get = self._request(path)
            reply = yield get
            if _is_good(reply):
                try:
                    return read(reply.body, reply.content_type)
                except UnexpectedReplyError:
                    # A server that answers every path with a page of its own has no such list.
                    continue
            if reply.status in (401, 403) or reply.status >= 500:
                raise _error(reply, get)
        reply = yield from self._good(self._request("/v1/models"))
        return openai_models(reply.body, reply.content_type, source="/v1/models")

    def loaded(self) -> Exchange[list[LoadedModel]]:
        get = self._request(_MODELS)
        reply = yield from self._repeated(lambda: self._known(get, "list_loaded", "say which models are in memory"))
        return loaded_models(reply.body, reply.content_type)

    def load(
        self, key: str, options: LoadOptions, if_loaded: IfLoaded, on_progress: OnLoadProgress | None
    ) -> Exchange[LoadDecoder]:
        load_body(key, options, stream=False)  # a wrong option is told before anybody is asked
        own = [name for name in options.given if name not in LMSTUDIO_OPTIONS]
        is_roci = (yield from self._health()) is not None if own or on_progress else False
        if own and not is_roci:
            self.cannot(
                f"options.{own[0]}", f"be told {own[0]} when it loads a model", f"It takes {_listed()}. {_ROCI_ONLY}"
            )
        decoder = LoadDecoder(key, _LOAD)
        if if_loaded != "another":
            there = yield from self._there(key, options, if_loaded)
            if there is not None:
                decoder.take_copy(msgspec.structs.replace(there, was_loaded=True))
                return decoder
        if on_progress is not None and not is_roci:
            on_progress(LoadProgress(key=key))
        post = self._request(_LOAD, load_body(key, options, stream=is_roci and on_progress is not None))
        # A load may stand still as long as it may take.
        patience = msgspec.structs.replace(self._timeouts, gap_s=self._timeouts.first_token_s)
        reply = yield from self._known(
            msgspec.structs.replace(post, stream=is_roci and on_progress is not None, timeouts=patience),
            "load_model",
            "be told to load a model",
            key,
        )
        if reply.body or reply.content_type != "text/event-stream":
            decoder.take_whole(reply.body, reply.content_type)
        return decoder

    def unload(self, name: str | None) -> Exchange[tuple[str, ...]]:
        copies = yield from self.loaded()
        ids = _meant(name, copies)
        if name is not None and not ids:
            loaded = tuple(copy.id for copy in copies)
            raise ModelNotFoundError(
                f"No model is loaded under the name {name!r}.",
                key=name,
                similar=nearest_names(name, loaded),
                available=loaded,
                code="model_not_found",
                hint=f"Loaded are: {', '.join(loaded)}." if loaded else "No model is loaded.",
            )
        for one in ids:
            post = self._request(_UNLOAD, msgspec.json.encode({"instance_id": one}))
            yield from self._known(post, "unload_model", "be told to unload a model", one)
        return ids

    def download(self, download: Download) -> Exchange[DownloadStatus]:
        body: dict[str, Any] = {"model": download.name}
        if download.quantization is not None:
            body["quantization"] = download.quantization
        if download.force:
            if (yield from self._health()) is None:
                self.cannot("force", "be told to take a file that does not fit", _ROCI_ONLY)
            body["force"] = True
        start = self._request(_DOWNLOAD, _encoded(body))
        reply = yield from self._known(start, "download_model", "be told to download a model", download.name)
        status = download_of(download.name, "", reply.body, reply.content_type)
        download.job_id = status.job_id
        while status.status == "downloading" and status.job_id:
            download.tell(status)
            path = f"{_DOWNLOAD}/status/{quote(status.job_id, safe='')}"
            get = msgspec.structs.replace(self._request(path), wait_s=download.poll_s)
            try:
                reply = yield from self._repeated(partial(self._good, get, status.job_id))
            except ReplyError as error:
                if error.code != "job_not_found":
                    raise
                raise DownloadError(
                    f"The server's download of {status.model} is gone: somebody cancelled it.",
                    file=status.model,
                    done_bytes=0,
                    total_bytes=status.total_bytes,
                ) from error
            status = download_of(status.model, status.job_id, reply.body, reply.content_type)
        download.tell(status)
        return status

    def cancel_download(self, job_id: str) -> Exchange[None]:
        if (yield from self._health()) is None:
            self.cannot("cancel_download", "be told to end a download", f"Its window can; {_ROCI_ONLY}")
        yield from self._good(self._request(f"{_DOWNLOAD}/{quote(job_id, safe='')}", method="DELETE"), job_id)

    def delete(self, key: str) -> Exchange[int]:
        if (yield from self._health()) is None:
            self.cannot("delete_model", "be told to delete a model", f"Its window can; {_ROCI_ONLY}")
        if not key.strip():
            raise UsageError("The model's name is empty.", field="key")
        reply = yield from self._good(self._request(f"{_MODELS}/{quote(key, safe='/@')}", method="DELETE"), key)
        return freed_bytes(reply.body, reply.content_type)

    def status(self) -> Exchange[ServerStatus]:
        from roci.providers.server_probe import probed

        return (yield from probed(self._base_url, self._request, self.listing, self.loaded))

    def _there(self, key: str, options: LoadOptions, if_loaded: IfLoaded) -> Exchange[LoadedModel | None]:
        """A copy that stands for the load; None where there is to be another one."""
        copies = yield from self.loaded()
        found = [copy for copy in copies if copy.status != "loading" and _is_of(copy, key)]
        if found and if_loaded == "error":
            raise UsageError(
                f"{key} is loaded as {', '.join(copy.id for copy in found)}.",
                field="key",
                hint='Take that copy with if_loaded="reuse", or load another with if_loaded="another".',
            )
        return next((copy for copy in found if has_options(copy, options)), None)

    def _health(self) -> Exchange[Health | None]:
        """What `roci serve` says of itself; None from any other server."""
        reply = yield self._request("/health")
        try:
            return msgspec.json.decode(reply.body, type=Health)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _known(self, request: HttpRequest, capability: str, words: str, key: str = "") -> Exchange[HttpReply]:
        """The good reply to `request`; a server without the path cannot do what is asked of it."""
        try:
            return (yield from self._good(request, key))
        except WrongEndpointError as error:
            raise UnsupportedError(
                f"The server at {self._base_url} cannot {words}: it has no {request.path}.",
                capability=capability,
                hint="LM Studio can from version 0.4.0 on, and `roci serve` can.",
            ) from error

    def _good(self, request: HttpRequest, key: str = "") -> Exchange[HttpReply]:
        reply = yield request
        if not _is_good(reply):
            raise _error(reply, request, key)
        return reply

    def _repeated(self, make: Callable[[], Exchange[T]]) -> Exchange[T]:
        return Attempts(self._retries, self._timeouts, generates=False).exchange(make)

    def _request(self, path: str, body: bytes | None = None, *, method: str = "") -> HttpRequest:
        return HttpRequest(
            path=path,
            method=method or ("GET" if body is None else "POST"),
            body=body,
            headers=self._headers,
            timeouts=self._timeouts,
        )


def _meant(name: str | None, copies: list[LoadedModel]) -> tuple[str, ...]:
    """The ids that `name` stands for: a copy's own, else those of a model's copies; all where it is None."""
    if name is None:
        return tuple(copy.id for copy in copies)
    wanted = name.lower()
    exact = tuple(copy.id for copy in copies if copy.id.lower() == wanted)
    return exact or tuple(copy.id for copy in copies if copy.key.lower() == wanted)


def _is_of(copy: LoadedModel, name: str) -> bool:
    """Whether `copy` is called `name`, or is of the model, or of the variant `key@quantization`, of that name."""
    wanted, own = name.lower(), copy.id.lower()
    return wanted in (own, copy.key.lower()) or ("@" in wanted and own.startswith(f"{wanted}:"))


def _is_good(reply: HttpReply) -> bool:
    # LM Studio puts errors into a 200 too.
    if not 200 <= reply.status < 300:
        return False
    return not reply.body or read_error(reply.body) is None or tells_status(reply.body)


def _error(reply: HttpReply, request: HttpRequest, key: str = "") -> RociError:
    return refusal(reply.body, status=reply.status, path=request.path, key=key, headers=reply.headers)


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as error:
        raise UsageError(f"The request cannot be written as JSON: {error}.", field="name") from error


def _listed() -> str:
    return ", ".join(sorted(LMSTUDIO_OPTIONS))
