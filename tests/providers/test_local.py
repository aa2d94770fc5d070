"""The embedded engine: real worker processes with the real starter model. Sync and async."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import roci
from roci import GenerationSettings, LocalProvider, ModelMessage, ProviderRequest
from roci.providers import local_engine
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.twins import Twin
from tests.support.workers import is_running, wait_until

FEW = GenerationSettings(max_tokens=8, temperature=0)
MANY = GenerationSettings(max_tokens=2000, temperature=0, extra={"ignore_eos": True})
KEY = "smollm2-135m-instruct"


def asked(settings: GenerationSettings = FEW) -> ProviderRequest:
    return ProviderRequest(messages=(ModelMessage.user("Count from one to ten."),), settings=settings)


def config(home: Path) -> roci.RociConfig:
    return roci.RociConfig(roci_home=str(home))


@pytest.fixture(scope="module")
def model(starter_home: Path) -> Iterator[LocalProvider]:
    with LocalProvider(KEY, config=config(starter_home)) as provider:
        yield provider


def worker_pid(model: LocalProvider) -> int:
    assert model._engine.worker is not None
    return model._engine.worker.pid


def test_a_real_model_answers_whole_and_as_a_stream(model: LocalProvider, twin: Twin) -> None:
    response = twin.call(model, "generate_text", asked())
    result = twin.streamed(model, asked())

    assert response.text
    assert (response.usage.output_tokens, response.finish_reason, response.model) == (8, "length", KEY)
    assert (result.text, result.warnings) == (response.text, ())
    assert result.stats.tokens_per_second is not None


def test_the_worker_is_started_once_and_used_again(model: LocalProvider, twin: Twin) -> None:
    twin.call(model, "generate_text", asked())
    first = worker_pid(model)
    twin.call(model, "generate_text", asked())

    assert worker_pid(model) == first


def test_a_selector_string_means_one_shared_worker(starter_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROCI_HOME", str(starter_home))
    try:
        first = roci.generate_text(f"local:{KEY}", "Hi", FEW)
        second = asyncio.run(roci.agenerate_text(f"local:{KEY.upper()}", "Hi", FEW))
        assert len(set(local_engine._shared_engines.values())) == 1
        assert first.text
        assert second.warnings == ()
    finally:
        for engine in local_engine._shared_engines.values():
            engine.stop()
        local_engine._shared_engines.clear()


def test_leaving_a_stream_frees_the_slot(model: LocalProvider, twin: Twin) -> None:
    twin.deltas(model, asked(MANY), after=lambda _: True)

    # With one slot, this answer can only come when the first has stopped long before its 2,000 tokens.
    assert twin.call(model, "generate_text", asked()).usage.output_tokens == 8


def test_a_worker_that_dies_in_mid_stream_is_told_and_replaced(model: LocalProvider, twin: Twin) -> None:
    twin.call(model, "generate_text", asked())
    first = worker_pid(model)

    def kill(_: roci.TextStreamDelta) -> bool:
        if is_running(first):
            os.kill(first, signal.SIGKILL)
        return False

    with pytest.raises(roci.StreamInterruptedError) as caught:
        twin.deltas(model, asked(MANY), after=kill)

    assert caught.value.code == "worker_died"
    assert caught.value.partial.text
    assert isinstance(caught.value.__cause__, roci.WorkerDiedError)
    assert caught.value.__cause__.exit_code == -signal.SIGKILL
    assert twin.call(model, "generate_text", asked()).text
    assert worker_pid(model) != first


def test_closing_ends_the_worker_and_a_later_call_starts_another(starter_home: Path, twin: Twin) -> None:
    model = LocalProvider(KEY, config=config(starter_home))
    twin.call(model, "generate_text", asked())
    first = worker_pid(model)
    twin.call(model, "close") if twin.name == "sync" else asyncio.run(model.aclose())
    assert not is_running(first)

    with model:
        assert twin.call(model, "generate_text", asked()).text


def test_dropping_a_provider_ends_its_worker(starter_home: Path) -> None:
    model = LocalProvider(KEY, config=config(starter_home))
    stream = model.stream_text(asked())
    pid = worker_pid(model) if next(stream) else 0
    del model
    assert stream.result().text  # a stream keeps what it needs

    del stream
    gc.collect()
    wait_until(lambda: not is_running(pid), "the worker's end")


def test_a_load_that_takes_too_long_is_a_time_out_of_the_first_token(starter_home: Path, twin: Twin) -> None:
    limits = roci.Timeouts(first_token_s=0.05)
    with LocalProvider(KEY, config=config(starter_home), timeouts=limits) as model:
        with pytest.raises(roci.TimedOutError) as caught:
            twin.streamed(model, asked())

    assert caught.value.phase == "first_token"


def test_a_prompt_longer_than_the_context_says_both_numbers(model: LocalProvider, twin: Twin) -> None:
    request = ProviderRequest(messages=(ModelMessage.user("word " * 9000),), settings=FEW)
    with pytest.raises(roci.ContextTooLongError) as caught:
        twin.streamed(model, request)

    assert caught.value.limit_tokens == 8192
    assert caught.value.given_tokens is not None
    assert caught.value.given_tokens > 9000


def test_tools_on_a_model_without_a_place_for_them_are_refused(model: LocalProvider, twin: Twin) -> None:
    twin.call(model, "generate_text", asked())
    request = ProviderRequest(messages=(ModelMessage.user("Hi"),), tools=[roci.ToolDefinition(name="f")])
    with pytest.raises(roci.UnsupportedError) as caught:
        twin.streamed(model, request)

    assert caught.value.capability == "tools"


def test_a_model_tells_of_itself_from_its_file(model: LocalProvider, starter_home: Path, twin: Twin) -> None:
    info = twin.call(model, "describe")

    assert (info.key, info.kind, info.architecture, info.quantization) == (KEY, "llm", "llama", "Q4_1")
    assert (info.max_context_length, info.capabilities.tools) == (8192, False)
    assert [entry.key for entry in twin.call(model, "list_models") if entry.key == KEY] == [KEY]


def test_what_a_models_file_does_not_say_is_empty(tmp_path: Path, twin: Twin) -> None:
    path = tmp_path / "plain.gguf"
    write_tiny_gguf(path, name="", more={"general.file_type": 999})
    info = twin.call(LocalProvider(str(path), config=config(tmp_path)), "describe")

    assert (info.display_name, info.quantization) == ("", "")


def test_a_model_that_is_not_there_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(roci.ModelNotFoundError) as caught:
        LocalProvider(KEY, config=config(tmp_path))

    assert f"roci get {KEY}" in caught.value.hint


SCRIPT = """
import os, sys, roci
stream = roci.stream_text("local:smollm2-135m-instruct", "Hi", roci.GenerationSettings(max_tokens=2000))
next(stream)
from roci.providers import local_engine
(engine,) = local_engine._shared_engines.values()
print(engine.worker.pid, engine.ready_now().socket_path, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["kill -9", "exit"])
def test_the_worker_ends_with_the_program_however_it_ends(how: str, starter_home: Path) -> None:
    environ = {**os.environ, "ROCI_HOME": str(starter_home)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as program:
        assert program.stdout is not None
        pid, path = program.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        if how == "kill -9":
            program.kill()
        else:
            assert program.stdin is not None
            program.stdin.close()
        wait_until(lambda: not is_running(int(pid)), "the worker's end")
        wait_until(lambda: not Path(path).parent.exists(), "the socket's end")
