"""One child process, from start to stop, with a fake in the worker's place."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roci.engine.socket_folder import SocketFolder
from roci.engine.worker_process import WorkerOptions, WorkerProcess
from roci.errors import BadModelFileError, LoadFailedError, NotEnoughMemoryError, UsageError, WorkerDiedError
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import FAKE_WORKER, PATIENCE_S, ask_chat, fake_log, is_running, wait_until

Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts fake workers that are stopped when the test is over; the file's name chooses the behaviour."""
    started: list[WorkerProcess] = []

    def start_fake(name: str = "tiny", options: WorkerOptions | None = None, **more: object) -> WorkerProcess:
        path = write_tiny_gguf(tmp_path / f"{name}.gguf")
        more = {"command": FAKE_WORKER} | more
        started.append(WorkerProcess.start(name, path, options or WorkerOptions(), **more))  # type: ignore[arg-type]
        return started[-1]

    yield start_fake
    for worker in started:
        worker.stop()


def test_a_worker_says_when_it_can_answer_and_answers(start: Start):
    worker = start(options=WorkerOptions(context_length=512, parallel=3, threads=2))
    ready = worker.ready.result(PATIENCE_S)
    assert (ready.context_length, ready.parallel, ready.threads) == (512, 3, 2)
    assert ready.pid == worker.pid
    assert ask_chat(ready.socket_path, "hello")[0] == 200


def test_the_options_reach_the_worker_as_flags(start: Start):
    options = WorkerOptions(context_length=512, parallel=3, threads=2, n_batch=64, n_gpu_layers=5)
    worker = start(options=options)
    worker.ready.result(PATIENCE_S)
    flags = fake_log(worker.path)[0]["flags"]
    assert {"context": "512", "parallel": "3", "threads": "2", "batch": "64"}.items() <= flags.items()
    assert (flags["gpu_layers"], flags["alias"], flags["embedding"]) == ("5", "tiny", "False")
    assert flags["parent"] == str(os.getpid())


def test_every_load_option_reaches_the_worker_as_a_flag(start: Start, tmp_path: Path):
    draft = write_tiny_gguf(tmp_path / "draft.gguf")
    projector = write_tiny_gguf(tmp_path / "eyes.gguf", architecture="clip")
    options = WorkerOptions(
        use_mlock=True,
        use_mmap=False,
        flash_attention=True,
        kv_cache_type="q8_0",
        offload_kv_cache_to_gpu=False,
        rope_frequency_base=5000.0,
        rope_frequency_scale=0.5,
        draft_model=str(draft),
        speculation="ngram",
        seed=7,
        chat_template="{{ messages }}",
        mmproj=str(projector),
        force_embedding=True,
    )
    worker = start(options=options)
    folder = worker.ready.result(PATIENCE_S).socket_path.parent
    flags = fake_log(worker.path)[0]["flags"]
    expected = {"mmap": "off", "flash_attention": "on", "kv_type": "q8_0", "rope_base": "5000.0", "rope_scale": "0.5"}
    expected |= {"draft": str(draft), "projector": str(projector), "seed": "7", "pooling": "mean"}
    expected |= dict.fromkeys(("mlock", "kv_in_ram", "ngram", "embedding"), "True")
    assert expected.items() <= flags.items()
    assert flags["chat_template"] == str(folder / "chat-template.jinja")
    assert Path(flags["chat_template"]).read_text() == "{{ messages }}"
    assert worker.plan.files_bytes == sum(path.stat().st_size for path in (worker.path, draft, projector))


def test_options_that_nobody_chose_are_left_to_the_worker(start: Start):
    worker = start(options=WorkerOptions(seed=-1))
    worker.ready.result(PATIENCE_S)
    flags = fake_log(worker.path)[0]["flags"]
    unset = (
        "mmap",
        "flash_attention",
        "kv_type",
        "rope_base",
        "draft",
        "seed",
        "chat_template",
        "projector",
        "pooling",
    )
    assert {flags[name] for name in unset} == {"None"}


@pytest.mark.parametrize("kind", [1, 4])
def test_a_model_made_for_vectors_is_loaded_for_them_in_its_own_way(tmp_path: Path, kind: int):
    path = write_tiny_gguf(tmp_path / "v.gguf", architecture="bert", more={"bert.pooling_type": kind})
    worker = WorkerProcess.start("v", path, command=FAKE_WORKER)
    try:
        ready = worker.ready.result(PATIENCE_S)
        assert (ready.is_embedding, ready.pooling) == (True, {1: "mean", 4: "rank"}[kind])
    finally:
        worker.stop()


def test_the_projector_beside_a_model_is_taken_the_one_of_16_bits_first(start: Start, tmp_path: Path):
    for name in ("mmproj-tiny-q8_0", "mmproj-tiny-f16", "mmproj-tiny-f32"):
        write_tiny_gguf(tmp_path / f"{name}.gguf", architecture="clip")
    assert start().plan.projector == tmp_path / "mmproj-tiny-f16.gguf"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (WorkerOptions(num_experts=2), "num_experts"),
        (WorkerOptions(kv_cache_type="q8_0", flash_attention=False), "kv_cache_type"),
        (WorkerOptions(parallel=0), "parallel"),
        (WorkerOptions(rope_frequency_scale=0.0), "rope_frequency_scale"),
        (WorkerOptions(seed=2**32), "seed"),
        (WorkerOptions(chat_template=""), "chat_template"),
    ],
)
def test_options_that_could_not_hold_start_nothing(start: Start, options: WorkerOptions, field: str):
    with pytest.raises(UsageError) as caught:
        start(options=options, command=("/nonexistent",))
    assert caught.value.field == field


def test_a_load_is_watched_until_it_is_over_and_a_broken_listener_does_not_matter(start: Start):
    ratios: list[float] = []
    worker = start("slowload", on_progress=ratios.append)
    worker.ready.result(PATIENCE_S)
    seen = list(ratios)
    assert len(seen) > 1
    assert seen == sorted(set(seen))
    assert 0 < seen[0] < seen[-1] < 1

    def break_down(_: float) -> None:
        raise RuntimeError("broken listener")

    assert start("slowload", on_progress=break_down).ready.result(PATIENCE_S)
    assert ratios == seen


def test_memory_that_is_promised_to_others_is_not_free(start: Start):
    with pytest.raises(NotEnoughMemoryError):
        start(claimed_bytes=2**60)


def test_the_context_is_clamped_to_the_models_limit(start: Start):
    assert start(options=WorkerOptions(context_length=10**6)).memory.context_length == 2048


def test_its_socket_lies_in_a_private_folder_that_goes_with_it(start: Start):
    worker = start()
    folder = worker.ready.result(PATIENCE_S).socket_path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    worker.stop()
    assert not folder.exists()


def test_stopping_ends_the_process_and_is_fine_twice_and_from_many_threads(start: Start):
    worker = start()
    worker.ready.result(PATIENCE_S)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: worker.stop(), range(8)))
    assert worker.exited.result(0) == -signal.SIGKILL
    assert not is_running(worker.pid)
    assert "was stopped" in worker.death().message


def test_stopping_a_worker_that_still_loads_fails_its_readiness(start: Start):
    worker = start("slowload")
    worker.stop()
    with pytest.raises(WorkerDiedError, match="was stopped"):
        worker.ready.result(0)


def test_a_callback_of_the_futures_may_stop_the_worker(start: Start):
    worker = start("fail")
    stopped = threading.Event()

    def stop(_: object) -> None:
        worker.stop()
        stopped.set()

    worker.ready.add_done_callback(stop)
    assert stopped.wait(PATIENCE_S)


def test_a_model_that_does_not_load_says_why_and_keeps_its_log(start: Start):
    worker = start("fail")
    with pytest.raises(BadModelFileError) as caught:
        worker.ready.result(PATIENCE_S)
    assert caught.value.reason == "unknown_architecture"
    assert any("unknown model architecture" in line for line in caught.value.log_tail)
    assert worker.exited.result(PATIENCE_S) == 1


def test_a_worker_killed_while_loading_most_likely_lacked_memory(start: Start):
    with pytest.raises(NotEnoughMemoryError) as caught:
        start("oom").ready.result(PATIENCE_S)
    assert caught.value.needed_bytes
    assert caught.value.free_bytes


def test_a_worker_that_dies_later_says_how(start: Start):
    worker = start()
    worker.ready.result(PATIENCE_S)
    os.kill(worker.pid, signal.SIGSEGV)
    assert worker.exited.result(PATIENCE_S) == -signal.SIGSEGV
    assert "SIGSEGV" in worker.death().message
    assert worker.death().exit_code == -signal.SIGSEGV


def test_a_worker_that_somebody_kills_hints_at_memory(start: Start):
    worker = start()
    worker.ready.result(PATIENCE_S)
    os.kill(worker.pid, signal.SIGKILL)
    worker.exited.result(PATIENCE_S)
    assert "out of memory" in worker.death().message


def test_a_file_that_cannot_be_a_model_starts_nothing(tmp_path: Path):
    (tmp_path / "x.gguf").write_bytes(b"lmgg" * 10)
    with pytest.raises(BadModelFileError) as caught:
        WorkerProcess.start("x", tmp_path / "x.gguf", command=("/nonexistent",))
    assert caught.value.reason == "old_format"
    assert caught.value.key == "x"


def test_a_part_of_a_split_model_that_is_not_there_is_named(tmp_path: Path):
    path = write_tiny_gguf(tmp_path / "big-00001-of-00002.gguf")
    with pytest.raises(BadModelFileError, match="00002-of-00002") as caught:
        WorkerProcess.start("big", path)
    assert caught.value.reason == "missing"


def test_a_command_that_cannot_be_run_leaves_no_folder(start: Start):
    def folders() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob(f"roci-worker-{os.getpid()}-*"))

    before = folders()  # a server that several tests share may have workers of its own
    with pytest.raises(FileNotFoundError):
        start(command=("/nonexistent/worker",))
    assert folders() <= before


def test_output_that_is_no_ready_line_counts_as_log(start: Start):
    worker = start(command=(sys.executable, "-c", "print('what?'); raise SystemExit(3)"))
    with pytest.raises(LoadFailedError, match="status 3") as caught:
        worker.ready.result(PATIENCE_S)
    assert caught.value.log_tail == ("what?",)


def test_only_the_last_40_lines_of_the_log_are_kept_and_long_ones_are_cut(start: Start):
    noise = "import sys; [print(i, 'x' * 20000 if i == 99 else '', file=sys.stderr) for i in range(100)]"
    worker = start(command=(sys.executable, "-c", noise))
    worker.exited.result(PATIENCE_S)
    assert len(worker.log_tail()) == 40
    assert max(map(len, worker.log_tail())) < 20_000


def test_a_listener_gets_the_log_and_its_failure_does_not_stop_the_reading(start: Start):
    seen: list[str] = []

    def listen(line: str) -> None:
        seen.append(line)
        raise RuntimeError("broken listener")

    program = "import sys; [print(i, file=sys.stderr) for i in range(3)]"
    worker = start(command=(sys.executable, "-c", program), on_log=listen)
    worker.exited.result(PATIENCE_S)
    assert seen == ["0"]
    assert worker.log_tail() == ("0", "1", "2")


def test_an_event_loop_can_wait_and_one_waiter_giving_up_leaves_the_others(start: Start):
    worker = start("slowload")

    async def wait_twice() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(worker.ready), 0.01)
        return (await asyncio.wrap_future(worker.ready)).pid

    assert asyncio.run(wait_twice()) == worker.pid


def test_its_threads_end_with_it(start: Start):
    worker = start()
    worker.ready.result(PATIENCE_S)
    worker.stop()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith(f"roci-worker-{worker.pid}")])
    assert worker.exited.done()


PROGRAM = """
import os, sys
from pathlib import Path
from roci.engine.worker_process import WorkerProcess
worker = WorkerProcess.start("tiny", Path(sys.argv[1]), command=sys.argv[2:])
ready = worker.ready.result(60)
print(worker.pid, ready.socket_path.parent, flush=True)
"""


def run_program(tmp_path: Path, ending: str, *, status: int = 0) -> tuple[int, Path]:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    command = [sys.executable, "-c", PROGRAM + ending, str(path), *FAKE_WORKER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == status, done.stderr
    pid, folder = done.stdout.split()
    return int(pid), Path(folder)


def test_a_program_that_forgets_its_worker_leaves_none_behind(tmp_path: Path):
    pid, folder = run_program(tmp_path, "")
    assert not is_running(pid)
    assert not folder.exists()


def test_a_forked_child_that_ends_does_not_take_its_parents_worker_with_it(tmp_path: Path):
    ending = """
if os.fork() == 0:
    worker.stop()
    sys.exit(0)
os.wait()
os.kill(worker.pid, 0)
assert not worker.exited.done()
os.write(1, b"")
"""
    pid, _ = run_program(tmp_path, ending)
    assert not is_running(pid)


def test_a_forked_child_does_not_keep_the_worker_alive(tmp_path: Path):
    ending = """
child = os.fork()
if child == 0:
    os.close(1); os.close(2)
    import time; time.sleep(600)
Path(sys.argv[1] + ".child").write_text(str(child))
os.kill(os.getpid(), 9)
"""
    pid, _ = run_program(tmp_path, ending, status=-signal.SIGKILL)
    child = int((tmp_path / "tiny.gguf.child").read_text())
    try:
        wait_until(lambda: not is_running(pid))
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_folders_of_killed_programs_are_swept_by_the_next_start(tmp_path: Path, start: Start):
    _, folder = run_program(tmp_path, "os.kill(os.getpid(), 9)", status=-signal.SIGKILL)
    start().ready.result(PATIENCE_S)
    assert not folder.exists()


def test_a_folder_whose_owner_lives_is_not_swept():
    first, second = SocketFolder(), SocketFolder()
    assert first.path.exists()
    first.remove()
    second.remove()
    assert not first.path.exists()
