"""The real worker: llama.cpp with the starter model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roci.engine.worker_process import WorkerOptions, WorkerProcess
from roci.errors import BadModelFileError, LoadFailedError
from roci.worker.flags import WorkerFlags
from tests.support.workers import PATIENCE_S, ask_chat, chunks_of, open_reply, text_of, wait_until

SMALL = WorkerOptions(context_length=1024, parallel=2)


@pytest.fixture(scope="module")
def worker(starter_model: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess.start("smol", starter_model, SMALL)
    yield worker
    worker.stop()


def test_it_reports_what_it_loaded(worker: WorkerProcess):
    ready = worker.ready.result(PATIENCE_S)
    assert (ready.context_length, ready.parallel) == (1024, 2)
    assert ready.chat_template
    assert ready.supports_system
    assert not ready.supports_tools
    assert not ready.supports_vision
    assert ready.load_time_s > 0
    assert ready.engine.startswith("llama.cpp")


def test_it_streams_an_answer_under_its_key(worker: WorkerProcess):
    socket_path = worker.ready.result(PATIENCE_S).socket_path
    status, body = ask_chat(socket_path, "Say hello in five words.", temperature=0, max_tokens=40)
    assert status == 200
    assert "hello" in text_of(body).lower()
    assert {chunk["model"] for chunk in chunks_of(body)} == {"smol"}
    assert body.endswith("data: [DONE]\n\n")


def test_each_slot_has_a_context_of_its_own(worker: WorkerProcess):
    socket_path = worker.ready.result(PATIENCE_S).socket_path
    status, body = ask_chat(socket_path, "word " * 1500)
    assert status == 400
    assert json.loads(body)["error"]["n_ctx"] == 1024


def test_its_log_keeps_warnings_alone_and_holds_no_prompt(worker: WorkerProcess):
    socket_path = worker.ready.result(PATIENCE_S).socket_path
    for _ in range(2):  # the second time all of the prompt is in the cache, of which the engine warns
        ask_chat(socket_path, "the secret word is xylophone", max_tokens=2)
    wait_until(lambda: any("n_past" in line for line in worker.log_tail()), "a warning in the log")
    log = "\n".join(worker.log_tail())
    assert "xylophone" not in log
    assert "launch_slot_" not in log


def test_it_serves_no_web_page(worker: WorkerProcess):
    with open_reply(worker.ready.result(PATIENCE_S).socket_path, "GET", "/") as reply:
        assert reply.status == 404


def test_standard_output_carries_the_ready_line_and_nothing_else(starter_model: Path, tmp_path: Path):
    flags = [f"--model={starter_model}", "--alias=smol", f"--socket={tmp_path / 'w' / 'x.sock'}", "--context=512"]
    (tmp_path / "w").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "roci.worker", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        first = process.stdout.readline()
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    assert json.loads(first)["event"] == "ready"
    assert rest == b""
    assert not (tmp_path / "w").exists()


def test_an_unknown_architecture_is_named(starter_model: Path, tmp_path: Path):
    data = starter_model.read_bytes()
    at = data.index(b"llama", data.index(b"general.architecture"))
    (tmp_path / "x.gguf").write_bytes(data[:at] + b"lxama" + data[at + 5 :])
    worker = WorkerProcess.start("x", tmp_path / "x.gguf", SMALL)
    with pytest.raises(BadModelFileError, match="'lxama'") as caught:
        worker.ready.result(PATIENCE_S)
    assert caught.value.reason == "unknown_architecture"
    assert worker.exited.result(PATIENCE_S) == 1


@pytest.mark.parametrize(
    ("start", "end", "reason"), [(0, 50_000_000, "truncated"), (0, 3000, "truncated"), (1, 3000, "not_gguf")]
)
def test_a_broken_file_is_refused_before_a_process_is_started(
    starter_model: Path, tmp_path: Path, start: int, end: int, reason: str
):
    (tmp_path / "x.gguf").write_bytes(starter_model.read_bytes()[start:end])
    with pytest.raises(BadModelFileError) as caught:
        WorkerProcess.start("x", tmp_path / "x.gguf")
    assert caught.value.reason == reason


def test_a_file_that_breaks_after_its_header_was_read_fails_with_the_engines_words(starter_model: Path, tmp_path: Path):
    path = tmp_path / "x.gguf"
    data = starter_model.read_bytes()
    layers = data.index(b"llama.block_count") + len(b"llama.block_count") + 4
    path.write_bytes(data[:layers] + bytes([31]) + data[layers + 1 :])
    worker = WorkerProcess.start("x", path, SMALL)
    with pytest.raises(LoadFailedError, match=r"blk\.30") as caught:
        worker.ready.result(PATIENCE_S)
    assert caught.value.log_tail


def test_the_help_describes_every_flag():
    help_text = subprocess.run(
        [sys.executable, "-m", "roci.worker", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for name in WorkerFlags.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in help_text


WRONG = ("--context=0", "--parallel=x", "--gpu-layers=-2", "--socket=/no/ending", "--kv-type=q9", "--mmap=maybe")


@pytest.mark.parametrize("flag", [*WRONG, "--rope-base=0", "--rope-scale=nan", "--seed=-1", "--pooling=max"])
def test_flags_that_make_no_sense_are_refused(flag: str):
    command = [sys.executable, "-m", "roci.worker", "--model=m", "--alias=a", "--socket=x.sock", flag]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert flag.split("=")[0] in done.stderr
