"""Selector strings: `"lmstudio:llama3.3"` <-> `LanguageModel`."""

from __future__ import annotations

from typing import Final

import msgspec

from roci.errors import SelectorError

BUILT_IN_PROVIDERS: Final = ("lmstudio", "openai-compatible", "local")


class LanguageModel(msgspec.Struct, frozen=True):
    """A provider's key and a model's id: what a selector string says.

    `str()` gives the selector back. Only the first colon splits, so that a model id may hold colons:
    `LanguageModel.parse("lmstudio:qwen3:2")` is instance 2 of `qwen3`.
    """

    provider_key: str
    model_id: str

    @property
    def provider_name(self) -> str:
        return self.provider_key

    @classmethod
    def parse(cls, selector: str) -> LanguageModel:
        """The model that `selector` names. Whether the provider exists is for the registry to say.

        Raises:
            SelectorError: no colon, no provider before it, or no model behind it.
        """
        provider_key, colon, model_id = selector.partition(":")
        provider_key, model_id = provider_key.strip(), model_id.strip()
        if not colon:
            raise _without_provider(selector.strip())
        if not provider_key:
            raise SelectorError(
                f"The selector {selector!r} has no provider before the colon.",
                selector=selector,
                known=BUILT_IN_PROVIDERS,
                hint=f"Write it as provider:model, for instance lmstudio:{model_id or 'llama3.3'}.",
            )
        if not model_id:
            raise SelectorError(
                f"The selector {selector!r} names no model behind the colon.",
                selector=selector,
                known=BUILT_IN_PROVIDERS,
                hint=f"Write it as provider:model, for instance {provider_key}:llama3.3.",
            )
        return cls(provider_key, model_id)

    def __str__(self) -> str:
        return f"{self.provider_key}:{self.model_id}"


ModelSelector = LanguageModel
"""Another name for `LanguageModel`."""


def nearest_names(name: str, known: tuple[str, ...], limit: int = 3) -> tuple[str, ...]:
    """The entries of `known` most like `name`, best first; letter case does not count."""
    from difflib import get_close_matches  # slow to import, and only needed where something went wrong

    by_lower = {entry.lower(): entry for entry in known}
    wanted = name.lower()
    close = get_close_matches(wanted, by_lower, n=limit, cutoff=0.5)
    close += [entry for entry in by_lower if wanted and wanted in entry and entry not in close]
    return tuple(by_lower[entry] for entry in close[:limit])


def _without_provider(name: str) -> SelectorError:
    if name in BUILT_IN_PROVIDERS:
        likely = (f"{name}:llama3.3",)
        message = f"The selector {name!r} is a provider without a model."
    else:
        likely = tuple(f"{provider}:{name or 'llama3.3'}" for provider in BUILT_IN_PROVIDERS)
        message = f"The selector {name!r} has no provider before the model's name."
    return SelectorError(
        message,
        selector=name,
        known=BUILT_IN_PROVIDERS,
        nearest=likely,
        hint=f"Did you mean {' or '.join(likely)}?",
    )
