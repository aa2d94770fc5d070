"""Selector strings."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from roci import LanguageModel, ModelSelector, SelectorError, default_registry, generate_text
from roci.selector import nearest_names

NAMES = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1).filter(
    lambda text: text == text.strip()
)
IDS = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text == text.strip())


@given(NAMES, IDS)
def test_a_selector_comes_back_as_it_went_in(provider: str, model: str) -> None:
    parsed = LanguageModel.parse(f"{provider}:{model}")

    assert parsed == LanguageModel(provider_key=provider, model_id=model)
    assert LanguageModel.parse(str(parsed)) == parsed


def test_only_the_first_colon_splits() -> None:
    parsed = LanguageModel.parse("lmstudio:qwen3:2")

    assert (parsed.provider_name, parsed.model_id, str(parsed)) == ("lmstudio", "qwen3:2", "lmstudio:qwen3:2")


def test_the_struct_form_and_the_other_name_mean_the_same() -> None:
    assert ModelSelector is LanguageModel
    assert str(LanguageModel(provider_key="lmstudio", model_id="mistral")) == "lmstudio:mistral"


@pytest.mark.parametrize("text", ["", " ", ":", ":llama3.3", "lmstudio:", "lmstudio: ", "llama3.3", "lmstudio"])
def test_a_selector_that_lacks_a_part_says_how_to_write_it(text: str) -> None:
    with pytest.raises(SelectorError) as caught:
        LanguageModel.parse(text)

    assert "lmstudio" in caught.value.known
    assert ":" in caught.value.hint


def test_a_bare_name_is_told_the_likely_selectors() -> None:
    with pytest.raises(SelectorError) as caught:
        generate_text("llama3.3", "hi")

    assert caught.value.nearest == ("lmstudio:llama3.3", "openai-compatible:llama3.3", "local:llama3.3")
    assert "lmstudio:llama3.3" in str(caught.value)


def test_an_unknown_provider_is_told_the_nearest_and_the_known() -> None:
    with pytest.raises(SelectorError) as caught:
        default_registry().provider_for("lmstuido:llama3.3")

    assert caught.value.nearest[0] == "lmstudio:llama3.3"
    assert set(caught.value.known) >= {"lmstudio", "openai-compatible", "local"}
    assert "lmstudio:llama3.3" in caught.value.hint


def test_nearest_names_ignore_case_and_find_parts() -> None:
    known = ("Qwen2.5-7B-Instruct", "llama-3.2-1b", "mistral")

    assert nearest_names("qwen2.5-7b-instuct", known) == ("Qwen2.5-7B-Instruct",)
    assert nearest_names("llama", known) == ("llama-3.2-1b",)
    assert nearest_names("zzz", known) == ()
