"""A context length that a request asks for, against what the model was made for."""

from __future__ import annotations

from roci.engine.local_model import LocalModel
from roci.server.settings import ServerSettings
from roci.wire.openai.request_faults import invalid


def check_context(wanted: int | None, model: LocalModel, settings: ServerSettings) -> None:
    """Refuses more than the model's own limit, unless the server is to be as LM Studio, which lets it pass.

    Raises:
        BadRequestError: names the limit.
    """
    limit = model.facts.max_context_length
    if wanted is None or limit is None or wanted <= limit or settings.compat == "lmstudio":
        return
    raise invalid(
        f"context_length is {wanted}; {model.key} was made for {limit} tokens at most.",
        "context_length",
        code="context_length_too_large",
    )
