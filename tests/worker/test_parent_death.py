"""However a worker's parent ends, the worker ends too: with the real engine, while it loads and after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workers import PATIENCE_S, is_running, wait_until

PARENT = """
import ctypes, os, sys, time
from pathlib import Path
from roci.engine.worker_process import WorkerOptions, WorkerProcess
moment, sibling = sys.argv[2:]
loading = __import__("threading").Event()
def on_log(line):  # the engine's first line, before it reads the model
    loading.set()
worker = WorkerProcess.start("smol", Path(sys.argv[1]), WorkerOptions(parallel=2), on_log=on_log)
loading.wait(60) if moment == "loading" else worker.ready.result(60)
pid = 0
if sibling == "python":
    pid = os.fork()
elif sibling == "foreign":
    # Unknown to Python, so the pipe stays open in it. PyDLL keeps the interpreter's lock, which nobody else could
    # give back in the child.
    pid = ctypes.PyDLL(None).fork()
if sibling != "none" and pid == 0:
    os.close(1)
    os.close(2)
    time.sleep(600)
os.write(1, f"{worker.pid} {pid} {worker._folder.path}".encode())
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("sibling", ["none", "python", "foreign"])
@pytest.mark.parametrize("moment", ["loading", "ready"])
def test_a_parent_killed_outright_takes_its_worker_with_it(starter_model: Path, moment: str, sibling: str):
    command = [sys.executable, "-c", PARENT, str(starter_model), moment, sibling]
    parent = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    worker_pid, sibling_pid, folder = parent.stdout.split()
    try:
        wait_until(lambda: not is_running(int(worker_pid)), "the worker's end")
        if moment == "ready":
            assert not Path(folder).exists()
    finally:
        if sibling != "none":
            assert is_running(int(sibling_pid))
            os.kill(int(sibling_pid), signal.SIGKILL)


def test_ctrl_c_in_the_terminal_leaves_the_worker_to_its_parent(starter_model: Path):
    program = PARENT.split("pid = 0")[0] + (
        "os.kill(worker.pid, 2); time.sleep(0.2); print(worker.exited.done()); worker.stop()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(starter_model), "ready", "none"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == "False\n"
