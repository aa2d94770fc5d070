"""A server whose models are managed, without a model of one's own."""

from __future__ import annotations

from typing import Self

from roci.config import RociConfig, server_root
from roci.exchange.exchange import Exchange
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.providers.connections import Connections
from roci.providers.lmstudio_management import LmStudioManagement
from roci.providers.management import Management
from roci.providers.operations import ModelOperations
from roci.providers.retries import Attempts
from roci.types.models import ModelInfo
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts


class LmStudioServer(ModelOperations):
    """LM Studio, or `roci serve`. Close it, or use it in a `with`.

    Args:
        base_url: the server's address, with or without `/v1`. None: `LMSTUDIO_BASE_URL`, else LM Studio's own default.
        token: an API token, where the server wants one. None: `LM_API_TOKEN` or one of its other names.
        timeouts: for every call that does not bring its own. None: the environment's, else the defaults.
        retries: how often to ask again what changes nothing. None: the environment's, else twice.

    Raises:
        ConfigError: the base URL has no scheme or host.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        token: str | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        config: RociConfig | None = None,
    ) -> None:
        config = config or RociConfig.from_env()
        self.base_url = server_root(base_url) if base_url is not None else config.lmstudio_base_url
        token = token or config.lmstudio_token
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._timeouts = timeouts or Timeouts(**config.timeouts)
        given = RetryPolicy() if config.max_retries is None else RetryPolicy(max_retries=config.max_retries)
        self._retries = retries or given
        self._connections = Connections(self.base_url)

    def list_models(self) -> list[ModelInfo]:
        """Every model that the server has, in its order."""
        return self._connect().run(self._listing())

    async def alist_models(self) -> list[ModelInfo]:
        """Every model that the server has, in its order."""
        return await (await self._aconnect()).run(self._listing())

    def close(self) -> None:
        """Close the connections of sync calls. Safe to repeat."""
        self._connections.close()

    async def aclose(self) -> None:
        """Close the connections of sync calls and of this event loop. Safe to repeat."""
        await self._connections.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def _listing(self) -> Exchange[list[ModelInfo]]:
        management = self._management("list_models")
        return Attempts(self._retries, self._timeouts, generates=False).exchange(management.listing)

    def _connect(self) -> SyncTransport:
        return self._connections.sync()

    async def _aconnect(self) -> AsyncTransport:
        return await self._connections.of_this_loop()

    def _management(self, capability: str, timeouts: Timeouts | None = None) -> Management:
        return LmStudioManagement(
            self.base_url, self._headers, timeouts=timeouts or self._timeouts, retries=self._retries
        )
