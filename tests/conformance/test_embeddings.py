"""`/v1/embeddings` with a real embedding model, where a folder `shared/models` with it lies beside the checkout."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import httpx2
import pytest

from tests.conformance.conftest import SETTINGS, LiveServer

CAT = "The cat sleeps on the warm windowsill."
KITTEN = "A kitten is napping in the sun by the window."
TAX = "Form 1040 must be filed by the fifteenth of April."
DIMENSIONS = 384
LIMIT_TOKENS = 512
CLOSE = 1e-5


class Embedder:
    def __init__(self, server: LiveServer) -> None:
        self.key = server.embedding_model
        self.chat_key = server.model
        self.url = server.url

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}{path}", json={"model": self.key, **body}, timeout=120)

    def ask(self, given: Any, **more: Any) -> dict[str, Any]:
        reply = self.post("/v1/embeddings", input=given, **more)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def vectors(self, given: Any, **more: Any) -> list[list[float]]:
        return [entry["embedding"] for entry in self.ask(given, **more)["data"]]

    def refusal(self, given: Any, **more: Any) -> dict[str, Any]:
        reply = self.post("/v1/embeddings", input=given, **more)
        assert reply.status_code == 400, reply.text
        return reply.json()["error"]

    def tokens(self, text: str) -> list[int]:
        return self.post("/v1/tokenize", content=text, add_special=True).json()["tokens"]


@pytest.fixture
def embedder(embedding_server: LiveServer) -> Embedder:
    return Embedder(embedding_server)


def test_two_sentences_about_a_cat_are_nearer_than_a_tax_form(embedder: Embedder) -> None:
    cat, kitten, tax = embedder.vectors([CAT, KITTEN, TAX])
    assert cosine(cat, kitten) > 0.5 > 0.3 > cosine(cat, tax)
    assert cosine(kitten, tax) < cosine(cat, kitten)


def test_vectors_have_the_models_dimensions_and_unit_length(embedder: Embedder) -> None:
    for vector in embedder.vectors([CAT, TAX]):
        assert len(vector) == DIMENSIONS
        assert math.isclose(math.hypot(*vector), 1.0, abs_tol=CLOSE)


def test_floats_and_base64_agree(embedder: Embedder) -> None:
    floats = embedder.vectors([CAT, TAX], encoding_format="float")
    packed: list[Any] = embedder.vectors([CAT, TAX], encoding_format="base64")
    for plain, text in zip(floats, packed, strict=True):
        assert_close(plain, struct.unpack(f"<{DIMENSIONS}f", base64.b64decode(text)), 1e-7)


def test_a_batch_agrees_with_single_calls(embedder: Embedder) -> None:
    texts = [f"{text} {number}" for number in range(20) for text in (CAT, TAX)]
    reply = embedder.ask(texts)
    assert [entry["index"] for entry in reply["data"]] == list(range(len(texts)))
    for position in (0, 1, 31, 32, 39):
        (alone,) = embedder.vectors(texts[position])
        assert_close(reply["data"][position]["embedding"], alone, CLOSE)


def test_tokens_agree_with_their_text(embedder: Embedder) -> None:
    cat, tax = embedder.tokens(CAT), embedder.tokens(TAX)
    told = embedder.vectors([CAT, TAX])
    for vectors in (embedder.vectors([cat, tax]), [*embedder.vectors(cat), *embedder.vectors(tax)]):
        for vector, expected in zip(vectors, told, strict=True):
            assert_close(vector, expected, CLOSE)


def test_usage_counts_the_tokens(embedder: Embedder) -> None:
    expected = len(embedder.tokens(CAT)) + len(embedder.tokens(TAX))
    assert embedder.ask([CAT, TAX])["usage"] == {"prompt_tokens": expected, "total_tokens": expected}


def test_fewer_dimensions_are_the_first_ones_at_unit_length(embedder: Embedder) -> None:
    (whole,), (short,) = embedder.vectors(CAT), embedder.vectors(CAT, dimensions=64)
    length = math.hypot(*whole[:64])
    assert_close(short, [number / length for number in whole[:64]], CLOSE)
    assert embedder.refusal(CAT, dimensions=DIMENSIONS + 1)["param"] == "dimensions"


def test_a_model_for_chat_is_refused(embedder: Embedder) -> None:
    error = embedder.refusal(CAT, model=embedder.chat_key)
    assert error["param"] == "model"
    assert embedder.chat_key in error["message"]


def test_a_text_over_the_models_limit_is_refused_with_the_numbers(embedder: Embedder) -> None:
    error = embedder.refusal([CAT, "word " * (LIMIT_TOKENS * 2)])
    assert error["code"] == "context_length_exceeded"
    assert error["limit_tokens"] == LIMIT_TOKENS
    assert error["given_tokens"] > LIMIT_TOKENS * 2
    assert str(LIMIT_TOKENS) in error["message"]


def test_a_text_within_the_limit_is_not_cut(embedder: Embedder) -> None:
    nearly = "word " * (LIMIT_TOKENS - 12)
    (plain,), (changed,) = embedder.vectors(nearly), embedder.vectors(nearly + TAX[:9])
    assert cosine(plain, changed) < 1 - CLOSE


def test_slots_that_the_engine_cannot_share_evenly_are_fewer(embedder: Embedder) -> None:
    embedder.ask(CAT)
    health = httpx2.get(f"{embedder.url}/health").json()
    (slots,) = [model["slots"] for model in health["models"] if model["id"] == embedder.key]
    assert (SETTINGS["parallel"], slots) == (3, 2)


def test_a_model_for_vectors_cannot_chat(embedder: Embedder) -> None:
    reply = embedder.post("/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}])
    assert reply.status_code == 400
    assert embedder.key in reply.json()["error"]["message"]


@pytest.mark.parametrize("given", ["", [], [""], [[]], [0, "a"], [-1], [10**6], None, 3, [None]], ids=repr)
def test_no_input_brings_the_server_down(embedder: Embedder, given: Any) -> None:
    reply = embedder.post("/v1/embeddings", input=given)
    assert reply.status_code in (200, 400)
    if reply.status_code == 400:
        assert reply.json()["error"]["param"].startswith("input")
    assert embedder.vectors(CAT)


def cosine(first: list[float], second: list[float]) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True)) / (math.hypot(*first) * math.hypot(*second))


def assert_close(first: Any, second: Any, tolerance: float) -> None:
    assert len(first) == len(second)
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) < tolerance
