"""LM Studio, and `roci serve`, which speaks its language: `/v1` to talk to models, `/api/v1` to know them."""

from __future__ import annotations

from typing import Any

from roci.config import RociConfig, server_root
from roci.errors import UnexpectedReplyError
from roci.exchange.exchange import Exchange
from roci.providers.connections import Connections
from roci.providers.openai_compatible import OpenAICompatibleProvider
from roci.types.models import LmStudioModel, ModelInfo
from roci.types.requests import CheckedRequest
from roci.types.settings import Timeouts
from roci.wire.lmstudio import convert
from roci.wire.lmstudio.errors import TEXTS
from roci.wire.openai.errors import read_error


class LmStudioProvider(OpenAICompatibleProvider):
    """A model of an LM Studio server, or of `roci serve`.

    Args:
        model: the model's key, `key@quantization` or a loaded copy's identifier.
        base_url: the server's address, with or without `/v1`. None: `LMSTUDIO_BASE_URL`, else LM Studio's own default.
        token: an API token, where the server wants one. None: `LM_API_TOKEN` or one of its other names.
        timeouts: for every call that does not bring its own. None: the environment's, else the defaults.

    Raises:
        ConfigError: the base URL has no scheme or host.
    """

    name = "lmstudio"
    _texts = TEXTS

    def __init__(
        self,
        model: str | LmStudioModel,
        base_url: str | None = None,
        *,
        token: str | None = None,
        timeouts: Timeouts | None = None,
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
            config=config,
            connections=connections or Connections(root),
        )
        self.base_url = root
        self._owns_connections = connections is None
        self._prefix = "/v1"

    def _body(self, request: CheckedRequest, *, stream: bool) -> dict[str, Any]:
        return convert.chat_body(request, self.model_id, stream=stream)

    def _listing(self) -> Exchange[list[ModelInfo]]:
        """`/api/v1/models`, which tells most; older servers have `/api/v0/models` or only `/v1/models`."""
        for path, read in (("/api/v1/models", convert.v1_models), ("/api/v0/models", convert.v0_models)):
            get = self._get(path)
            reply = yield get
            if self._is_good(reply) and read_error(reply.body) is None:
                try:
                    return read(reply.body, reply.content_type)
                except UnexpectedReplyError:
                    # A server that answers every path with a page of its own has no such list.
                    continue
            if reply.status in (401, 403) or reply.status >= 500:
                raise self._error(reply, get)
        return (yield from self._v1_listing())
