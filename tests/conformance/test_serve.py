"""`roci serve` as it is used: a process of its own, the real engine, the real starter model, real client libraries."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

import roci
from roci import GenerationSettings, LmStudioProvider, ModelMessage, ProviderRequest
from tests.support.twins import Twin
from tests.support.workers import is_running, open_reply, wait_until

KEY = "smollm2-135m-instruct"
OTHER = "another-135m"
# Left alone, either of these keeps a worker busy for minutes.
LONG_ANSWER: dict[str, Any] = {"max_tokens": 7000, "ignore_eos": True}
LONG_PROMPT = "word " * 7500


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if "roci.worker" in child.cmdline()]

    def sockets(self) -> list[Path]:
        flags = [flag for worker in self.workers() for flag in worker.cmdline()]
        return [Path(flag.removeprefix("--socket=")) for flag in flags if flag.startswith("--socket=")]

    def busy_slots(self) -> int:
        """Slots that the engines themselves say are computing."""
        busy = 0
        for path in self.sockets():
            with open_reply(path, "GET", "/slots") as reply:
                busy += sum(slot["is_processing"] for slot in json.loads(reply.read()))
        return busy

    def ask(self, **body: Any) -> Asking:
        """A chat that has been asked for; its reply is still to be read."""
        return Asking(self.port, {"model": KEY, **body})


class Asking:
    """One request on a bare connection, which `with` or `leave()` closes whatever has come of the reply."""

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._socket.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)
        )

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def begin(self) -> bytes:
        """What comes first."""
        first = self._socket.recv(4096)
        assert first
        return first

    def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        pieces: list[bytes] = []
        while piece := self._socket.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def leave(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def home(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two models, which are one file under two names."""
    home = tmp_path_factory.mktemp("roci-home")
    for model in ("SmolLM2-135M-Instruct", "Another-135M"):
        folder = home / "models" / "HuggingFaceTB" / model
        folder.mkdir(parents=True)
        (folder / starter_model.name).symlink_to(starter_model)
    return home


Start = Callable[..., Served]


@pytest.fixture(scope="module")
def start(home: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(*flags: str) -> Served:
        command = [sys.executable, "-m", "roci", "serve", "--port", "0", *flags]
        environ = {**os.environ, "ROCI_HOME": str(home), "HOME": str(home)}
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert match is not None
        return Served(process, match[0])

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served(start: Start) -> Served:
    return start()


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as client:
        yield client


def load(served: Served) -> None:
    with served.ask(messages=hello(), max_tokens=1) as asking:
        assert asking.rest().startswith(b"HTTP/1.1 200")


def hello(text: str = "Say hello.") -> list[Any]:
    return [{"role": "user", "content": text}]


def test_the_openai_client_lists_chats_and_streams(client: openai.OpenAI) -> None:
    models = list(client.models.list())
    assert [model.id for model in models] == [OTHER, KEY]
    assert models[1].created > 0

    reply = client.chat.completions.create(model=KEY, messages=hello(), max_tokens=12, temperature=0)
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 12
    assert reply.model == KEY

    chunks = list(
        client.chat.completions.create(
            model=KEY,
            messages=hello(),
            max_tokens=12,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == reply.choices[0].message.content
    assert chunks[-1].usage is not None


def test_the_openai_clients_stream_helper_accepts_the_chunks(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=KEY, messages=hello(), max_tokens=200, temperature=0) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()

    assert final.choices[0].message.content


def test_the_openai_client_gets_its_own_error_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="smollm2-135m-instuct", messages=hello())
    assert unknown.value.code == "model_not_found"
    assert KEY in unknown.value.message

    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model=KEY, messages=hello("word " * 9000))
    assert long.value.code == "context_length_exceeded"
    assert "8192" in long.value.message

    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=KEY, messages=hello(), temperature=-1)
    assert bad.value.param == "temperature"


def test_roci_lists_chats_and_streams(served: Served, twin: Twin) -> None:
    with LmStudioProvider(KEY, base_url=served.url) as model:
        few = GenerationSettings(max_tokens=8, temperature=0)
        result = twin.call(roci, "generate_text", model, "Say hello.", few)
        request = ProviderRequest(messages=[ModelMessage.user("Say hello.")], settings=few)
        streamed = twin.streamed(model, request)
        info = twin.call(model, "describe")

    assert result.text == streamed.text != ""
    assert (result.warnings, streamed.warnings) == ((), ())
    assert (info.key, info.loaded_context_length, info.is_loaded) == (KEY, 8192, True)


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not streaming"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_client_that_leaves_frees_its_slot(phase: str, stream: bool, served: Served) -> None:
    load(served)
    wait_until(lambda: served.busy_slots() == 0, "an idle engine")
    asking = served.ask(messages=hello(LONG_PROMPT if phase == "prefill" else "Count."), stream=stream, **LONG_ANSWER)
    if phase == "decode" and stream:
        asking.begin()
    wait_until(lambda: served.busy_slots() == 1, "a busy slot")

    asking.leave()

    assert wait_until(lambda: served.busy_slots() == 0, "a free slot")


def test_a_worker_killed_in_mid_stream_is_told_and_replaced(served: Served, twin: Twin) -> None:
    pids: set[int] = set()

    def kill(_: roci.TextStreamDelta) -> bool:
        for worker in served.workers():
            if not pids:
                pids.add(worker.pid)
                worker.kill()
        return False

    with LmStudioProvider(KEY, base_url=served.url) as model:
        settings = GenerationSettings(max_tokens=7000, extra={"ignore_eos": True})
        request = ProviderRequest(messages=[ModelMessage.user("Count.")], settings=settings)
        with pytest.raises(roci.StreamInterruptedError) as caught:
            twin.deltas(model, request, after=kill)
        answer = twin.call(roci, "generate_text", model, "Say hello.", GenerationSettings(max_tokens=4))

    assert caught.value.code == "worker_died"
    assert caught.value.partial.text
    assert answer.text
    assert {worker.pid for worker in served.workers()}.isdisjoint(pids)


def test_many_ask_at_once_for_a_model_that_is_not_loaded(start: Start) -> None:
    served = start()
    answers: list[str] = []

    def ask() -> None:
        with LmStudioProvider(KEY, base_url=served.url) as model:
            answers.append(roci.generate_text(model, "Say hello.", GenerationSettings(max_tokens=3)).text)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert len(served.workers()) == 1


def test_a_second_model_waits_for_the_first_ones_answers(served: Served) -> None:
    """One model fits: what is asked of the other comes after, and nothing is cut."""
    streaming = served.ask(messages=hello("Count."), stream=True, max_tokens=60, ignore_eos=True)
    first = streaming.begin()
    other = LmStudioProvider(OTHER, base_url=served.url)
    answers: list[roci.GenerateTextResult] = []
    asking = threading.Thread(
        target=lambda: answers.append(roci.generate_text(other, "Say hello.", GenerationSettings(max_tokens=3)))
    )
    asking.start()
    first += streaming.rest()
    streaming.leave()
    asking.join()

    assert b"data: [DONE]" in first
    assert b'"error"' not in first
    assert answers[0].model == OTHER
    (flags,) = [worker.cmdline() for worker in served.workers()]
    assert f"--alias={OTHER}" in flags
    other.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_server(how: signal.Signals, start: Start) -> None:
    served = start()
    load(served)
    busy = served.ask(messages=hello("Count."), stream=True, **LONG_ANSWER)
    busy.begin()
    pids, sockets = [worker.pid for worker in served.workers()], served.sockets()
    assert len(pids) == len(sockets) == 1

    served.process.send_signal(how)
    if how == signal.SIGINT:
        served.process.send_signal(how)  # the second one does not wait for the answer
    busy.leave()

    code = served.process.wait(60)
    assert code == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the worker's end")
    wait_until(lambda: not any(path.parent.exists() for path in sockets), "the socket's end")


def test_ctrl_c_lets_an_answer_finish(start: Start) -> None:
    served = start()
    with served.ask(messages=hello(), stream=True, max_tokens=60, ignore_eos=True) as asking:
        asking.begin()
        served.process.send_signal(signal.SIGINT)

        assert b"data: [DONE]" in asking.rest()
    assert served.process.wait(60) == 0


def test_a_busy_port_says_who_holds_it(served: Served, home: Path) -> None:
    command = [sys.executable, "-m", "roci", "serve", "--port", str(served.port)]
    environ = {**os.environ, "ROCI_HOME": str(home)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert str(served.port) in done.stderr
    assert str(served.process.pid) in done.stderr
    assert "--port" in done.stderr
