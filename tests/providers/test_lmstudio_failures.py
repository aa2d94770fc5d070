"""What the LM Studio provider makes of every way in which a server can fail. Sync and async."""

from __future__ import annotations

from typing import Any

import pytest

import roci
from roci import GenerationSettings, LmStudioProvider, ModelMessage, ProviderRequest, RetryPolicy
from tests.support.canned_server import CannedServer, Reply, canned_server, chunk, completion
from tests.support.twins import Twin

CHAT = "POST /v1/chat/completions"
V1_LIST = {"object": "list", "data": [{"id": "llama3.3", "object": "model", "owned_by": "organization_owner"}]}
UNKNOWN_PATH = Reply.json({"error": "Unexpected endpoint or method. (GET /x)"})


def provider(server: CannedServer, model: str = "m", **kwargs: Any) -> LmStudioProvider:
    return LmStudioProvider(model, base_url=server.url, **{"retries": RetryPolicy(max_retries=0), **kwargs})


def asked(text: str = "hi", **fields: Any) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user(text),), **fields)


INVALID = Reply.json(
    {
        "error": {
            "message": 'Invalid model identifier "lama3.3". Please specify a valid downloaded model (e.g., llama3.3).',
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    },
    400,
)


@pytest.mark.parametrize("method", ["generate_text", "stream"])
def test_an_unknown_model_is_told_what_the_server_has(method: str, twin: Twin) -> None:
    with canned_server({CHAT: INVALID, "GET /v1/models": Reply.json(V1_LIST)}) as server:
        model = provider(server, "lama3.3")
        with pytest.raises(roci.ModelNotFoundError) as caught:
            twin.call(model, method, asked()) if method == "generate_text" else twin.streamed(model, asked())

    assert (caught.value.key, caught.value.similar, caught.value.available) == (
        "lama3.3",
        ("llama3.3",),
        ("llama3.3",),
    )
    assert "Did you mean llama3.3?" in str(caught.value)


def test_an_unknown_model_is_an_error_also_where_the_list_cannot_be_had(twin: Twin) -> None:
    with canned_server({CHAT: INVALID}) as server, pytest.raises(roci.ModelNotFoundError) as caught:
        twin.call(provider(server, "lama3.3"), "generate_text", asked())

    assert caught.value.available == ()


def test_nothing_loaded_is_its_own_error(twin: Twin) -> None:
    reply = Reply.json({"error": "No models loaded. Please load a model in the developer page."}, 400)
    with canned_server({CHAT: reply, "GET /v1/models": Reply.json(V1_LIST)}) as server:
        with pytest.raises(roci.NoModelLoadedError) as caught:
            twin.call(provider(server), "generate_text", asked())

    assert caught.value.available == ("llama3.3",)
    assert "lms load" in caught.value.hint


@pytest.mark.parametrize("body", [{"error": "engine on fire"}, {"error": {"message": "engine on fire"}}])
def test_a_success_that_holds_an_error_is_a_failure(body: Any, twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(body)}) as server:
        with pytest.raises(roci.ServerFailedError, match="engine on fire") as caught:
            twin.call(provider(server), "generate_text", asked())
        with pytest.raises(roci.ServerFailedError, match="engine on fire"):
            twin.streamed(provider(server), asked())

    assert caught.value.status == 200


def test_a_wrong_path_under_200_is_a_wrong_endpoint(twin: Twin) -> None:
    with canned_server({CHAT: UNKNOWN_PATH}) as server, pytest.raises(roci.WrongEndpointError) as caught:
        twin.call(provider(server), "generate_text", asked())

    assert caught.value.path == "/v1/chat/completions"
    assert "base URL" in caught.value.hint


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply.text("<html>Welcome to nginx!</html>"), roci.NotAnApiError),
        (Reply.text("It works", "text/plain"), roci.NotAnApiError),
        (Reply.text("", "application/json"), roci.NotAnApiError),
        (Reply.text('{"id": "x", "choices": [{"mess', "application/json"), roci.TruncatedReplyError),
        (Reply.json({"choices": [{"message": {"content": 7}}]}), roci.UnexpectedReplyError),
        (Reply.json({"choices": []}), roci.EmptyReplyError),
        (Reply.json({}), roci.EmptyReplyError),
        (Reply.json({"choices": [{"message": {"content": ""}}]}), roci.EmptyReplyError),
        (Reply.text("", status=301), roci.WrongEndpointError),
        (Reply.text("<html>", status=502), roci.ServerFailedError),
        (Reply.text("gone", status=404), roci.WrongEndpointError),
        (Reply.json({"error": "x"}, 503, **{"retry-after": "7"}), roci.ServerBusyError),
        (Reply.json({"error": "token"}, 401), roci.AccessDeniedError),
    ],
)
def test_each_bad_reply_has_its_own_error(reply: Reply, kind: type[roci.RociError], twin: Twin) -> None:
    with canned_server({CHAT: reply}) as server, pytest.raises(kind) as caught:
        twin.call(provider(server), "generate_text", asked())

    assert type(caught.value) is kind
    assert not isinstance(caught.value, roci.ServerBusyError) or caught.value.retry_after_s == 7


@pytest.mark.parametrize("chunked", [True, False])
def test_a_reply_cut_in_the_middle_is_told_with_what_came(chunked: bool, twin: Twin) -> None:
    reply = Reply(200, {"content-type": "application/json"}, [b'{"id": "x", "cho'], chunked=chunked, cut=True)
    with (
        canned_server({CHAT: reply}) as server,
        pytest.raises((roci.ConnectionLostError, roci.TruncatedReplyError)) as e,
    ):
        twin.call(provider(server), "generate_text", asked())

    assert '"cho' in e.value.body


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("cut", [True, False])
def test_a_stream_cut_in_the_middle_raises_with_the_part_that_came(done: bool, cut: bool, twin: Twin) -> None:
    reply = Reply.events(chunk("Once upon"), chunk(" a time"), done=done, cut=cut)
    with canned_server({CHAT: reply}) as server, pytest.raises(roci.StreamInterruptedError) as caught:
        twin.streamed(provider(server), asked(session_id="s"))

    partial = caught.value.partial
    assert isinstance(partial, roci.GenerateTextResult)
    assert (partial.text, partial.finish_reason, partial.session_id) == ("Once upon a time", "error", "s")
    assert partial.error is caught.value
    assert partial.messages[-1] == ModelMessage.assistant("Once upon a time")


def test_an_error_frame_after_text_is_an_interruption_that_knows_the_cause(twin: Twin) -> None:
    frame = b'data: {"error": {"message": "The worker died.", "type": "server_error", "code": "worker_died"}}\n\n'
    with canned_server({CHAT: Reply.events(chunk("Once"), frame, done=False)}) as server:
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.streamed(provider(server), asked())

    assert caught.value.code == "worker_died"
    assert caught.value.partial.text == "Once"
    assert isinstance(caught.value.__cause__, roci.ServerFailedError)


def test_an_error_frame_before_any_text_is_the_error_itself(twin: Twin) -> None:
    frame = b'data: {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}\n\n'
    with canned_server({CHAT: Reply.events(frame, done=False)}) as server:
        with pytest.raises(roci.ContextTooLongError) as caught:
            twin.streamed(provider(server), asked())

    assert (caught.value.given_tokens, caught.value.limit_tokens) == (15028, 7424)


def test_a_plain_reply_to_a_streamed_request_is_a_stream_of_one(twin: Twin) -> None:
    with canned_server({CHAT: Reply.json(completion("Hello."))}) as server:
        assert twin.streamed(provider(server), asked()).text == "Hello."


def test_an_empty_stream_is_an_interruption_with_nothing_in_it(twin: Twin) -> None:
    with canned_server({CHAT: Reply.events(done=False)}) as server:
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.streamed(provider(server), asked())

    assert caught.value.partial.text == ""


def test_a_request_that_json_cannot_hold_is_an_error_of_the_caller(twin: Twin) -> None:
    settings = GenerationSettings(extra={"x": object()})
    with canned_server({}) as server, pytest.raises(roci.UsageError) as caught:
        twin.call(provider(server), "generate_text", asked(settings=settings))

    assert caught.value.field == "settings.extra"
    assert server.requests == []


@pytest.mark.parametrize("settings", [{"temperature": float("nan")}, {"max_tokens": -1}, {"extra": {"stream": True}}])
def test_wrong_settings_never_leave_the_program(settings: Any, twin: Twin) -> None:
    with canned_server({}) as server:
        for send in (lambda m, r: twin.call(m, "generate_text", r), twin.streamed):
            with pytest.raises(roci.UsageError):
                send(provider(server), asked(settings=GenerationSettings(**settings)))

    assert server.requests == []


def test_an_empty_model_name_is_an_error() -> None:
    with pytest.raises(roci.UsageError, match="empty"):
        LmStudioProvider(" ", base_url="http://localhost:1")
