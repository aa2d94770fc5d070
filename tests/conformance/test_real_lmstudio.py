"""A real LM Studio, where `LMSTUDIO_BASE_URL` names one with a model loaded."""

from __future__ import annotations

import pytest

import roci
from tests.conftest import REAL_LMSTUDIO_URL
from tests.support.twins import Twin

pytestmark = pytest.mark.skipif(REAL_LMSTUDIO_URL is None, reason="LMSTUDIO_BASE_URL is not set")


@pytest.fixture
def model() -> roci.LmStudioProvider:
    assert REAL_LMSTUDIO_URL is not None
    with roci.LmStudioProvider("any", base_url=REAL_LMSTUDIO_URL) as listing:
        loaded = [info.key for info in listing.list_models() if info.is_loaded and info.kind == "llm"]
    assert loaded, "no model is loaded there"
    return roci.LmStudioProvider(loaded[0], base_url=REAL_LMSTUDIO_URL)


def test_it_answers_whole_and_as_a_stream(model: roci.LmStudioProvider, twin: Twin) -> None:
    settings = roci.GenerationSettings(max_tokens=200)
    request = roci.ProviderRequest(messages=[roci.ModelMessage.user("Say hello.")], settings=settings)

    assert twin.call(model, "generate_text", request).usage.output_tokens > 0
    assert twin.streamed(model, request).usage.output_tokens > 0


def test_it_describes_its_model(model: roci.LmStudioProvider, twin: Twin) -> None:
    info = twin.call(model, "describe")

    assert info.loaded_context_length is not None
    assert info.source == "/api/v1/models"


def test_json_mode_gives_json(model: roci.LmStudioProvider, twin: Twin) -> None:
    settings = roci.GenerationSettings(response_format=roci.ResponseFormat.json_object(), max_tokens=300)
    result = twin.call(roci, "generate_text", model, "Give me a JSON object with a field 'ok'.", settings)

    assert result.text.lstrip().startswith("{")
