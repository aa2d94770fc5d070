"""The hub's two listings: of one repository, and of repositories by words."""

from __future__ import annotations

from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from roci.engine.hub.endpoint import Hub
from roci.engine.hub.refusals import refusal, unreachable
from roci.engine.hub.repository import Repository, read_repository
from roci.engine.hub.web import Web, host_of
from roci.errors import ModelNotFoundError, RociError, TransportError, UnexpectedReplyError
from roci.types.settings import Timeouts
from roci.wire.huggingface.types import HubModel

T = TypeVar("T")

TIMEOUTS: Final = Timeouts(connect_s=10, first_token_s=30, gap_s=30, total_s=60)
SIMILAR: Final = 5
FIELDS: Final = ("downloads", "likes", "tags", "pipeline_tag", "gated", "gguf", "siblings")


async def read_hub(
    web: Web, hub: Hub, repo: str, revision: str = "main", *, nearest: bool = True, timeouts: Timeouts = TIMEOUTS
) -> Repository:
    """What `repo` offers.

    Args:
        nearest: search for others of nearly this name where it is not there.

    Raises:
        ModelNotFoundError: there is no such repository; `similar` are those with nearly this name.
        AccessDeniedError, ServerBusyError, ServerFailedError, TransportError, UnexpectedReplyError: no answer.
    """
    at = "" if revision == "main" else f"/revision/{quote(revision, safe='')}"
    url = f"{hub.endpoint}/api/models/{repo}{at}?blobs=true"
    try:
        model = await _ask(web, hub, url, HubModel, what=repo, repo=repo, timeouts=timeouts)
    except ModelNotFoundError as error:
        if not nearest:
            raise
        error.similar = await _similar(web, hub, repo)
        if error.similar:
            error.hint = f"Did you mean {' or '.join(error.similar[:3])}? {error.hint}".rstrip()
        raise
    return read_repository(model, hub.endpoint, repo, revision)


async def list_hub(web: Web, hub: Hub, words: str, limit: int) -> list[HubModel]:
    """Repositories with GGUF files that these words find, the most downloaded first.

    Raises:
        ServerBusyError, ServerFailedError, TransportError, UnexpectedReplyError: no answer.
    """
    query = {"filter": "gguf", "search": words, "sort": "downloads", "direction": "-1", "limit": str(limit)}
    url = f"{hub.endpoint}/api/models?{urlencode([*query.items(), *(('expand[]', name) for name in FIELDS)])}"
    return (await _ask(web, hub, url, list[HubModel], what="a search"))[:limit]


async def _similar(web: Web, hub: Hub, repo: str) -> tuple[str, ...]:
    """A search for the same words; without an answer there is nothing to suggest."""
    name = repo.rpartition("/")[2]
    words = name[: -len("-gguf")] if name.lower().endswith("-gguf") else name
    try:
        return tuple(model.id for model in await list_hub(web, hub, words, SIMILAR))
    except RociError:
        return ()


async def _ask(
    web: Web, hub: Hub, url: str, kind: type[T], *, what: str, repo: str = "", timeouts: Timeouts = TIMEOUTS
) -> T:
    try:
        reply = await web.read(url, hub.headers_for(url), timeouts)
    except TransportError as error:
        raise unreachable(error, url) from error
    if reply.status != 200:
        raise refusal(reply.status, reply.headers, what=what, url=url, hub=hub, repo=repo)
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedReplyError(
            f"{host_of(url)} does not answer as the Hugging Face hub does: {error}.",
            body=reply.body[:10_000].decode("utf-8", "replace"),
            content_type=reply.content_type,
            hint="HF_ENDPOINT names the hub that is asked; a proxy or a login page may answer in its place.",
        ) from error
