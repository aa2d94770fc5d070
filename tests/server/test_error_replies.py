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
from roci.server.error_replies import error_reply, stream_event


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
    reply = error_reply(error)
    assert reply.status == status
    assert json.loads(reply.body) == {"error": {"message": "x", "type": kind, "param": None, "code": code}}


def test_the_hint_is_part_of_the_message():
    assert json.loads(error_reply(RociError("No.", hint="Do this.")).body)["error"]["message"] == "No. Do this."


def test_the_field_is_the_param():
    assert json.loads(error_reply(UsageError("x", field="a.b")).body)["error"]["param"] == "a.b"


def test_a_busy_server_says_when_to_come_back_in_whole_seconds():
    assert error_reply(ServerBusyError("x", retry_after_s=1.2)).headers == {"retry-after": "2"}


def test_a_load_that_failed_asks_not_to_be_repeated():
    assert error_reply(LoadFailedError("x", key="k")).headers == {"x-should-retry": "false"}


def test_an_error_that_nobody_expected_is_logged_and_shows_nothing(caplog: pytest.LogCaptureFixture):
    reply = error_reply(KeyError("a secret"))
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "a secret" in caplog.text


def test_in_a_stream_an_error_is_one_event():
    event = stream_event(WorkerDiedError("x", key="k"))
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
