"""Managing models on LM Studio, by its own words; and by those of servers that are something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import roci
from roci import LmStudioServer, LoadOptions
from tests.support.canned_server import Answer, CannedServer, Reply, Request, canned_server
from tests.support.twins import Twin

LOAD, UNLOAD, DOWNLOAD = (f"POST /api/v1/models/{name}" for name in ("load", "unload", "download"))
STATUS = "GET /api/v1/models/download/status/job_493c7c9ded"
UNEXPECTED = Reply.json({"error": "Unexpected endpoint or method. (GET /health)"})
NEEDS_TOKEN = Reply.json({"error": {"message": "An LM Studio API token is required.", "type": "invalid_request"}}, 401)


def models(*copies: dict[str, Any]) -> Reply:
    entry = {
        "type": "llm",
        "key": "qwen/qwen3-4b",
        "display_name": "Qwen3 4B",
        "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
        "size_bytes": 2_500_000_000,
        "loaded_instances": list(copies),
        "max_context_length": 40960,
    }
    return Reply.json({"models": [entry]})


ONE_COPY = {"id": "qwen/qwen3-4b", "config": {"context_length": 8192, "parallel": 4, "eval_batch_size": 512}}


def loaded(request: Request) -> Reply:
    config = {"context_length": request.json().get("context_length", 4096), "eval_batch_size": 512}
    return Reply.json(
        {"type": "llm", "instance_id": "qwen/qwen3-4b", "load_time_seconds": 9.1, "status": "loaded"}
        | ({"load_config": config} if request.json().get("echo_load_config") else {})
    )


@pytest.fixture
def routes() -> dict[str, Answer]:
    return {
        "GET /lmstudio-greeting": Reply.json({"lmstudio": True}),
        "GET /health": UNEXPECTED,
        "GET /api/v1/models": models(),
        LOAD: loaded,
        UNLOAD: lambda request: Reply.json(request.json()),
    }


@pytest.fixture
def lmstudio(routes: dict[str, Answer]) -> Iterator[CannedServer]:
    with canned_server(routes) as running:
        yield running


def asked(server: CannedServer, route: str) -> list[Request]:
    return [request for request in server.requests if f"{request.method} {request.path}" == route]


def test_a_load_blocks_and_its_progress_is_not_known(lmstudio: CannedServer, twin: Twin) -> None:
    seen: list[roci.LoadProgress] = []
    copy = twin.call(
        LmStudioServer(lmstudio.url), "load_model", "qwen/qwen3-4b", LoadOptions(context_length=2048),
        on_progress=seen.append,
    )  # fmt: skip

    assert (copy.id, copy.context_length, copy.load_time_s) == ("qwen/qwen3-4b", 2048, 9.1)
    assert [progress.ratio for progress in seen] == [None]
    (request,) = asked(lmstudio, LOAD)
    assert request.json() == {"model": "qwen/qwen3-4b", "context_length": 2048, "echo_load_config": True}


@pytest.mark.parametrize("options", [LoadOptions(ttl_s=60), LoadOptions(identifier="x"), LoadOptions(parallel=2)])
def test_an_option_that_lm_studio_refuses_is_not_sent(lmstudio: CannedServer, twin: Twin, options: LoadOptions) -> None:
    with pytest.raises(roci.UnsupportedError) as caught:
        twin.call(LmStudioServer(lmstudio.url), "load_model", "qwen/qwen3-4b", options)

    (name,) = options.given
    assert caught.value.capability == f"options.{name}"
    assert asked(lmstudio, LOAD) == []


def test_a_second_load_made_a_second_instance_and_now_the_loaded_one_is_taken(
    lmstudio: CannedServer, twin: Twin
) -> None:
    lmstudio.routes["GET /api/v1/models"] = models(ONE_COPY)
    server = LmStudioServer(lmstudio.url)

    assert twin.call(server, "load_model", "qwen/qwen3-4b", LoadOptions(context_length=8192)).was_loaded
    assert asked(lmstudio, LOAD) == []
    assert not twin.call(server, "load_model", "qwen/qwen3-4b", LoadOptions(context_length=2048)).was_loaded
    assert len(asked(lmstudio, LOAD)) == 1


def test_what_is_loaded_is_told_as_far_as_lm_studio_tells_it(lmstudio: CannedServer, twin: Twin) -> None:
    lmstudio.routes["GET /api/v1/models"] = models(ONE_COPY, {"id": "mine", "config": {"context_length": 4096}})
    first, mine = twin.call(LmStudioServer(lmstudio.url), "list_loaded")

    assert (first.id, first.context_length, first.parallel) == ("qwen/qwen3-4b", 8192, 4)
    assert (mine.id, mine.key, mine.status, mine.running) == ("mine", "qwen/qwen3-4b", "loaded", None)


def test_a_download_is_polled_until_its_end(lmstudio: CannedServer, twin: Twin) -> None:
    job = {"job_id": "job_493c7c9ded", "total_size_bytes": 1000, "started_at": "2026-01-15T12:00:00.000Z"}
    replies = [
        {**job, "status": "downloading", "downloaded_bytes": 500, "bytes_per_second": 100},
        {**job, "status": "completed", "downloaded_bytes": 1000, "completed_at": "2026-01-15T12:00:10.000Z"},
    ]
    lmstudio.routes |= {
        DOWNLOAD: Reply.json({**job, "status": "downloading"}),
        STATUS: lambda _: Reply.json(replies.pop(0)),
    }
    seen: list[roci.DownloadStatus] = []
    done = twin.call(
        LmStudioServer(lmstudio.url), "download_model", "ibm/granite-4-micro", on_progress=seen.append, poll_s=0.05
    )

    assert (done.status, done.done_bytes, done.model) == ("completed", 1000, "ibm/granite-4-micro")
    assert [status.time_left_s for status in seen] == [None, 5.0, None]


def test_a_model_that_is_there_has_no_job(lmstudio: CannedServer, twin: Twin) -> None:
    lmstudio.routes[DOWNLOAD] = Reply.json({"status": "already_downloaded"})

    assert twin.call(LmStudioServer(lmstudio.url), "download_model", "a/b").status == "already_downloaded"


def test_a_failed_or_paused_download_is_an_error(lmstudio: CannedServer, twin: Twin) -> None:
    for status in ("failed", "paused"):
        lmstudio.routes[DOWNLOAD] = Reply.json({"job_id": "job_493c7c9ded", "status": status, "downloaded_bytes": 7})
        with pytest.raises(roci.DownloadError) as caught:
            twin.call(LmStudioServer(lmstudio.url), "download_model", "a/b")
        assert caught.value.done_bytes == 7


@pytest.mark.parametrize(
    ("method", "arguments", "capability"),
    [
        ("delete_model", ("m",), "delete_model"),
        ("cancel_download", ("job_1",), "cancel_download"),
        ("download_model", ("a/b", None), "force"),
    ],
)
def test_what_lm_studio_cannot_do_is_unsupported_by_name(
    lmstudio: CannedServer, twin: Twin, method: str, arguments: tuple[Any, ...], capability: str
) -> None:
    more = {"force": True} if capability == "force" else {}
    with pytest.raises(roci.UnsupportedError) as caught:
        twin.call(LmStudioServer(lmstudio.url), method, *arguments, **more)

    assert caught.value.capability == capability


def test_a_server_without_these_routes_cannot_be_managed(twin: Twin) -> None:
    page = Reply.json({"error": "Unexpected endpoint or method. (GET /api/v1/models)"})
    with canned_server({"GET /api/v1/models": page}) as server, pytest.raises(roci.UnsupportedError) as caught:
        twin.call(LmStudioServer(server.url), "load_model", "m")

    assert caught.value.capability == "list_loaded"


def test_status_said_stopped_while_it_served_so_the_port_is_asked(lmstudio: CannedServer, twin: Twin) -> None:
    """Users' complaint 36."""
    lmstudio.routes["GET /api/v1/models"] = models(ONE_COPY)
    status = twin.call(LmStudioServer(lmstudio.url), "server_status")

    assert (status.state, status.kind, status.model_count) == ("running", "lmstudio", 1)
    assert [copy.id for copy in status.loaded] == ["qwen/qwen3-4b"]


def test_clients_concluded_that_a_server_which_wants_a_token_is_down(lmstudio: CannedServer, twin: Twin) -> None:
    """Users' complaint 42."""
    lmstudio.routes |= {
        "GET /api/v1/models": lambda request: models() if "authorization" in request.headers else NEEDS_TOKEN
    }
    status = twin.call(LmStudioServer(lmstudio.url), "server_status")
    assert (status.state, status.is_alive) == ("token_needed", True)
    assert "token" in status.detail

    assert twin.call(LmStudioServer(lmstudio.url, token="sk-lm-x"), "server_status").state == "running"
    assert all("authorization" in request.headers for request in lmstudio.requests[-4:])


def test_another_program_on_the_port_is_not_taken_for_a_server(twin: Twin) -> None:
    page = Reply.text("<html>Welcome</html>")
    paths = ("lmstudio-greeting", "health", "api/v1/models", "api/v0/models", "v1/models")
    with canned_server({f"GET /{path}": page for path in paths}) as server:
        assert twin.call(LmStudioServer(server.url), "server_status").state == "not_a_model_server"


def test_a_server_that_goes_in_the_middle_of_a_download_or_load_is_told(twin: Twin) -> None:
    job = Reply.json({"job_id": "job_493c7c9ded", "status": "downloading", "total_size_bytes": 1000})
    cut = Reply(200, {"content-type": "application/json"}, [b'{"job_id"'], cut=True)
    with canned_server({DOWNLOAD: job, STATUS: cut, "GET /api/v1/models": models(), LOAD: cut}) as server:
        patient = LmStudioServer(server.url, retries=roci.RetryPolicy(max_retries=0))
        with pytest.raises(roci.ConnectionLostError):
            twin.call(patient, "download_model", "a/b", poll_s=0.05)
        with pytest.raises(roci.ConnectionLostError):
            twin.call(patient, "load_model", "qwen/qwen3-4b")


def test_a_streamed_load_that_breaks_off_is_no_success(twin: Twin) -> None:
    health = Reply.json({"status": "ok", "version": "0.1.0", "models": [], "queue_length": 0, "can_load": True})
    start = {"type": "model_load.start", "model_instance_id": "m"}
    routes: dict[str, Answer] = {"GET /health": health, "GET /api/v1/models": models()}
    with canned_server(routes | {LOAD: Reply.events(start, done=False)}) as server:
        seen: list[roci.LoadProgress] = []
        with pytest.raises(roci.ConnectionLostError, match="before m was loaded"):
            twin.call(LmStudioServer(server.url), "load_model", "m", on_progress=seen.append)

    assert [(progress.instance_id, progress.ratio) for progress in seen] == [("m", 0.0)]
