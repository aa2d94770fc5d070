"""Errors as they go out: status, and OpenAI's shape."""

from __future__ import annotations

import json

import pytest

from roci.errors import (
    BadModelFileError,
    BadRequestError,
    ContextTooLongError,
    LoadFailedError,
    ModelNotFoundError,
    NotEnoughMemoryError,
    RociError,
    ServerBusyError,
    UsageError,
    WorkerDiedError,
)
from roci.server.error_replies import failure_of, shape_of


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (ContextTooLongError("x"), 400, "invalid_request_error", "context_length_exceeded"),
        (ModelNotFoundError("x", key="k"), 404, "invalid_request_error", "model_not_found"),
        (BadRequestError("x", code="c"), 400, "invalid_request_error", "c"),
        (UsageError("x"), 400, "invalid_request_error", None),
        (ServerBusyError("x"), 503, "server_error", "busy"),
        (NotEnoughMemoryError("x", key="k"), 507, "server_error", "insufficient_memory"),
        (BadModelFileError("x", key="k", path="p", reason="missing"), 500, "server_error", "load_failed"),
        (LoadFailedError("x", key="k"), 500, "server_error", "load_failed"),
        (WorkerDiedError("x", key="k"), 503, "server_error", "worker_died"),
        (RociError("x"), 500, "server_error", "internal_error"),
    ],
)
def test_each_error_has_its_status_type_and_code(error: RociError, status: int, kind: str, code: str | None):
    failure = failure_of(error)
    assert failure.status == status
    told = json.loads(shape_of("/v1/chat/completions")(failure))
    assert told == {"error": {"message": "x", "type": kind, "param": None, "code": code}}


def test_the_hint_is_part_of_the_message():
    assert failure_of(RociError("No.", hint="Do this.")).message == "No. Do this."


def test_the_field_is_the_param():
    assert failure_of(UsageError("x", field="a.b")).param == "a.b"


def test_numbers_stand_beside_the_message():
    failure = failure_of(ContextTooLongError("x", limit_tokens=5, given_tokens=9))
    told = json.loads(shape_of("/v1/responses")(failure))["error"]
    assert (told["limit_tokens"], told["given_tokens"]) == (5, 9)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", {"error": {"message", "type", "param", "code"}}),
        ("/api/v0/models/x", {"error": {"message", "type", "param", "code"}}),
        ("/api/v1/models", {"error": {"message", "type", "code"}}),
        ("/v1/messages", {"type": "error", "error": {"message", "type", "code"}, "request_id": None}),
    ],
)
def test_each_family_of_routes_has_its_own_shape(path: str, shape: dict[str, object]):
    told = json.loads(shape_of(path)(failure_of(ModelNotFoundError("x", key="k"))))
    assert {**told, "error": set(told["error"])} == shape


def test_a_busy_server_says_when_to_come_back_in_whole_seconds():
    assert failure_of(ServerBusyError("x", retry_after_s=1.2)).headers == {"retry-after": "2"}


def test_a_load_that_failed_asks_not_to_be_repeated():
    assert failure_of(LoadFailedError("x", key="k")).headers == {"x-should-retry": "false"}


def test_an_error_that_nobody_expected_is_logged_and_shows_nothing(caplog: pytest.LogCaptureFixture):
    failure = failure_of(KeyError("a secret"))
    assert failure.status == 500
    assert "secret" not in failure.message
    assert "a secret" in caplog.text
