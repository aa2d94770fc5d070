"""The doctor's checks of the server: is one there, what does it have, does it answer."""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec

from roci.cli.checkup import Finding, bounded
from roci.cli.choice import Choice, open_provider
from roci.cli.sighting import PATIENCE, Sighting
from roci.config import RociConfig
from roci.errors import AccessDeniedError, RociError, ServerUnreachableError
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.exchange.transports import SyncTransport
from roci.generation.text import stream_text
from roci.types.models import ModelInfo
from roci.types.settings import GenerationSettings, Timeouts

T = TypeVar("T")
ANSWER_S: Final = 180.0
_ANSWER_TIMEOUTS: Final = Timeouts(connect_s=2.0, first_token_s=150.0, gap_s=60.0, total_s=170.0)
_NAMES_SHOWN: Final = 5
ServerKind = Literal["lmstudio", "roci", "other"]
_KIND_WORDS: Final = {"lmstudio": "LM Studio", "roci": "roci serve", "other": "A server that speaks /v1"}


class _Greeting(msgspec.Struct):
    lmstudio: bool = False


class _Health(msgspec.Struct):
    """What only `roci serve` says of its health."""

    version: str
    can_load: bool


def kind_of_server(base_url: str) -> ServerKind:
    """Who greets at the address. `roci serve` greets as LM Studio does, and says more about its health."""
    transport = SyncTransport(base_url)
    try:
        return transport.run(_ask_who())
    except RociError:
        return "other"
    finally:
        transport.close()


def _ask_who() -> Exchange[ServerKind]:
    greeting = _decoded((yield HttpRequest(path="/lmstudio-greeting", timeouts=PATIENCE)), _Greeting)
    if greeting is None or not greeting.lmstudio:
        return "other"
    health = _decoded((yield HttpRequest(path="/health", timeouts=PATIENCE)), _Health)
    return "lmstudio" if health is None else "roci"


def _decoded(reply: HttpReply, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def check_server(sighting: Sighting, kind: ServerKind, *, has_other: bool, token_word: str) -> Finding:
    """Is a server there.

    Args:
        has_other: something else can answer, so that no server is no failure.
        token_word: who set the token, empty where none is set.
    """
    where = f"{sighting.base_url} ({sighting.word})"
    facts = {"base_url": sighting.base_url, "origin": sighting.word, "kind": kind}
    failure = sighting.failure
    if failure is None:
        return Finding(check="server", status="ok", message=f"{_KIND_WORDS[kind]} answers at {where}", facts=facts)
    facts |= {"kind": None, "error": type(failure).__name__}
    if isinstance(failure, AccessDeniedError):
        refused = f"refuses the token {token_word}" if token_word else "wants a token, and none is set"
        return Finding(
            check="server",
            status="failure",
            message=f"The server at {where} is alive and {refused}",
            advice="Set LM_API_TOKEN to a token that LM Studio shows under Developer, Server settings.",
            facts=facts,
        )
    is_missing = isinstance(failure, ServerUnreachableError)
    is_expected = sighting.word != "the default" and not is_missing
    return Finding(
        check="server",
        status="warning" if has_other and not is_expected else "failure",
        message=f"No server at {where}" if is_missing else f"What answers at {where} is no use: {failure.message}",
        advice=failure.hint or "Check the address in LMSTUDIO_BASE_URL.",
        facts=facts,
    )


def check_models(sighting: Sighting, *, has_other: bool) -> Finding:
    """What the server has."""
    loaded = [model.key for model in sighting.loaded]
    facts = {"available": [model.key for model in sighting.models], "loaded": loaded}
    count = len(sighting.models)
    if not count:
        return Finding(
            check="models",
            status="warning" if has_other else "failure",
            message="The server has no models",
            advice="Download one in LM Studio, or with `lms get`.",
            facts=facts,
        )
    has = f"{count} model{'s' if count > 1 else ''}"
    if loaded:
        return Finding(check="models", status="ok", message=f"{has}, loaded: {_listed(loaded)}", facts=facts)
    if all(model.is_loaded is None for model in sighting.models):
        names = _listed(facts["available"])
        return Finding(check="models", status="ok", message=f"{has}: {names}; which is loaded is not said", facts=facts)
    return Finding(
        check="models",
        status="warning",
        message=f"{has}, none is loaded",
        advice=f"Load one in LM Studio or with `lms load {sighting.models[0].key}`; most servers load it when asked.",
        facts=facts,
    )


def check_answer(config: RociConfig, named: str | None, sighting: Sighting, kind: ServerKind) -> Finding:
    """Does one token come back."""
    model = _loaded_model(sighting, kind)
    selector = named or (f"lmstudio:{model.key}" if model else None)
    if selector is None:
        return Finding(
            check="answer",
            status="warning",
            message="Not tried: no model is loaded at a server",
            advice="Name one, which loads it: roci doctor -m SELECTOR (roci models lists them).",
        )
    facts: dict[str, object] = {"model": selector}
    try:
        seconds = bounded(lambda: _one_token_s(Choice(selector), config), ANSWER_S)
    except RociError as error:
        return Finding(
            check="answer",
            status="failure",
            message=f"{selector} does not answer: {error.message}",
            advice=error.hint or "Look at the server's log.",
            facts=facts | {"error": type(error).__name__},
        )
    facts["took_s"] = round(seconds, 3)
    return Finding(check="answer", status="ok", message=f"{selector} answers within {seconds:.2f} s", facts=facts)


def _loaded_model(sighting: Sighting, kind: ServerKind) -> ModelInfo | None:
    """A model that can be asked without loading it."""
    if sighting.loaded:
        return sighting.loaded[0]
    return sighting.answering if kind == "other" else None


def _one_token_s(choice: Choice, config: RociConfig) -> float:
    settings = GenerationSettings(max_tokens=1, temperature=0)
    with (
        open_provider(choice, config) as provider,
        stream_text(provider, "Say yes.", settings, timeouts=_ANSWER_TIMEOUTS) as stream,
    ):
        return stream.result().stats.total_time_s


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
