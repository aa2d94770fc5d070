"""Managing a server's models, sync and async side by side; providers and `LmStudioServer` have these methods.

What is asked is in the dialect's `Management`; here it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roci.errors import UsageError
from roci.providers.download_operations import DownloadOperations
from roci.types.settings import Timeouts

if TYPE_CHECKING:
    from roci.types.management import IfLoaded, LoadedModel, LoadOptions, OnLoadProgress, ServerStatus

_STATUS_TIMEOUTS = Timeouts(connect_s=2.0, first_token_s=10.0, gap_s=10.0, total_s=10.0)


class ModelOperations(DownloadOperations):
    """The operations on a server's models. What the server cannot do is an `UnsupportedError` naming it."""

    def list_loaded(self, *, timeouts: Timeouts | None = None) -> list[LoadedModel]:
        """Every copy of a model in the server's memory, those that are being loaded included.

        Raises:
            UnsupportedError: the server does not say.
        """
        management = self._management("list_loaded", timeouts)
        return self._connect().run(management.loaded())

    async def alist_loaded(self, *, timeouts: Timeouts | None = None) -> list[LoadedModel]:
        """Every copy of a model in the server's memory, those that are being loaded included.

        Raises:
            UnsupportedError: the server does not say.
        """
        management = self._management("list_loaded", timeouts)
        return await (await self._aconnect()).run(management.loaded())

    def load_model(
        self,
        key: str,
        options: LoadOptions | None = None,
        *,
        if_loaded: IfLoaded = "reuse",
        on_progress: OnLoadProgress | None = None,
        timeouts: Timeouts | None = None,
    ) -> LoadedModel:
        """Load a model; returns once it can answer.

        An interrupted call ends the load on `roci serve`; LM Studio goes on with it.

        Args:
            key: the model's key, or `key@quantization`.
            options: how; None leaves all to the server's settings.
            if_loaded: `reuse` takes a copy in memory that has all of `options`, and loads another where there is
                none; a server loads a second copy if it is only asked again. `another` does that. `error` refuses.
            on_progress: called with each `LoadProgress`. LM Studio does not say how far it is: `ratio` is None.
            timeouts: `first_token_s` bounds the whole load, or each silence within it where the server tells of it.

        Raises:
            UnsupportedError: the server takes no such option; `capability` is `options.` and its name.
            UsageError: an option is out of its range, or a copy is there and `if_loaded` is `error`.
            ModelNotFoundError: the server has no such model; `.similar`, `.available`.
            NotEnoughMemoryError, LoadFailedError: the server could not load it.
        """
        management = self._management("load_model", timeouts)
        opening = management.load(key, options or _no_options(), _checked_if_loaded(if_loaded), on_progress)
        with self._connect().open(opening) as opened:
            decoder = opened.decoder
            for piece in opened:
                for progress in decoder.feed(piece):
                    opened.pace.note_piece()
                    if on_progress is not None:
                        on_progress(progress)
                if decoder.failure is not None:
                    break
                opened.pace.is_ending = decoder.is_done
            decoder.close()
            return decoder.loaded()

    async def aload_model(
        self,
        key: str,
        options: LoadOptions | None = None,
        *,
        if_loaded: IfLoaded = "reuse",
        on_progress: OnLoadProgress | None = None,
        timeouts: Timeouts | None = None,
    ) -> LoadedModel:
        """Load a model; returns once it can answer.

        An interrupted call ends the load on `roci serve`; LM Studio goes on with it.

        Args:
            key: the model's key, or `key@quantization`.
            options: how; None leaves all to the server's settings.
            if_loaded: `reuse` takes a copy in memory that has all of `options`, and loads another where there is
                none; a server loads a second copy if it is only asked again. `another` does that. `error` refuses.
            on_progress: called with each `LoadProgress`. LM Studio does not say how far it is: `ratio` is None.
            timeouts: `first_token_s` bounds the whole load, or each silence within it where the server tells of it.

        Raises:
            UnsupportedError: the server takes no such option; `capability` is `options.` and its name.
            UsageError: an option is out of its range, or a copy is there and `if_loaded` is `error`.
            ModelNotFoundError: the server has no such model; `.similar`, `.available`.
            NotEnoughMemoryError, LoadFailedError: the server could not load it.
        """
        management = self._management("load_model", timeouts)
        opening = management.load(key, options or _no_options(), _checked_if_loaded(if_loaded), on_progress)
        async with await (await self._aconnect()).open(opening) as opened:
            decoder = opened.decoder
            async for piece in opened:
                for progress in decoder.feed(piece):
                    opened.pace.note_piece()
                    if on_progress is not None:
                        on_progress(progress)
                if decoder.failure is not None:
                    break
                opened.pace.is_ending = decoder.is_done
            decoder.close()
            return decoder.loaded()

    def unload_model(self, name: str, *, timeouts: Timeouts | None = None) -> tuple[str, ...]:
        """Take a model out of memory; gives the ids of the copies that are gone.

        Args:
            name: a copy's id; where no copy has it, a model's key, for all its copies.

        Raises:
            ModelNotFoundError: nothing is loaded under that name; `.similar`, `.available`.
        """
        management = self._management("unload_model", timeouts)
        return self._connect().run(management.unload(name))

    async def aunload_model(self, name: str, *, timeouts: Timeouts | None = None) -> tuple[str, ...]:
        """Take a model out of memory; gives the ids of the copies that are gone.

        Args:
            name: a copy's id; where no copy has it, a model's key, for all its copies.

        Raises:
            ModelNotFoundError: nothing is loaded under that name; `.similar`, `.available`.
        """
        management = self._management("unload_model", timeouts)
        return await (await self._aconnect()).run(management.unload(name))

    def unload_all(self, *, timeouts: Timeouts | None = None) -> tuple[str, ...]:
        """Take every model out of memory; gives the ids of the copies that are gone."""
        management = self._management("unload_model", timeouts)
        return self._connect().run(management.unload(None))

    async def aunload_all(self, *, timeouts: Timeouts | None = None) -> tuple[str, ...]:
        """Take every model out of memory; gives the ids of the copies that are gone."""
        management = self._management("unload_model", timeouts)
        return await (await self._aconnect()).run(management.unload(None))

    def delete_model(self, key: str, *, timeouts: Timeouts | None = None) -> int:
        """Delete a model's file from the server's own folder; gives the bytes that this freed.

        Raises:
            UnsupportedError: the server cannot; LM Studio cannot.
            ModelNotFoundError: the server has no such model.
            BadRequestError: it is loaded, or lies in a folder that is not the server's own.
        """
        management = self._management("delete_model", timeouts)
        return self._connect().run(management.delete(key))

    async def adelete_model(self, key: str, *, timeouts: Timeouts | None = None) -> int:
        """Delete a model's file from the server's own folder; gives the bytes that this freed.

        Raises:
            UnsupportedError: the server cannot; LM Studio cannot.
            ModelNotFoundError: the server has no such model.
            BadRequestError: it is loaded, or lies in a folder that is not the server's own.
        """
        management = self._management("delete_model", timeouts)
        return await (await self._aconnect()).run(management.delete(key))

    def server_status(self, *, timeouts: Timeouts | None = None) -> ServerStatus:
        """How the server is. A server that is not there, or wants a token, is a state and no error.

        Args:
            timeouts: None: 2 seconds for a connection, 10 for each question.
        """
        management = self._management("server_status", timeouts or _STATUS_TIMEOUTS)
        return self._connect().run(management.status())

    async def aserver_status(self, *, timeouts: Timeouts | None = None) -> ServerStatus:
        """How the server is. A server that is not there, or wants a token, is a state and no error.

        Args:
            timeouts: None: 2 seconds for a connection, 10 for each question.
        """
        management = self._management("server_status", timeouts or _STATUS_TIMEOUTS)
        return await (await self._aconnect()).run(management.status())


def _no_options() -> LoadOptions:
    from roci.types.management import LoadOptions

    return LoadOptions()


def _checked_if_loaded(if_loaded: IfLoaded) -> IfLoaded:
    if if_loaded not in ("reuse", "another", "error"):
        raise UsageError(f"if_loaded is {if_loaded!r}; it takes 'reuse', 'another' or 'error'.", field="if_loaded")
    return if_loaded
