"""Provider names -> providers: the built-in ones, those a program registers, and installed ones.

A package adds a provider with an entry point in the group `roci.providers`: its name is the provider's, its object a
`ProviderFactory`.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

from roci.config import RociConfig
from roci.errors import SelectorError
from roci.providers.connections import shared
from roci.providers.provider import ModelProvider
from roci.selector import BUILT_IN_PROVIDERS, LanguageModel, nearest_names

ENTRY_POINT_GROUP = "roci.providers"


class ProviderFactory(Protocol):
    """Makes a provider for a model of that name; called with positional arguments."""

    def __call__(self, model_id: str, config: RociConfig, /) -> ModelProvider: ...


class ProviderRegistry:
    """Knows how to make a provider for each name."""

    def __init__(self) -> None:
        self._factories: dict[str, ProviderFactory] = {}
        self._installed: dict[str, ProviderFactory] | None = None

    def register(self, name: str, factory: ProviderFactory) -> None:
        """Add or replace the provider called `name`."""
        if not name or ":" in name or name != name.strip():
            raise SelectorError(f"A provider cannot be called {name!r}: names hold no colon or blanks.", selector=name)
        self._factories[name] = factory

    def create_provider(self, name: str, model_id: str, config: RociConfig | None = None) -> ModelProvider:
        """A provider for `model_id`; `config` is read from the environment where none is given.

        Raises:
            SelectorError: no such provider; `.known`, `.nearest`.
        """
        factory = self._factories.get(name)
        if factory is None:
            factory = self._from_entry_points().get(name)
        if factory is None:
            known = self.names
            near = tuple(f"{provider}:{model_id}" for provider in nearest_names(name, known))
            raise SelectorError(
                f"There is no provider {name!r}.",
                selector=f"{name}:{model_id}",
                known=known,
                nearest=near,
                hint=(f"Did you mean {' or '.join(near)}? " if near else "") + f"Providers: {', '.join(known)}.",
            )
        return factory(model_id, config or RociConfig.from_env())

    def provider_for(self, model: LanguageModel | str, config: RociConfig | None = None) -> ModelProvider:
        """The provider that a selector names.

        Raises:
            SelectorError: the selector names no provider or no model.
        """
        selected = LanguageModel.parse(model) if isinstance(model, str) else model
        return self.create_provider(selected.provider_key, selected.model_id, config)

    @property
    def names(self) -> tuple[str, ...]:
        """Every provider that can be made, sorted."""
        return tuple(sorted({*self._factories, *self._from_entry_points()}))

    def _from_entry_points(self) -> dict[str, ProviderFactory]:
        if self._installed is None:
            from importlib.metadata import entry_points  # slow, and only needed for names that are not built in

            self._installed = {point.name: _Late(point.load) for point in entry_points(group=ENTRY_POINT_GROUP)}
        return self._installed


class _Late:
    """A factory that is imported when it is first called."""

    def __init__(self, load: LoadFactory) -> None:
        self._load = load

    def __call__(self, model_id: str, config: RociConfig, /) -> ModelProvider:
        return self._load()(model_id, config)


class LoadFactory(Protocol):
    def __call__(self) -> ProviderFactory: ...


@cache
def default_registry() -> ProviderRegistry:
    """The registry that selector strings go through; the same one each time."""
    registry = ProviderRegistry()
    for name, factory in zip(BUILT_IN_PROVIDERS, (_lmstudio, _openai_compatible, _local), strict=True):
        registry.register(name, factory)
    return registry


def _lmstudio(model_id: str, config: RociConfig, /) -> ModelProvider:
    from roci.providers.lmstudio import LmStudioProvider

    connections = shared(config.lmstudio_base_url, config.lmstudio_token)
    return LmStudioProvider(model_id, config=config, connections=connections)


def _openai_compatible(model_id: str, config: RociConfig, /) -> ModelProvider:
    from roci.providers.openai_compatible import OpenAICompatibleProvider, api_root, root_and_prefix

    root, _ = root_and_prefix(api_root(config.openai_base_url))
    connections = shared(root, config.openai_api_key)
    return OpenAICompatibleProvider(model_id, config=config, connections=connections)


def _local(model_id: str, config: RociConfig, /) -> ModelProvider:
    from roci.providers.local import LocalProvider

    return LocalProvider(model_id, config=config, is_shared=True)
