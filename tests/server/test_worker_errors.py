"""What a worker's refusals and error events mean."""

from __future__ import annotations

import pytest

from roci.errors import BadRequestError, ContextTooLongError, ServerFailedError
from roci.server.worker_errors import worker_error
from tests.support.compatibility import compatible
from tests.support.fake_worker import SAMPLES


def test_an_overflow_carries_both_numbers():
    error = worker_error((SAMPLES / "overflow.json").read_bytes(), 400)
    assert isinstance(error, ContextTooLongError)
    assert (error.given_tokens, error.limit_tokens, error.code) == (3031, 2048, "context_length_exceeded")


def test_a_refusal_keeps_the_engines_words_and_field():
    error = worker_error((SAMPLES / "bad_request.json").read_bytes(), 400)
    assert isinstance(error, BadRequestError)
    assert error.param == "n"
    assert "Value must be between" in error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b"\xff", b'{"error": 3}'])
def test_a_refusal_without_a_reason_is_the_engines_failure(body: bytes):
    assert isinstance(worker_error(body, 500), ServerFailedError)


def test_what_the_engine_cannot_do_is_the_requests_fault():
    body = b'{"error": {"code": 501, "message": "This server does not support that.", "type": "not_supported_error"}}'
    error = worker_error(body, 501)
    assert isinstance(error, BadRequestError)
    assert (error.status, error.code) == (400, "not_supported_error")


@compatible("POST /v1/embeddings", "an over-long text", "better", "400 with both numbers; LM Studio cuts it")
def test_an_embedding_input_that_is_too_long_is_the_requests_fault_with_both_numbers():
    words = "input (602 tokens) is too large to process. increase the physical batch size (current batch size: 512)"
    error = worker_error(b'{"error": {"code": 500, "message": "' + words.encode() + b'", "type": "server_error"}}', 500)
    assert isinstance(error, ContextTooLongError)
    assert (error.given_tokens, error.limit_tokens, error.param) == (602, 512, "input")


def test_messages_that_the_template_refuses_are_the_requests_fault():
    body = b'{"error": {"code": 500, "message": "Jinja Exception: roles must alternate", "type": "server_error"}}'
    error = worker_error(body, 500)
    assert isinstance(error, BadRequestError)
    assert (error.code, error.param) == ("template_refused", "messages")
