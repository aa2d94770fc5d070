"""Requests for vectors and scores, and the replies."""

from __future__ import annotations

import base64
import json
import math
from array import array
from typing import Any

import msgspec
import pytest

from roci.errors import BadRequestError
from roci.wire.openai.embeddings import (
    AT_ONCE,
    WorkerScores,
    WorkerVectors,
    check_tokens,
    decode_embedding_request,
    decode_rerank_request,
    embedding_reply,
    rerank_reply,
    worker_batches,
)


def request(**fields: Any):
    return decode_embedding_request(json.dumps({"model": "m", **fields}).encode())


def worker_reply(*vectors: list[float] | str, tokens: int = 3) -> WorkerVectors:
    data = [{"embedding": vector, "index": index} for index, vector in enumerate(vectors)]
    return msgspec.json.decode(json.dumps({"data": data, "usage": {"prompt_tokens": tokens}}), type=WorkerVectors)


def packed(*numbers: float) -> str:
    return base64.b64encode(array("f", numbers).tobytes()).decode()


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        (["a", [3]], ["a", [3]]),
    ],
)
def test_every_form_of_input_is_understood(given: Any, inputs: list[Any]):
    assert request(input=given).inputs == inputs


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [[]]}, "input[0]"),
        ({"input": ["a", 3]}, "input[1]"),
        ({"input": [-1]}, "input[0]"),
        ({"input": None}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_cannot_be_used_is_named(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequestError) as caught:
        request(**fields)
    assert caught.value.param == param


def test_tokens_that_the_model_does_not_have_are_refused():
    check_tokens(["a", [9]], 10)
    with pytest.raises(BadRequestError) as caught:
        check_tokens(["a", [3, 10]], 10)
    assert caught.value.param == "input[1]"


def test_a_worker_is_asked_in_bounded_batches_and_the_order_is_kept():
    asked = request(input=[str(number) for number in range(AT_ONCE + 1)])
    first, second = worker_batches(asked)
    assert (len(first["input"]), second["input"]) == (AT_ONCE, [str(AT_ONCE)])
    reply = json.loads(embedding_reply(asked, [worker_reply([1.0], [2.0]), worker_reply([3.0])], "m:2"))
    assert [entry["embedding"] for entry in reply["data"]] == [[1.0], [2.0], [3.0]]
    assert [entry["index"] for entry in reply["data"]] == [0, 1, 2]
    assert reply["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    assert reply["model"] == "m:2"


@pytest.mark.parametrize("form", ["float", "base64"])
def test_fewer_dimensions_are_the_first_ones_at_unit_length(form: str):
    asked = request(input="a", dimensions=2, encoding_format=form)
    (body,) = worker_batches(asked)
    assert body["encoding_format"] == "base64"
    (entry,) = json.loads(embedding_reply(asked, [worker_reply(packed(0.6, 0.0, 0.8))], "m"))["data"]
    vector = entry["embedding"]
    numbers = vector if form == "float" else array("f", base64.b64decode(vector)).tolist()
    assert numbers == [1.0, 0.0]
    assert math.isclose(sum(number * number for number in numbers), 1.0)


def test_more_dimensions_than_there_are_are_refused():
    with pytest.raises(BadRequestError) as caught:
        embedding_reply(request(input="a", dimensions=4), [worker_reply(packed(1.0, 0.0))], "m")
    assert caught.value.param == "dimensions"


def test_scores_come_best_first_and_only_as_many_as_wanted():
    asked = decode_rerank_request(
        json.dumps(
            {"query": "q", "documents": ["x", {"text": "y"}, "z"], "top_n": 2, "return_documents": True}
        ).encode()
    )
    results = [{"index": index, "relevance_score": score} for index, score in enumerate((0.1, 0.9, 0.5))]
    told = msgspec.convert({"results": results, "usage": {"prompt_tokens": 7}}, WorkerScores)
    reply = rerank_reply(asked, told, "m")
    assert [(result.index, result.document.text) for result in reply.results if result.document] == [(1, "y"), (2, "z")]
    assert reply.usage.prompt_tokens == 7
