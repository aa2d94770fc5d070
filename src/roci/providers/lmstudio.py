"""LM Studio, and `roci serve`, which speaks its language: `/v1` to talk to models, `/api/v1` to know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roci.config import RociConfig, server_root
from roci.exchange.exchange import Exchange
from roci.providers.connections import Connections
from roci.providers.openai_compatible import OpenAICompatibleProvider
from roci.types.models import LmStudioModel, ModelInfo
from roci.types.receipt import Adjustment
from roci.types.requests import CheckedRequest
from roci.types.retries import RetryPolicy
from roci.types.settings import Timeouts
from roci.wire.lmstudio import convert
from roci.wire.lmstudio.adjustments import adjustments
from roci.wire.lmstudio.errors import TEXTS

if TYPE_CHECKING:
    from roci.providers.management import Management


class LmStudioProvider(OpenAICompatibleProvider):
    """A model of an LM Studio server, or of `roci serve`.

    Args:
        model: the model's key, `key@quantization` or a loaded copy's identifier.
        base_url: the server's address, with or without `/v1`. None: `LMSTUDIO_BASE_URL`, else LM Studio's own default.
        token: an API token, where the server wants one. None: `LM_API_TOKEN` or one of its other names.
        timeouts: for every call that does not bring its own. None: the environment's, else the defaults.
        retries: how often to ask again. None: the environment's `ROCI_MAX_RETRIES`, else twice.

    Raises:
        ConfigError: the base URL has no scheme or host.
    """

    name = "lmstudio"
    _texts = TEXTS
    _dialect = "other"

    def __init__(
        self,
        model: str | LmStudioModel,
        base_url: str | None = None,
        *,
        token: str | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        config: RociConfig | None = None,
        connections: Connections | None = None,
    ) -> None:
        config = config or RociConfig.from_env()
        root = server_root(base_url) if base_url is not None else config.lmstudio_base_url
        super().__init__(
            model,
            base_url=root + "/v1",
            api_key=token or config.lmstudio_token,
            timeouts=timeouts,
            retries=retries,
            config=config,
            connections=connections or Connections(root),
        )
        self.base_url = root
        self._owns_connections = connections is None

    def _enforces_schemas(self) -> bool:
        return True

    def _adjustments(self, request: CheckedRequest) -> tuple[Adjustment, ...]:
        return super()._adjustments(request) + adjustments(request)

    def _body(self, request: CheckedRequest, *, stream: bool) -> dict[str, Any]:
        return convert.chat_body(request, self.model_id, stream=stream)

    def _listing(self) -> Exchange[list[ModelInfo]]:
        return (yield from self._management("list_models").listing())

    def _management(self, capability: str, timeouts: Timeouts | None = None) -> Management:
        from roci.providers.lmstudio_management import LmStudioManagement  # a plain answer does not need it

        return LmStudioManagement(
            self.base_url, self._headers, timeouts=timeouts or self._timeouts, retries=self._retries
        )
