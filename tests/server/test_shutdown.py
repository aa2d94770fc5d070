"""The end of a gateway: answers are finished or told why not, and no process is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.server.conftest import GatewayMaker, chat, model_file
from tests.support.compatibility import compatible
from tests.support.serve import PATIENCE_S
from tests.support.workers import FAKE_WORKER, fake_log, is_running, wait_for_event, wait_until

CHECKOUT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from roci.server.serving import Serving
from roci.server.settings import ServerSettings
with Serving(ServerSettings(port=0, drain_s=float(sys.argv[2])), Path(sys.argv[1]), worker_command=sys.argv[3:]) as s:
    s.run()
"""


class Program:
    """A gateway in a process of its own, as `roci serve` is."""

    def __init__(self, home: Path, drain_s: float = 60.0) -> None:
        command = [sys.executable, "-c", SCRIPT, str(home), str(drain_s), *FAKE_WORKER]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT)
        self.home = home
        assert self.process.stderr is not None
        self.first_words = self.process.stderr.readline().strip()
        self.url = self.first_words.rpartition(" ")[2]
        self.client = httpx2.Client(base_url=self.url, timeout=PATIENCE_S)

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def worker_pid(self) -> int:
        return wait_for_event(model_file(self.home, "first"), event="loaded")["pid"]

    def end(self) -> tuple[int, str]:
        """Exit status, and what it said."""
        _, words = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, words


@pytest.fixture
def program(home: Path):
    with closing(Program(home)) as running:
        yield running


def test_it_says_where_it_serves(program: Program):
    assert program.first_words.startswith("roci serves on http://127.0.0.1:")
    assert program.client.get("/health").status_code == 200


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_idle_gateway_with_status_0_and_no_process_left(program: Program, kind: signal.Signals):
    program.client.post("/v1/chat/completions", json=chat())
    worker = program.worker_pid()
    program.process.send_signal(kind)
    assert program.end() == (0, "")
    assert not is_running(worker)


@compatible("Every route", "stopping the server", "better", "answers may finish; LM Studio ends them")
def test_the_first_ctrl_c_lets_answers_finish_and_the_second_breaks_them_off(program: Program):
    with program.client.stream("POST", "/v1/chat/completions", json=chat("#slow", stream=True)) as reply:
        pieces = reply.iter_text()
        next(pieces)
        program.process.send_signal(signal.SIGINT)
        assert program.process.stderr is not None
        assert program.process.stderr.readline().strip() == "Finishing 1 answer; Ctrl-C again stops at once."
        refused = httpx2.post(f"{program.url}/v1/chat/completions", json=chat())
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "shutting_down"
        assert int(refused.headers["retry-after"]) > 0
        next(pieces)  # still being answered
        program.process.send_signal(signal.SIGINT)
        *_, last = "".join(pieces).strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    worker = program.worker_pid()
    assert program.end() == (0, "Breaking off 1 answer.\n")
    assert not is_running(worker)


def test_answers_that_take_too_long_are_broken_off(home: Path):
    with closing(Program(home, drain_s=0.2)) as program:
        with program.client.stream("POST", "/v1/chat/completions", json=chat("#slow", stream=True)) as reply:
            pieces = reply.iter_text()
            next(pieces)
            program.process.send_signal(signal.SIGTERM)
            assert '"code":"shutting_down"' in "".join(pieces)
        assert program.end()[0] == 0


def test_kill_9_of_the_gateway_leaves_no_worker(program: Program):
    program.client.post("/v1/chat/completions", json=chat())
    worker = program.worker_pid()
    program.process.kill()
    assert wait_until(lambda: not is_running(worker), "the worker's end")


def test_an_answer_that_ends_in_time_is_whole_and_those_who_wait_are_refused(make_gateway: GatewayMaker):
    with make_gateway(parallel=1) as gateway:
        with gateway.asking(chat("#slow", stream=True)):
            gateway.wait_for_running(1)
            with gateway.asking(chat()) as waiting:
                gateway.wait_for_queue(1)
                gateway.served.stop()
                assert waiting.getresponse().status == 503
            assert gateway.served.words == ["Finishing 1 answer; Ctrl-C again stops at once."]
        # The stream's client has left now, so that nothing is left to finish.
        gateway.served.wait_until_ended()
        pids = [note["pid"] for note in fake_log(gateway.file("first")) if note["event"] == "loaded"]
        assert not any(map(is_running, pids))


def test_a_gateway_that_ends_leaves_no_thread(make_gateway: GatewayMaker):
    before = set(threading.enumerate())  # a server that several tests share may be there
    with make_gateway() as gateway:
        gateway.ask(chat())
        gateway.served.stop()
        gateway.served.wait_until_ended()
        assert {thread for thread in threading.enumerate() if thread.name.startswith("roci-")} <= before
