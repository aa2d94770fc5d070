"""Finding models on the hub by words, size, task and quantization, with what fits this machine marked."""

from __future__ import annotations

import asyncio
import re
from typing import Final, Literal, get_args

import msgspec

from roci.engine.hub.asking import list_hub, read_hub
from roci.engine.hub.choice import choose, variant_fits
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.names import is_repo
from roci.engine.hub.repository import Repository
from roci.engine.hub.web import Web
from roci.errors import (
    AccessDeniedError,
    ModelNotFoundError,
    NotEnoughMemoryError,
    UnexpectedReplyError,
    UsageError,
)
from roci.wire.huggingface.types import HubModel

Task = Literal["chat", "embedding", "code", "vision", "tools"]
TASKS: Final[tuple[Task, ...]] = get_args(Task)

LIMIT: Final = 20
MOST: Final = 50
LISTED_MOST: Final = 100
AT_ONCE: Final = 6
WORDS_LIMIT: Final = 200
NEAR: Final = 1.35
"""By what factor a size may differ from one that is asked for without `<` or `>`."""
SIZE: Final = re.compile(r"(<=|>=|<|>)?\s*(\d{1,6}(?:\.\d{1,3})?)\s*(gb|mb|b|m)", re.IGNORECASE)
UNITS: Final = {"b": 10**9, "m": 10**6, "gb": 10**9, "mb": 10**6}
PARAMETERS_IN_NAME: Final = re.compile(r"(?:^|[-_ .])(\d{1,4}(?:\.\d{1,2})?)([bm])(?=$|[-_ .])", re.IGNORECASE)
EMBEDDING_TAGS: Final = ("feature-extraction", "sentence-similarity")
VISION_TAGS: Final = ("image-text-to-text", "image-to-text", "visual-question-answering")
CODE_WORDS: Final = re.compile(
    r"cod(?:e|er|ing|estral|egemma|ellama|eqwen)(?![a-z]{4})|starcoder|devstral", re.IGNORECASE
)


class SizeFilter(msgspec.Struct, frozen=True):
    """A size that is asked for."""

    sign: str
    """`<`, `<=`, `>`, `>=`, or empty for about as much."""
    amount: float
    """Bytes, or parameters."""
    is_bytes: bool

    def takes(self, value: float) -> bool:
        match self.sign:
            case "<":
                return value < self.amount
            case "<=":
                return value <= self.amount
            case ">":
                return value > self.amount
            case ">=":
                return value >= self.amount
            case _:
                return self.amount / NEAR <= value <= self.amount * NEAR


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A quantization that can be had."""

    quantization: str
    size_bytes: int | None
    fits: bool | None
    """Whether it leaves 20 % of this machine's memory free; None where its size is not known."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A model on the hub."""

    name: str
    """`owner/name`: what to fetch it by."""
    link: str
    downloads: int
    likes: int
    parameters: int | None
    max_context_length: int | None
    tasks: tuple[Task, ...]
    is_gated: bool
    """Only for those who have accepted its terms."""
    quantizations: tuple[Offer, ...]
    """Smallest first."""
    best: str | None
    """The quantization that would be fetched; None where nothing fits."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for."""

    words: str = ""
    size: SizeFilter | None = None
    task: Task | None = None
    quantization: str = ""
    limit: int = LIMIT


def parse_size(text: str) -> SizeFilter:
    """`4b`, `<8b` (parameters), `<8GB`, `>=500MB` (bytes).

    Raises:
        UsageError: it is none of these.
    """
    match = SIZE.fullmatch(text.strip())
    if match is None or float(match[2]) <= 0:
        raise UsageError(
            f"{text!r} is no size.",
            field="size",
            hint="Parameters look like 4b or <8b, the size of files like <8GB or >=500MB.",
        )
    unit = match[3].lower()
    return SizeFilter(match[1] or "", float(match[2]) * UNITS[unit], is_bytes=unit in ("gb", "mb"))


async def search(web: Web, hub: Hub, query: Query, memory_bytes: int) -> list[Found]:
    """Models that `query` describes, the most downloaded first.

    Raises:
        UsageError: `query` cannot be used.
        ServerUnreachableError, ServerBusyError, ServerFailedError, UnexpectedReplyError: the hub does not answer.
    """
    if not 1 <= query.limit <= MOST:
        raise UsageError(f"limit is {query.limit}; it takes 1 to {MOST}.", field="limit")
    if len(query.words) > WORDS_LIMIT or not query.words.isprintable():
        raise UsageError(f"A search takes at most {WORDS_LIMIT} characters.", field="q")
    listed = await list_hub(web, hub, query.words.strip(), _how_many(query))
    wanted = [model for model in listed if is_repo(model.id) and _is_wanted(model, query)]
    gate = asyncio.Semaphore(AT_ONCE)
    found: list[Found] = []
    for begin in range(0, len(wanted), query.limit):
        batch = wanted[begin : begin + query.limit]
        looks = await asyncio.gather(*(_look(web, hub, model, query, memory_bytes, gate) for model in batch))
        found += [look for look in looks if look is not None]
        if len(found) >= query.limit or begin + query.limit >= MOST:
            break
    return found[: query.limit]


def tasks_of(model: HubModel) -> tuple[Task, ...]:
    """What a model is for, by its tags, its name and its chat template."""
    tags = {tag.lower() for tag in model.tags or ()} | {(model.pipeline_tag or "").lower()}
    if tags & set(EMBEDDING_TAGS):
        return ("embedding",)
    template = (model.gguf.chat_template if model.gguf else None) or ""
    found: list[Task] = ["chat"]
    if CODE_WORDS.search(model.id.rpartition("/")[2]) or "code" in tags:
        found.append("code")
    if tags & set(VISION_TAGS):
        found.append("vision")
    if "tools" in template or tags & {"function-calling", "tool-use", "tools"}:
        found.append("tools")
    return tuple(found)


def parameters_of(model: HubModel) -> int | None:
    """How many parameters a model has: as its file says, else as its name says."""
    if model.gguf is not None and model.gguf.total:
        return model.gguf.total
    match = PARAMETERS_IN_NAME.search(model.id.rpartition("/")[2])
    return int(float(match[1]) * UNITS[match[2].lower()]) if match else None


def _how_many(query: Query) -> int:
    is_plain = query.size is None and query.task is None and not query.quantization
    return query.limit if is_plain else LISTED_MOST


def _is_wanted(model: HubModel, query: Query) -> bool:
    """As far as the list alone tells."""
    if query.task is not None and query.task not in tasks_of(model):
        return False
    if query.size is not None and not query.size.is_bytes:
        parameters = parameters_of(model)
        return parameters is not None and query.size.takes(parameters)
    return True


async def _look(
    web: Web, hub: Hub, model: HubModel, query: Query, memory_bytes: int, gate: asyncio.Semaphore
) -> Found | None:
    """The model with its files; None where they are not what is looked for, or cannot be listed."""
    async with gate:
        try:
            repository = await read_hub(web, hub, model.id, nearest=False)
        except (ModelNotFoundError, AccessDeniedError, UnexpectedReplyError):
            return None  # removed since, or not for us: others may still be of use
    offers = [
        Offer(
            quantization=one.quantization,
            size_bytes=one.size_bytes,
            fits=variant_fits(one, repository, memory_bytes),
        )
        for one in sorted(repository.variants, key=lambda one: one.size_bytes or 0)
        if not query.quantization or one.quantization.lower() == query.quantization.lower()
    ]
    if query.size is not None and query.size.is_bytes:
        size = query.size
        offers = [one for one in offers if one.size_bytes is not None and size.takes(one.size_bytes)]
    if not offers:
        return None
    shown = {one.quantization for one in offers}
    best = _best(
        msgspec.structs.replace(
            repository, variants=tuple(one for one in repository.variants if one.quantization in shown)
        ),
        memory_bytes,
    )
    return Found(
        name=model.id,
        link=hub.page(model.id),
        downloads=model.downloads or 0,
        likes=model.likes or 0,
        parameters=parameters_of(model),
        max_context_length=model.gguf.context_length if model.gguf else None,
        tasks=tasks_of(model),
        is_gated=bool(model.gated),
        quantizations=tuple(offers),
        best=best,
    )


def _best(repository: Repository, memory_bytes: int) -> str | None:
    try:
        return choose(repository, memory_bytes).variant.quantization
    except NotEnoughMemoryError:
        return None
