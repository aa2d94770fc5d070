"""Vectors of texts: how they are asked for, how they travel, and what no good server would send. Sync and async."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import roci
from roci import EmbeddingSizeError, LmStudioProvider, LocalProvider, OpenAICompatibleProvider, UnexpectedReplyError
from roci.wire.openai.embedding_replies import batches
from tests.support.canned_server import CannedServer, Reply, Request, canned_server
from tests.support.twins import Twin

EMBEDDINGS = "POST /v1/embeddings"
EMBEDDING_MODEL = Path(__file__).parents[3] / "shared" / "models" / "all-MiniLM-L6-v2.Q8_0.gguf"
needs_embedding_model = pytest.mark.skipif(not EMBEDDING_MODEL.is_file(), reason=f"no {EMBEDDING_MODEL}")


def in_base64(vector: Sequence[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


def reply(vectors: Sequence[Any], *, model: str = "m", tokens: int = 0, **fields: Any) -> Reply:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Reply.json({"object": "list", "data": data, "model": model, "usage": usage, **fields})


def by_length(size: int = 4, *, as_text: bool = False) -> Callable[[Request], Reply]:
    """A server whose vector of a text begins with the text's length."""

    def answer(request: Request) -> Reply:
        texts: list[str] = request.json()["input"]
        vectors = [[float(len(text)), *[1.0] * (size - 1)] for text in texts]
        return reply([in_base64(vector) if as_text else vector for vector in vectors], tokens=sum(map(len, texts)))

    return answer


def provider(server: CannedServer) -> LmStudioProvider:
    return LmStudioProvider("m", base_url=server.url)


@pytest.fixture
def embedding(twin: Twin) -> Callable[..., roci.EmbedResult]:
    """`roci.embed`, or its twin."""
    return lambda *args, **kwargs: twin.call(roci, "embed", *args, **kwargs)


Embedding = Callable[..., roci.EmbedResult]


@pytest.mark.parametrize("as_text", [True, False], ids=["base64", "floats"])
def test_row_45_vectors_keep_their_size_whichever_form_the_server_answers_in(
    embedding: Embedding, as_text: bool
) -> None:
    with canned_server({EMBEDDINGS: by_length(1024, as_text=as_text)}) as server:
        result = embedding(provider(server), ["a", "bb"])

    assert server.requests[0].json()["encoding_format"] == "base64"
    assert result.dimensions == 1024
    assert [vector[:2] for vector in result.embeddings] == [[1.0, 1.0], [2.0, 1.0]]


def test_row_45_a_server_that_reads_floats_as_bytes_is_found_out(embedding: Embedding) -> None:
    # 1,024 numbers read as bytes and taken for 32-bit floats are 256 numbers.
    sizes = iter([1024, 256])
    with canned_server({EMBEDDINGS: lambda _: reply([[0.5] * next(sizes)])}) as server:
        model = provider(server)
        embedding(model, "a")
        with pytest.raises(EmbeddingSizeError, match="256 numbers, those before it 1024") as caught:
            embedding(model, "b")

    assert (caught.value.expected, caught.value.actual) == (1024, 256)


def test_row_45_vectors_of_two_sizes_in_one_reply_are_an_error(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: reply([[1.0, 2.0], [1.0]])}) as server, pytest.raises(EmbeddingSizeError):
        embedding(provider(server), ["a", "b"])


def test_the_size_is_remembered_by_selector_strings_too(embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([4, 3])
    with canned_server({EMBEDDINGS: lambda _: reply([[0.5] * next(sizes)])}) as server:
        monkeypatch.setenv("LMSTUDIO_BASE_URL", server.url)
        embedding("lmstudio:m", "a")
        with pytest.raises(EmbeddingSizeError):
            embedding("lmstudio:m", "b")


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ("AAAA", "3 bytes"),
        ("*", "not base64"),
        ("", "empty"),
        ([], "empty"),
        ([0.5, None], "another form"),
        ({"a": 1}, "another form"),
    ],
)
def test_a_vector_that_cannot_be_read_is_an_error_that_names_it(
    embedding: Embedding, vector: object, words: str
) -> None:
    with canned_server({EMBEDDINGS: reply([vector])}) as server, pytest.raises(UnexpectedReplyError) as caught:
        embedding(provider(server), "a")

    assert words in caught.value.message
    assert caught.value.json_path.startswith("$.data[")


def test_row_46_a_model_that_chats_is_refused_as_the_server_refuses_it(embedding: Embedding) -> None:
    error = {"message": "m writes text; it makes no vectors.", "type": "invalid_request_error", "param": "model"}
    with canned_server({EMBEDDINGS: Reply.json({"error": {**error, "code": "not_an_embedding_model"}}, 400)}) as server:
        with pytest.raises(roci.BadRequestError) as caught:
            embedding(provider(server), "a")

    assert (caught.value.param, caught.value.code) == ("model", "not_an_embedding_model")
    assert len(server.requests) == 1


def test_an_error_in_a_success_is_an_error(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: Reply.json({"error": "Failed to embed"})}) as server:
        with pytest.raises(roci.ServerFailedError, match="Failed to embed"):
            embedding(provider(server), "a")


def test_one_text_has_its_vector_at_hand(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: by_length(2)}) as server:
        result = embedding(provider(server), "abc")

    assert result.embedding == [3.0, 1.0]
    assert (result.model, result.receipt.model_asked, result.receipt.model_answered) == ("m", "m", "m")


def test_many_vectors_are_not_taken_for_one(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: by_length()}) as server:
        result = embedding(provider(server), ["a", "b"])

    with pytest.raises(roci.UsageError, match="2 vectors"):
        _ = result.embedding


def test_of_no_texts_there_are_no_vectors_and_nothing_is_sent(embedding: Embedding) -> None:
    with canned_server({}) as server:
        result = embedding(provider(server), [])

    assert (result.embeddings, result.dimensions, server.requests) == ([], 0, [])


def test_batches_keep_the_order_and_their_tokens_are_added_up(embedding: Embedding) -> None:
    texts = ["x" * (1 + index % 7) for index in range(600)]
    with canned_server({EMBEDDINGS: by_length()}) as server:
        result = embedding(provider(server), texts)

    assert [len(request.json()["input"]) for request in server.requests] == [256, 256, 88]
    assert [vector[0] for vector in result.embeddings] == [len(text) for text in texts]
    assert result.usage.input_tokens == sum(map(len, texts))


def test_a_batch_is_as_large_as_it_is_told_to_be(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: by_length()}) as server:
        embedding(provider(server), ["a", "b", "c"], batch_size=2)

    assert [request.json()["input"] for request in server.requests] == [["a", "b"], ["c"]]


def test_long_texts_go_fewer_at_a_time() -> None:
    texts = ["x" * 20_000, "y" * 20_000, "z" * 50_000, "a", "b"]

    assert [len(batch) for batch in batches(texts, None)] == [1, 1, 1, 2]


def test_vectors_out_of_order_are_put_in_order(embedding: Embedding) -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    with canned_server({EMBEDDINGS: Reply.json({"data": data})}) as server:
        assert embedding(provider(server), ["a", "b"]).embeddings == [[1.0], [2.0]]


def test_vectors_without_numbers_are_in_the_order_they_came_in(embedding: Embedding) -> None:
    data = [{"embedding": [1.0]}, {"embedding": [2.0]}]
    with canned_server({EMBEDDINGS: Reply.json({"data": data})}) as server:
        assert embedding(provider(server), ["a", "b"]).embeddings == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "data",
    [[], [{"index": 0, "embedding": [1.0]}], [{"index": 1, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]],
)
def test_other_than_one_vector_for_each_text_is_an_error(embedding: Embedding, data: list[Any]) -> None:
    with canned_server({EMBEDDINGS: Reply.json({"data": data})}) as server, pytest.raises(UnexpectedReplyError):
        embedding(provider(server), ["a", "b"])


def test_dimensions_that_the_server_ignores_are_cut_here_and_the_receipt_says_so(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: reply([[3.0, 4.0, 12.0], [0.0, 2.0, 1.0]])}) as server:
        result = embedding(provider(server), ["a", "b"], dimensions=2)

    assert server.requests[0].json()["dimensions"] == 2
    assert [[round(number, 6) for number in vector] for vector in result.embeddings] == [[0.6, 0.8], [0.0, 1.0]]
    (change,) = result.receipt.ignored
    assert (change.setting, change.asked) == ("dimensions", "2")


def test_more_dimensions_than_there_are_is_an_error(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: reply([[3.0, 4.0]])}) as server:
        with pytest.raises(EmbeddingSizeError, match="dimensions is 3") as caught:
            embedding(provider(server), "a", dimensions=3)

    assert (caught.value.expected, caught.value.actual) == (3, 2)


def test_unit_length_on_request_only(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: reply([[3.0, 4.0]])}) as server:
        model = provider(server)

        assert embedding(model, "a").embedding == [3.0, 4.0]
        assert math.isclose(math.hypot(*embedding(model, "a", normalize=True).embedding), 1.0, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("vector", "kind"), [([0.0, 0.0], "zero_vector"), (in_base64([math.nan, 1.0]), "broken_vector")]
)
def test_a_vector_of_no_use_is_warned_about(embedding: Embedding, vector: Any, kind: str) -> None:
    with canned_server({EMBEDDINGS: reply([[1.0, 1.0], vector])}) as server:
        result = embedding(provider(server), ["a", "b"], normalize=True)

    (warning,) = result.warnings
    assert warning.kind == kind
    assert warning.message.startswith("Vector 1 ")
    assert result.receipt.notes == (warning.message,)


def test_another_model_is_warned_about(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: reply([[1.0]], model="other")}) as server:
        with pytest.warns(roci.ModelSubstitutedWarning):
            result = embedding(provider(server), "a")

    assert [warning.kind for warning in result.warnings] == ["model_substituted"]
    assert result.receipt.model_answered == "other"


def refuses_base64(request: Request) -> Reply:
    if request.json()["encoding_format"] == "base64":
        return Reply.json({"error": {"message": "encoding_format must be float", "param": "encoding_format"}}, 400)
    return by_length(2)(request)


@pytest.mark.parametrize(("form", "changes"), [("auto", 0), ("base64", 1)])
def test_a_server_without_base64_is_asked_for_numbers_from_then_on(
    embedding: Embedding, form: str, changes: int
) -> None:
    with canned_server({EMBEDDINGS: refuses_base64}) as server:
        result = embedding(provider(server), ["a", "b"], batch_size=1, encoding_format=form)

    assert [request.json()["encoding_format"] for request in server.requests] == ["base64", "float", "float"]
    assert result.dimensions == 2
    assert len(result.receipt.ignored) == changes


def test_numbers_can_be_asked_for(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: by_length(2)}) as server:
        embedding(provider(server), "a", encoding_format="float")

    assert server.requests[0].json()["encoding_format"] == "float"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"texts": ["a", 1]}, "texts[1]"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"batch_size": 0}, "batch_size"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_sent(
    embedding: Embedding, arguments: dict[str, Any], field: str
) -> None:
    with canned_server({}) as server, pytest.raises(roci.UsageError) as caught:
        embedding(provider(server), **{"texts": "a", **arguments})

    assert (caught.value.field, server.requests) == (field, [])


def test_other_servers_are_asked_alike(embedding: Embedding) -> None:
    with canned_server({EMBEDDINGS: by_length(2)}) as server:
        model = OpenAICompatibleProvider("m", base_url=server.url, api_key="k")

        assert embedding(model, "abc").embedding == [3.0, 1.0]
        assert server.requests[0].headers["authorization"] == "Bearer k"


def test_numpy_arrays_where_numpy_is_there(embedding: Embedding) -> None:
    np = pytest.importorskip("numpy")
    with canned_server({EMBEDDINGS: by_length(3)}) as server:
        model = provider(server)
        vectors: Any = embedding(model, ["a", "bb"], as_numpy=True).embeddings
        none: Any = embedding(model, [], as_numpy=True).embeddings

    assert (vectors.shape, vectors.dtype) == ((2, 3), np.float32)
    assert vectors[1].tolist() == [2.0, 1.0, 1.0]
    assert vectors.flags.writeable
    assert none.shape == (0, 0)


def test_without_numpy_arrays_are_refused_before_anything_is_sent(
    embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with canned_server({}) as server, pytest.raises(roci.UnsupportedError, match="numpy") as caught:
        embedding(provider(server), "a", as_numpy=True)

    assert (caught.value.capability, server.requests) == ("numpy", [])


@pytest.fixture(scope="module")
def local() -> Iterator[LocalProvider]:
    with LocalProvider(str(EMBEDDING_MODEL)) as model:
        yield model


@needs_embedding_model
def test_the_embedded_engine_puts_like_to_like(local: LocalProvider, embedding: Embedding) -> None:
    texts = ["a small cat", "a kitten", "interest rates of the central bank"] * 12
    result = embedding(local, texts, normalize=True)
    cat, kitten, bank = result.embeddings[:3]

    assert (result.dimensions, len(result.embeddings)) == (384, 36)
    assert sum(map(float.__mul__, cat, kitten)) > sum(map(float.__mul__, cat, bank)) + 0.2
    assert result.usage.input_tokens > 100


@needs_embedding_model
def test_a_text_that_is_too_long_for_the_engine_is_named_as_that(local: LocalProvider, embedding: Embedding) -> None:
    with pytest.raises(roci.ContextTooLongError) as caught:
        embedding(local, "word " * 3000)

    assert caught.value.given_tokens == 3002
    assert caught.value.limit_tokens == 512


@needs_embedding_model
def test_an_embedding_model_does_not_chat(local: LocalProvider, twin: Twin) -> None:
    request = roci.ProviderRequest(messages=[roci.ModelMessage.user("hi")])
    with pytest.raises(roci.UnsupportedError) as caught:
        twin.call(local, "generate_text", request)

    assert caught.value.capability == "chat"


def test_row_46_a_chat_model_on_this_machine_makes_no_vectors(starter_home: Path, embedding: Embedding) -> None:
    model = LocalProvider("smollm2-135m-instruct", config=roci.RociConfig(roci_home=str(starter_home)))
    with pytest.raises(roci.UnsupportedError) as caught:
        embedding(model, "a")

    assert caught.value.capability == "embeddings"
    assert model._engine.worker is None
