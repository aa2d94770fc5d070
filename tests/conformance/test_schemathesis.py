"""Requests made up from the API's own description against a live server: no failure, no hang, nothing left behind.

`ROCI_FUZZ_EXAMPLES` asks for more of them, in all of schemathesis's phases; `make fuzz` does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.conformance.fuzzing.hooks import CHAT, JUDGE, OTHER_CHAT, SPARE, VECTORS
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import PATIENCE_S, is_running, wait_until

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("fuzzing") / "schemathesis.toml"
EXAMPLES = os.environ.get("ROCI_FUZZ_EXAMPLES")
# Nothing listens there, so that no download leaves this machine.
NO_HUB = "http://127.0.0.1:9"
GENERATING = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/v1/chat",
    "/v1/tokenize",
)


@contextmanager
def server(command: Sequence[str], home: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A gateway that is a process of its own; ended with Ctrl-C, and looked after for what it leaves behind."""
    environ = {**os.environ, "ROCI_HOME": str(home), "HOME": str(home / "user"), "HF_ENDPOINT": NO_HUB}
    with (home / "server.log").open("w+") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environ, stderr=log, stdout=log)
        try:

            def said() -> re.Match[str] | None:
                text = (home / "server.log").read_text()
                assert process.poll() is None, text
                return re.search(r"http://127\.0\.0\.1:\d+", text)

            yield psutil.Process(process.pid), wait_until(said, "the server's start")[0]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
                process.wait()


def fuzz(url: str, folder: Path, *flags: str) -> None:
    """Runs schemathesis, which exits with 1 for a failed check as for a request without a reply."""
    command = ["schemathesis", "--config-file", str(CONFIG), "run", f"{url}/openapi.json", "--checks", "all"]
    command += ["--workers", "1", "--request-timeout", "60", "--seed", "1", "--continue-on-failure", "--no-shrink"]
    command += ["--no-color", "--report-dir", str(folder / "report"), *flags]
    # Slowness is no failure here: --request-timeout is what a hang is told by.
    command += ["--max-response-time", "1000"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.conformance.fuzzing.hooks"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=folder,  # where it leaves files that decide what its next run tries
        env=environ,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-2000:]}"


def check_idle(process: psutil.Process, url: str) -> list[int]:
    """Nobody is being answered any more, and each worker is a model's; gives the workers' pids."""
    with httpx2.Client(base_url=url, timeout=PATIENCE_S) as client:

        def is_idle() -> bool:
            health = client.get("/health").json()
            workers = process.children(recursive=True)
            seen[:] = [health, workers]
            is_quiet = health["queue_length"] == 0 and not any(model["running"] for model in health["models"])
            return is_quiet and len(workers) == len(health["models"])

        seen: list[Any] = []
        try:
            wait_until(is_idle)
        except AssertionError:
            pytest.fail(f"Not idle, or not a worker for each model: {seen}")
    return [worker.pid for worker in seen[1]]


def test_no_request_breaks_a_server_with_fake_workers(tmp_path: Path) -> None:
    for key in (CHAT, OTHER_CHAT, SPARE):
        write_tiny_gguf(tmp_path / f"models/tests/{key}/{key}.gguf")
    for key, pooling in ((VECTORS, 1), (JUDGE, 4)):
        path = tmp_path / f"models/tests/{key}/{key}.gguf"
        write_tiny_gguf(path, architecture="bert", more={"bert.pooling_type": pooling})
    phases = ["--phases", "examples,coverage,fuzzing,stateful"] if EXAMPLES else ["--phases", "fuzzing"]

    with server(["-m", "tests.support.serve_fakes", str(tmp_path)], tmp_path) as (process, url):
        fuzz(url, tmp_path, *phases, "--max-examples", EXAMPLES or "3")
        workers = check_idle(process, url)

    assert workers, "no request reached a model"
    assert not any(is_running(pid) for pid in workers)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_no_request_breaks_a_server_with_the_real_engine(starter_model: Path, tmp_path: Path) -> None:
    link = tmp_path / "models" / "tests" / CHAT / f"{CHAT}.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(starter_model)
    paths = [flag for path in GENERATING for flag in ("--include-path", path)]

    with server(["-m", "roci", "serve", "--port", "0", "--context-length", "256", "--verbose"], tmp_path) as served:
        fuzz(served[1], tmp_path, *paths, "--phases", "fuzzing", "--max-examples", EXAMPLES or "2")
        workers = check_idle(*served)

    assert workers, "no request reached a model"
    assert not any(is_running(pid) for pid in workers)
    assert "Traceback" not in (tmp_path / "server.log").read_text()
