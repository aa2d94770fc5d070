"""Managing models on a real `roci serve`, whose workers have no engine and whose hub is told how to behave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import roci
from roci import LmStudioServer, LoadOptions
from tests.support.command_line import refused_url
from tests.support.fake_hub import Cut, FakeHub, Stall, fake_hub
from tests.support.serve import Served, serve
from tests.support.tiny_gguf import gguf_bytes, write_tiny_gguf
from tests.support.twins import Twin
from tests.support.workers import FAKE_WORKER

FILE = "Tiny-Q4_K_M.gguf"
MODEL = gguf_bytes({"general.architecture": "llama", "general.name": "x" * 300_000})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    for key in ("first", "second", "fail-model", "slowload-model", "passing"):
        write_tiny_gguf(folder / "models" / "tests" / key / f"{key}.gguf")
    return folder


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home / "user"))
        with serve(home, worker_command=FAKE_WORKER, parallel=2, max_loaded=4) as running:
            yield running


@pytest.fixture
def server(served: Served) -> Iterator[LmStudioServer]:
    with LmStudioServer(served.url) as one:
        yield one
        one.unload_all()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_TOKEN_PATH", "/nonexistent")
        yield running


def add(hub: FakeHub, name: str) -> str:
    repo = f"maker-{name}/Tiny-GGUF"
    hub.add(repo, {FILE: MODEL}, downloads=7, pipeline_tag="text-generation")
    return repo


def test_a_load_tells_its_progress_and_what_was_loaded(server: LmStudioServer, twin: Twin) -> None:
    seen: list[roci.LoadProgress] = []
    options = LoadOptions(context_length=512, identifier="mine", ttl_s=600, parallel=2)
    copy = twin.call(server, "load_model", "first", options, on_progress=seen.append)

    assert (copy.id, copy.key, copy.was_loaded) == ("mine", "first", False)
    assert copy.context_length
    assert copy.load_time_s is not None
    assert seen[-1].ratio == 1.0
    assert {progress.instance_id for progress in seen} == {"mine"}
    (listed,) = twin.call(server, "list_loaded")
    assert (listed.id, listed.key, listed.status, listed.ttl_s) == ("mine", "first", "idle", 600)
    assert (listed.parallel, listed.running, listed.queued) == (2, 0, 0)


def test_a_second_load_makes_no_second_copy(server: LmStudioServer, twin: Twin) -> None:
    first = twin.call(server, "load_model", "first")
    again = twin.call(server, "load_model", "FIRST")
    assert (again.id, again.was_loaded) == (first.id, True)
    assert len(server.list_loaded()) == 1

    other = twin.call(server, "load_model", "first", if_loaded="another")
    assert other.id == "first:2"
    with pytest.raises(roci.UsageError, match="loaded as first, first:2"):
        twin.call(server, "load_model", "first", if_loaded="error")


def test_a_copy_with_other_options_is_not_taken_for_the_one_that_was_asked_for(server: LmStudioServer) -> None:
    server.load_model("first", LoadOptions(eval_batch_size=256))

    assert server.load_model("first", LoadOptions(eval_batch_size=256)).was_loaded
    assert not server.load_model("first", LoadOptions(eval_batch_size=128)).was_loaded


def test_unloading_by_id_by_key_and_all(server: LmStudioServer, twin: Twin) -> None:
    for identifier in ("one", "two"):
        server.load_model("first", LoadOptions(identifier=identifier), if_loaded="another")
    server.load_model("second")

    assert twin.call(server, "unload_model", "one") == ("one",)
    assert twin.call(server, "unload_model", "first") == ("two",)
    assert twin.call(server, "unload_all") == ("second",)
    assert server.list_loaded() == []


def test_unloading_what_is_not_loaded_names_what_is(server: LmStudioServer, twin: Twin) -> None:
    server.load_model("second")
    with pytest.raises(roci.ModelNotFoundError) as caught:
        twin.call(server, "unload_model", "secnd")

    assert (caught.value.similar, caught.value.available) == (("second",), ("second",))


def test_an_unknown_model_is_told_with_the_nearest_names(server: LmStudioServer, twin: Twin) -> None:
    with pytest.raises(roci.ModelNotFoundError) as caught:
        twin.call(server, "load_model", "frst")

    assert caught.value.key == "frst"
    assert "first" in caught.value.similar


@pytest.mark.parametrize("on_progress", [None, lambda _: None], ids=["whole", "streamed"])
def test_a_model_that_cannot_be_loaded_says_why(server: LmStudioServer, twin: Twin, on_progress: Any) -> None:
    with pytest.raises(roci.LoadFailedError) as caught:
        twin.call(server, "load_model", "fail-model", on_progress=on_progress)

    assert caught.value.key == "fail-model"


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        (LoadOptions(parallel=0), "options.parallel", ">= 1"),
        (LoadOptions(ttl_s=-1), "options.ttl_s", "> 0"),
        (LoadOptions(kv_cache_type="q9"), "options.kv_cache_type", "it takes f16, f32"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_sent(
    twin: Twin, options: LoadOptions, field: str, words: str
) -> None:
    with refused_url() as url, pytest.raises(roci.UsageError, match=words) as caught:
        twin.call(LmStudioServer(url), "load_model", "first", options)

    assert caught.value.field == field


def test_a_provider_manages_too_and_a_local_one_says_that_it_does_not(served: Served, twin: Twin) -> None:
    with roci.LmStudioProvider("first", served.url) as provider:
        assert twin.call(provider, "load_model", "first").id == "first"
        assert twin.call(provider, "unload_all") == ("first",)
    with pytest.raises(roci.UnsupportedError) as caught:
        twin.call(roci.OpenAICompatibleProvider("m", "http://127.0.0.1:9/v1"), "load_model", "m")
    assert caught.value.capability == "load_model"


def test_status_tells_what_is_loaded(server: LmStudioServer, twin: Twin) -> None:
    server.load_model("first")
    status = twin.call(server, "server_status")

    assert (status.state, status.kind, status.is_alive) == ("running", "roci", True)
    assert status.version
    assert [copy.id for copy in status.loaded] == ["first"]
    assert status.model_count
    assert status.model_count >= 4
    assert (status.queue_length, status.can_load) == (0, True)


def test_a_deleted_model_is_gone_and_a_loaded_one_is_refused(server: LmStudioServer, home: Path, twin: Twin) -> None:
    write_tiny_gguf(home / "models" / "tests" / "passing" / "passing.gguf")
    server.load_model("passing")
    with pytest.raises(roci.BadRequestError) as caught:
        twin.call(server, "delete_model", "passing")
    assert caught.value.code == "model_loaded"
    server.unload_model("passing")

    assert twin.call(server, "delete_model", "passing") > 0
    assert "passing" not in [model.key for model in server.list_models()]
    with pytest.raises(roci.ModelNotFoundError):
        twin.call(server, "delete_model", "passing")


def test_a_download_tells_bytes_and_ends_complete_although_it_was_cut(
    server: LmStudioServer, hub: FakeHub, twin: Twin
) -> None:
    repo = add(hub, f"cut-{twin.name}")
    hub.faults.append(Cut(100_000))
    seen: list[roci.DownloadStatus] = []
    done = twin.call(server, "download_model", repo, on_progress=seen.append, poll_s=0.05)

    assert (done.status, done.done_bytes, done.total_bytes) == ("completed", len(MODEL), len(MODEL))
    assert seen[0].status == "downloading"
    assert seen[-1] == done
    assert any(request.headers.get("range") == "bytes=100000-" for request in hub.file_requests())
    assert twin.call(server, "download_model", repo).status == "already_downloaded"


def test_leaving_a_download_leaves_it_to_the_server_or_ends_it(
    server: LmStudioServer, hub: FakeHub, twin: Twin
) -> None:
    repo = add(hub, f"left-{twin.name}")
    jobs: list[str] = []

    def leave(status: roci.DownloadStatus) -> None:
        jobs.append(status.job_id)
        raise KeyboardInterrupt

    hub.faults.append(Stall(100_000))
    for if_interrupted in ("leave", "cancel"):
        with pytest.raises(KeyboardInterrupt):
            twin.call(server, "download_model", repo, on_progress=leave, if_interrupted=if_interrupted)
    assert jobs[0] == jobs[1]
    with pytest.raises(roci.ReplyError) as caught:
        twin.call(server, "cancel_download", jobs[0])
    assert caught.value.code == "job_not_found"


def test_a_cancelled_task_ends_the_download_where_that_is_wanted(server: LmStudioServer, hub: FakeHub) -> None:
    repo = add(hub, "cancelled")
    hub.faults.append(Stall(100_000))

    async def run() -> str:
        seen: asyncio.Queue[roci.DownloadStatus] = asyncio.Queue()
        async with asyncio.timeout(60):
            task = asyncio.create_task(
                server.adownload_model(repo, on_progress=seen.put_nowait, if_interrupted="cancel", poll_s=0.05)
            )
            job_id = (await seen.get()).job_id
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await server.aclose()
        return job_id

    job_id = asyncio.run(run())
    with pytest.raises(roci.ReplyError) as caught:
        server.cancel_download(job_id)
    assert caught.value.code == "job_not_found"


def test_an_unknown_download_is_told_as_such(server: LmStudioServer, hub: FakeHub, twin: Twin) -> None:
    with pytest.raises(roci.ModelNotFoundError):
        twin.call(server, "download_model", "nobody/Nothing-GGUF")


def test_a_full_disk_is_said_before_anything_comes(
    server: LmStudioServer, hub: FakeHub, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = add(hub, f"full-{twin.name}")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(roci.DiskFullError) as caught:
        twin.call(server, "download_model", repo, poll_s=0.05)

    assert caught.value.free_bytes == 1000
    assert caught.value.needed_bytes >= len(MODEL)
    assert hub.file_requests() == []


def test_a_server_that_is_gone_is_a_state_for_status_and_an_error_for_all_else(twin: Twin) -> None:
    with refused_url() as url:
        server = LmStudioServer(url)
        status = twin.call(server, "server_status")
        assert (status.state, status.is_alive) == ("unreachable", False)
        for method, arguments in (("list_loaded", ()), ("load_model", ("m",)), ("download_model", ("a/b",))):
            with pytest.raises(roci.ServerUnreachableError):
                twin.call(server, method, *arguments)
