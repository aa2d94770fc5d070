"""Error replies: every recorded sample becomes the exception that it means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from roci.errors import (
    AccessDeniedError,
    BadRequestError,
    ContextTooLongError,
    ModelNotFoundError,
    NoModelLoadedError,
    ReplyError,
    ServerBusyError,
    ServerFailedError,
    WrongEndpointError,
)
from roci.wire.lmstudio.errors import TEXTS
from roci.wire.openai.errors import WireError, read_error, reply_error, retry_after_s

SAMPLES = Path(__file__).parent.parent / "samples" / "errors"

EXPECTED: dict[str, tuple[type[ReplyError], dict[str, object]]] = {
    "lmstudio_no_models_loaded_string": (NoModelLoadedError, {}),
    "lmstudio_no_models_loaded_object": (NoModelLoadedError, {"param": "model"}),
    "lmstudio_invalid_model_identifier": (ModelNotFoundError, {"key": "asked", "code": "model_not_found"}),
    "lmstudio_overflow_keep_first": (ContextTooLongError, {"given_tokens": 111490, "limit_tokens": 32768}),
    "lmstudio_overflow_n_keep": (ContextTooLongError, {"given_tokens": 15028, "limit_tokens": 7424}),
    "lmstudio_overflow_initial_prompt": (ContextTooLongError, {"given_tokens": 10978, "limit_tokens": 8192}),
    "lmstudio_overflow_native_500": (ContextTooLongError, {"given_tokens": None, "limit_tokens": None}),
    "lmstudio_unexpected_endpoint": (WrongEndpointError, {"status": 200, "path": "/v1/x"}),
    "lmstudio_response_format": (BadRequestError, {"status": 400}),
    "lmstudio_native_missing_model": (BadRequestError, {"param": "model", "code": "missing_required_parameter"}),
    "lmstudio_native_model_not_found": (ModelNotFoundError, {"status": 404}),
    "lmstudio_401_v1": (AccessDeniedError, {"code": "invalid_api_key"}),
    "lmstudio_401_native": (AccessDeniedError, {"code": "invalid_api_key"}),
    "anthropic_401": (AccessDeniedError, {"status": 401}),
    "anthropic_overflow_500": (ContextTooLongError, {"given_tokens": 5000, "limit_tokens": 4096}),
    "llama_cpp_overflow": (ContextTooLongError, {"given_tokens": 9013, "limit_tokens": 8192}),
    "llama_cpp_input_too_large": (ContextTooLongError, {"given_tokens": 3002, "limit_tokens": 512}),
    "llama_cpp_both_died": (ContextTooLongError, {"status": 500}),
    "llama_cpp_invalid_field": (BadRequestError, {"status": 400}),
    "llama_cpp_loading": (ServerBusyError, {"retry_after_s": 3.0}),
    "openai_rate_limit": (ServerBusyError, {"code": "rate_limit_exceeded"}),
    "openai_context": (ContextTooLongError, {"given_tokens": 9013, "limit_tokens": 8192}),
    "ollama_model_not_found": (ModelNotFoundError, {"key": "asked"}),
    "vllm_model_not_found": (ModelNotFoundError, {"key": "asked"}),
    "vllm_overflow": (ContextTooLongError, {"given_tokens": 5100, "limit_tokens": 4096}),
    "ollama_overflow": (ContextTooLongError, {"given_tokens": None, "limit_tokens": None}),
    "ollama_embedding_overflow": (ContextTooLongError, {"status": 400}),
    "llama_cpp_overflow_older": (ContextTooLongError, {"given_tokens": None, "limit_tokens": None}),
    "llama_cpp_python_overflow": (ContextTooLongError, {"given_tokens": 9437, "limit_tokens": 8192}),
    "sglang_overflow": (ContextTooLongError, {"given_tokens": 150000, "limit_tokens": 131072}),
    "vllm_decoder_prompt": (ContextTooLongError, {"given_tokens": 11157, "limit_tokens": 4096}),
    "tgi_overflow": (ContextTooLongError, {"given_tokens": 4000, "limit_tokens": 4096}),
    "anthropic_prompt_too_long": (ContextTooLongError, {"given_tokens": 213462, "limit_tokens": 200000}),
    "lmstudio_overflow_mid_generation": (ContextTooLongError, {"given_tokens": None, "limit_tokens": 4096}),
    "fastapi_not_found": (WrongEndpointError, {"path": "/v1/x"}),
    "fastapi_validation": (BadRequestError, {"status": 422}),
}


def test_every_sample_has_an_expectation() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_error_becomes_its_class_with_its_facts(name: str) -> None:
    sample = json.loads((SAMPLES / f"{name}.json").read_text())
    body = json.dumps(sample["body"]).encode()
    wire = read_error(body)
    assert wire is not None

    error = reply_error(
        wire,
        status=sample["status"],
        path="/v1/x",
        model="asked",
        body=body,
        headers={"retry-after": "3"},
        texts=TEXTS,
    )

    kind, facts = EXPECTED[name]
    assert type(error) is kind
    assert {fact: getattr(error, fact) for fact in facts} == facts
    assert error.body == body.decode()
    assert error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices": []}', b"[]", b'{"error": null}', b"\xff"])
def test_a_body_without_an_error_has_none(body: bytes) -> None:
    assert read_error(body) is None


def test_an_error_without_words_says_at_least_the_status() -> None:
    error = reply_error(WireError(), status=500, path="/v1/x")

    assert isinstance(error, ServerFailedError)
    assert "500" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "2.5"}, 2.5), ({"retry-after": "Wed, 21 Oct"}, None), ({}, None), (None, None)],
)
def test_retry_after_is_read_in_seconds(headers: dict[str, str] | None, seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)

    assert 50 < (retry_after_s({"retry-after": soon}) or 0) <= 100
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("false", False), ("", None)])
def test_a_server_may_say_that_asking_again_is_pointless(said: str, meant: bool | None) -> None:
    error = reply_error(WireError(message="x"), status=503, path="/v1/x", headers={"x-should-retry": said})

    assert error.should_retry is meant
