"""Downloads against a hub that is made to misbehave."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from roci.engine.hub.fetching import remove_parts
from roci.engine.hub.part_file import PartFile
from roci.engine.hub.progress import Throttle
from roci.errors import (
    AccessDeniedError,
    BadModelFileError,
    CorruptDownloadError,
    DiskFullError,
    DownloadError,
    ModelNotFoundError,
    ServerBusyError,
    ServerUnreachableError,
)
from tests.engine.hub.conftest import FILE, MODEL, REPO, Downloader
from tests.support.command_line import refused_url
from tests.support.fake_hub import Body, Cut, FakeHub, Stall, Status, WrongRange, fake_hub
from tests.support.tiny_gguf import gguf_bytes

THERE = f"models/maker/Tiny-GGUF/{FILE}"
PATIENCE_S = 60.0


def ranges(hub: FakeHub) -> list[str | None]:
    return [seen.headers.get("range") for seen in hub.file_requests()]


def test_a_model_lands_where_models_are_looked_for(downloader: Downloader) -> None:
    path = downloader.get()

    assert path == downloader.home / THERE
    assert path.read_bytes() == MODEL
    assert downloader.files() == [THERE]
    assert downloader.seen[-1].stage == "done"
    assert downloader.seen[-1].done_bytes == downloader.seen[-1].total_bytes == len(MODEL)


def test_what_is_there_is_not_fetched_again(downloader: Downloader, hub: FakeHub) -> None:
    downloader.get()
    assert downloader.plan().is_there
    downloader.get()

    assert len(hub.file_requests()) == 1


def test_a_cut_connection_goes_on_from_where_it_was_cut(downloader: Downloader, hub: FakeHub) -> None:
    hub.faults += [Cut(100_000), Cut(50_000)]

    assert downloader.get().read_bytes() == MODEL
    assert ranges(hub) == [None, "bytes=100000-", "bytes=150000-"]
    assert any(seen.stage == "retrying" and "again in" in seen.note for seen in downloader.seen)


def test_a_line_that_stands_still_is_given_up_and_asked_again(downloader: Downloader, hub: FakeHub) -> None:
    hub.faults += [Stall(100_000)]

    assert downloader.get().read_bytes() == MODEL
    assert ranges(hub) == [None, "bytes=100000-"]


def test_what_came_in_an_earlier_run_is_read_again_and_continued(
    downloader: Downloader, hub: FakeHub, part: Callable[[bytes], Path]
) -> None:
    part(MODEL[:200_000])

    assert downloader.get().read_bytes() == MODEL
    assert ranges(hub) == ["bytes=200000-"]
    assert downloader.seen[0].stage == "checking"
    assert downloader.files() == [THERE]


def test_a_part_that_is_whole_needs_no_request(
    downloader: Downloader, hub: FakeHub, part: Callable[[bytes], Path]
) -> None:
    part(MODEL)

    assert downloader.get().read_bytes() == MODEL
    assert hub.file_requests() == []


@pytest.mark.parametrize("old", [b"y" * 1000, b"y" * len(MODEL), MODEL + b"more"], ids=["begun", "whole", "longer"])
def test_a_part_of_another_file_is_thrown_away_and_fetched_anew(
    downloader: Downloader, part: Callable[[bytes], Path], old: bytes
) -> None:
    part(old)

    assert downloader.get().read_bytes() == MODEL


def test_a_server_that_ignores_the_range_is_read_from_the_start(
    downloader: Downloader, hub: FakeHub, part: Callable[[bytes], Path]
) -> None:
    hub.heeds_range = False
    part(MODEL[:200_000])

    assert downloader.get().read_bytes() == MODEL


def test_a_range_that_begins_elsewhere_is_not_taken(
    downloader: Downloader, hub: FakeHub, part: Callable[[bytes], Path]
) -> None:
    hub.faults.append(WrongRange())
    part(MODEL[:200_000])

    assert downloader.get().read_bytes() == MODEL
    assert ranges(hub) == ["bytes=200000-", None]


def test_a_wrong_hash_removes_what_came(downloader: Downloader, hub: FakeHub) -> None:
    hub.add(REPO, {FILE: MODEL}, hashes={FILE: "0" * 64})

    with pytest.raises(CorruptDownloadError) as caught:
        downloader.get()
    assert caught.value.expected == "0" * 64
    assert downloader.files() == []


@pytest.mark.parametrize("announced", [len(MODEL) - 10, len(MODEL) + 10])
def test_a_wrong_size_is_an_error_that_names_both(downloader: Downloader, hub: FakeHub, announced: int) -> None:
    hub.add(REPO, {FILE: MODEL}, sizes={FILE: announced})

    with pytest.raises(CorruptDownloadError, match=f"should have {announced:,} bytes"):
        downloader.get()
    assert downloader.files() == []


@pytest.mark.parametrize("announced", [len(MODEL) - 10, len(MODEL) + 10])
def test_a_wrong_size_is_noticed_where_the_reply_announces_none(
    downloader: Downloader, hub: FakeHub, announced: int
) -> None:
    hub.announces_size = False
    hub.add(REPO, {FILE: MODEL}, sizes={FILE: announced})

    with pytest.raises(DownloadError):
        downloader.get()
    assert THERE not in downloader.files()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(downloader: Downloader, hub: FakeHub, status: int) -> None:
    hub.faults += [Status(status, {"Retry-After": "300"})] * 2  # the wait is capped, by QUICK

    assert downloader.get().read_bytes() == MODEL
    assert len(hub.file_requests()) == 3


def test_a_server_that_stays_busy_is_given_up(downloader: Downloader, hub: FakeHub) -> None:
    hub.faults += [Status(429, {"Retry-After": "7"})] * 9

    with pytest.raises(ServerBusyError) as caught:
        downloader.get()
    assert caught.value.retry_after_s == 7
    assert len(hub.file_requests()) == 4
    assert not (downloader.home / "models" / "maker").exists()


def test_a_line_that_stays_bad_keeps_what_has_come_and_says_so(downloader: Downloader, hub: FakeHub) -> None:
    hub.faults += [Cut(100_000), *[Cut(0)] * 9]

    with pytest.raises(DownloadError) as caught:
        downloader.get()
    assert (caught.value.done_bytes, caught.value.total_bytes) == (100_000, len(MODEL))
    assert "kept" in caught.value.hint
    assert downloader.files() == [f"{THERE}.part"]


def test_a_gated_model_names_its_page_and_the_token(downloader: Downloader, hub: FakeHub) -> None:
    hub.gated.add(REPO)

    with pytest.raises(AccessDeniedError) as caught:
        downloader.get()
    assert f"{hub.url}/{REPO}" in caught.value.hint
    assert "HF_TOKEN" in caught.value.hint


def test_a_refused_token_is_told_apart_from_a_missing_one(downloader: Downloader, hub: FakeHub) -> None:
    hub.token = "good"
    with pytest.raises(AccessDeniedError, match="wants a token"):
        downloader.plan()
    downloader.token = "bad"
    with pytest.raises(AccessDeniedError, match="does not take the token"):
        downloader.plan()
    downloader.token = "good"
    assert downloader.get().read_bytes() == MODEL


def test_an_unknown_repository_names_the_nearest(downloader: Downloader) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        downloader.plan("other/Tiny-GGUF")
    assert caught.value.similar == (REPO,)
    assert f"Did you mean {REPO}?" in caught.value.hint


def test_the_token_stays_behind_when_a_redirect_leads_to_another_server(downloader: Downloader, hub: FakeHub) -> None:
    downloader.token = hub.token = "secret"
    with fake_hub() as cdn:
        cdn.add(REPO, {FILE: MODEL})
        hub.redirect_to = cdn.url + "/{path}?signature=s"

        assert downloader.get().read_bytes() == MODEL
        assert [seen.headers.get("authorization") for seen in hub.requests] == ["Bearer secret"] * 2
        assert [seen.headers.get("authorization") for seen in cdn.requests] == [None]
        assert cdn.requests[0].query == {"signature": ["s"]}


def test_a_resumed_download_asks_for_the_range_behind_the_redirect_too(
    downloader: Downloader, hub: FakeHub, part: Callable[[bytes], Path]
) -> None:
    part(MODEL[:1000])
    with fake_hub() as cdn:
        cdn.add(REPO, {FILE: MODEL})
        hub.redirect_to = cdn.url + "/{path}"

        assert downloader.get().read_bytes() == MODEL
        assert ranges(cdn) == ["bytes=1000-"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://u:p@127.0.0.1/x", "data:,x"])
def test_a_redirect_that_leaves_the_web_is_refused(downloader: Downloader, hub: FakeHub, location: str) -> None:
    hub.redirect_to = location

    with pytest.raises(DownloadError, match="redirects to"):
        downloader.get()


def test_redirects_in_a_circle_end(downloader: Downloader, hub: FakeHub) -> None:
    hub.redirect_to = hub.url + "/{path}"

    with pytest.raises(DownloadError, match="more than 10 times"):
        downloader.get()


def test_a_body_that_is_compressed_is_refused(downloader: Downloader, hub: FakeHub) -> None:
    hub.faults.append(Body(b"zipped", {"Content-Encoding": "gzip"}))

    with pytest.raises(DownloadError, match="compresses"):
        downloader.get()


def test_a_server_that_is_not_there_says_what_to_check(tmp_path: Path, hub: FakeHub) -> None:
    with refused_url() as url:
        hub.url = url
        with pytest.raises(ServerUnreachableError) as caught:
            Downloader(hub, tmp_path).plan()
    assert "HTTPS_PROXY" in caught.value.hint


def test_too_little_disk_is_noticed_before_anything_is_fetched(downloader: Downloader, hub: FakeHub) -> None:
    with pytest.raises(DiskFullError) as caught:
        downloader.get(free_bytes=lambda _: 1000)
    assert (caught.value.needed_bytes, caught.value.free_bytes) == (len(MODEL), 1000)
    assert hub.file_requests() == []


def test_what_is_there_already_needs_no_room(downloader: Downloader, part: Callable[[bytes], Path]) -> None:
    part(MODEL[: len(MODEL) - 1000])

    assert downloader.get(free_bytes=lambda _: 1000).read_bytes() == MODEL


def test_a_disk_that_fills_up_keeps_the_part_and_says_what_is_missing(downloader: Downloader, hub: FakeHub) -> None:
    script = f"""if 1:
        import resource, sys
        from pathlib import Path
        from tests.engine.hub.conftest import Downloader
        from types import SimpleNamespace
        from roci.errors import DiskFullError
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            Downloader(SimpleNamespace(url={hub.url!r}), Path({str(downloader.home)!r})).get()
        except DiskFullError as error:
            print(error.done_bytes, error.needed_bytes)
    """
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )

    assert done.stdout.split() == ["200000", str(len(MODEL) - 200_000)], done.stderr
    assert (downloader.home / f"{THERE}.part").stat().st_size == 200_000
    assert downloader.get().read_bytes() == MODEL
    assert ranges(hub)[-1] == "bytes=200000-"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000


def test_a_home_that_cannot_be_written_to_is_told(downloader: Downloader) -> None:
    downloader.home.parent.mkdir(exist_ok=True)
    downloader.home.write_text("a file where a folder is due")

    with pytest.raises(DownloadError, match="cannot be written to"):
        downloader.get()


def test_cancelling_keeps_what_has_come_for_the_next_time(downloader: Downloader, hub: FakeHub) -> None:
    hub.faults.append(Stall(100_000))

    async def cancelled() -> None:
        task = asyncio.create_task(downloader.fetched())
        assert await asyncio.to_thread(hub.asked_for_file.wait, PATIENCE_S)
        part = downloader.home / f"{THERE}.part"
        while not part.exists() or part.stat().st_size < 100_000:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert downloader.files() == [f"{THERE}.part"]

    remove_parts([downloader.home / THERE])
    assert downloader.files() == []
    assert not (downloader.home / "models" / "maker").exists()


def test_a_second_program_waits_for_the_first(downloader: Downloader, hub: FakeHub) -> None:
    held = PartFile.open(downloader.home / THERE)
    assert held is not None

    def finish_elsewhere(progress: object) -> None:
        if progress.stage == "waiting" and held.size_bytes == 0:  # type: ignore[attr-defined]
            held.append(MODEL)
            held.publish()
            held.close()

    assert downloader.get(on_progress=finish_elsewhere).read_bytes() == MODEL
    assert hub.file_requests() == []


def test_a_model_in_parts_appears_when_all_of_it_is_there(downloader: Downloader, hub: FakeHub) -> None:
    names = [f"Q4_K_M/Big-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    hub.add("maker/Big", {**dict.fromkeys(names, MODEL), "mmproj-F16.gguf": MODEL, "mmproj-BF16.gguf": MODEL})
    hub.faults += [Cut(len(MODEL))] * 2 + [Status(404)]
    with pytest.raises(ModelNotFoundError):
        downloader.get("maker/Big")
    assert downloader.files() == [f"models/maker/Big/{name[7:]}.part" for name in names[:2]]

    downloader.get("maker/Big")
    assert downloader.files() == [
        *(f"models/maker/Big/{name[7:]}" for name in names),
        "models/maker/Big/mmproj-F16.gguf",
    ]
    assert downloader.seen[-1].done_bytes == 4 * len(MODEL)


def test_a_speed_limit_is_kept_by_waiting(downloader: Downloader) -> None:
    downloader.get(throttle=Throttle(2_000_000))

    speeds = [seen.bytes_per_second for seen in downloader.seen if seen.bytes_per_second]
    assert speeds
    assert max(speeds) < 4_000_000


# ---- plain links


def test_a_plain_link_is_fetched_under_its_hosts_name(downloader: Downloader, hub: FakeHub) -> None:
    with fake_hub() as elsewhere:
        elsewhere.add("some/where", {"Small-Q8_0.gguf": MODEL})
        downloader.token = "secret"
        path = downloader.get(elsewhere.file_url("some/where", "Small-Q8_0.gguf") + "?download=true")

        assert path == downloader.home / "models" / "127.0.0.1" / "Small-Q8_0" / "Small-Q8_0.gguf"
        assert path.read_bytes() == MODEL
        assert "authorization" not in elsewhere.requests[0].headers


def test_a_plain_link_is_resumed_only_while_its_file_stays_the_same(downloader: Downloader, hub: FakeHub) -> None:
    other = gguf_bytes({"general.architecture": "llama", "general.name": "y" * 300_000})
    with fake_hub() as elsewhere:
        elsewhere.add("some/where", {"m.gguf": MODEL})
        elsewhere.faults.append(Cut(100_000))

        def change(progress: object) -> None:
            if progress.stage == "retrying":  # type: ignore[attr-defined]
                elsewhere.add("some/where", {"m.gguf": other})

        assert downloader.get(elsewhere.file_url("some/where", "m.gguf"), on_progress=change).read_bytes() == other


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"", MODEL[: len(MODEL) // 2]])
def test_a_plain_link_that_brings_no_model_leaves_nothing(downloader: Downloader, page: bytes) -> None:
    with fake_hub() as elsewhere:
        elsewhere.add("some/where", {"m.gguf": page})
        with pytest.raises(BadModelFileError):
            downloader.get(elsewhere.file_url("some/where", "m.gguf"))
    assert downloader.files() == []


def test_a_plain_link_that_says_no_size_is_read_to_its_end(downloader: Downloader) -> None:
    with fake_hub() as elsewhere:
        elsewhere.add("some/where", {"m.gguf": MODEL})
        elsewhere.announces_size = False
        assert downloader.get(elsewhere.file_url("some/where", "m.gguf")).read_bytes() == MODEL


def test_a_part_that_is_a_link_is_not_followed(downloader: Downloader, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part = downloader.home / f"{THERE}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to(victim)

    with pytest.raises(DownloadError):
        downloader.get()
    assert victim.read_text() == "precious"
