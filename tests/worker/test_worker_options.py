"""What each load option really does, seen from the real worker with the starter model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from roci.engine.worker_options import WorkerOptions
from roci.engine.worker_process import WorkerProcess
from roci.errors import BadModelFileError, LoadFailedError
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import PATIENCE_S, open_reply

Start = Callable[..., WorkerProcess]
TEMPLATE = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}<answer>"
TOKENS = 8192
KV_BYTES_PER_TOKEN = 23_040  # of the starter model, with 16 bits for each value


Options = dict[str, Any]


def start_real(path: Path, options: Options) -> WorkerProcess:
    return WorkerProcess.start("smol", path, WorkerOptions(**({"context_length": 128, "parallel": 1} | options)))


@pytest.fixture(scope="module")
def plain(starter_model: Path) -> Iterator[WorkerProcess]:
    """A worker without any option."""
    worker = start_real(starter_model, {})
    yield worker
    worker.stop()


@pytest.fixture
def start(starter_model: Path) -> Iterator[Start]:
    """Starts workers that are stopped when the test is over."""
    started: list[WorkerProcess] = []

    def start_one(**options: Any) -> WorkerProcess:
        started.append(start_real(starter_model, options))
        return started[-1]

    yield start_one
    for worker in started:
        worker.stop()


def ask(worker: WorkerProcess, path: str, body: dict[str, Any] | None = None) -> Any:
    socket_path = worker.ready.result(PATIENCE_S).socket_path
    with open_reply(socket_path, "GET" if body is None else "POST", path, body) as reply:
        data = reply.read()
        assert reply.status == 200, data
        return json.loads(data)


def complete(worker: WorkerProcess, prompt: str, tokens: int) -> dict[str, Any]:
    return ask(worker, "/completion", {"prompt": prompt, "n_predict": tokens, "temperature": 0})


def test_cache_type_template_seed_and_speculation_take_effect(start: Start):
    worker = start(
        context_length=TOKENS,
        kv_cache_type="q4_0",
        flash_attention=True,
        chat_template=TEMPLATE,
        seed=7,
        speculation="ngram",
    )
    prompt = ask(worker, "/apply-template", {"messages": [{"role": "user", "content": "hi"}]})["prompt"]
    assert prompt == "<user>hi<answer>"
    answer = complete(worker, "one two three four five six seven eight nine ten " * 4, 8)
    assert answer["generation_settings"]["seed"] == 7
    assert answer["generation_settings"]["speculative.types"] == "ngram-mod"
    assert ask(worker, "/slots")[0]["speculative"]
    memory = psutil.Process(worker.pid).memory_info()
    assert memory.rss - memory.shared < TOKENS * KV_BYTES_PER_TOKEN  # 16 bits would take more for the cache alone
    # The template's text is nobody's business: it lies with the socket, and goes with it.
    folder = worker.ready.result().socket_path.parent
    worker.stop()
    assert not folder.exists()


def test_a_model_is_locked_in_memory_or_its_load_fails(start: Start):
    worker = start(use_mlock=True)
    error = worker.ready.exception(PATIENCE_S)
    if error is not None:
        assert "the system does not allow it" in str(error)
        return
    status = Path(f"/proc/{worker.pid}/status").read_text()
    locked_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmLck:"))
    assert locked_kb * 1024 > 90_000_000


def test_a_draft_model_drafts_and_its_memory_was_counted(start: Start, starter_model: Path):
    worker = start(draft_model=str(starter_model))
    timings = complete(worker, "a b c d e f g h i j k l m n o p", 12)["timings"]
    assert timings["draft_n"] > 0
    assert worker.memory.needed_bytes > 2 * starter_model.stat().st_size + 2 * 128 * KV_BYTES_PER_TOKEN


def test_a_rope_setting_changes_the_text_and_a_file_that_is_not_mapped_is_read(start: Start, plain: WorkerProcess):
    other = start(rope_frequency_base=50.0, rope_frequency_scale=0.25, use_mmap=False)
    prompt = "The capital of France is Paris. The capital of Italy is Rome. The capital of"
    assert complete(plain, prompt, 12)["content"] != complete(other, prompt, 12)["content"]
    mapped, read = (psutil.Process(worker.pid).memory_info().shared for worker in (plain, other))
    assert mapped - read > 80_000_000


def test_a_model_that_writes_makes_vectors_if_it_is_forced_to(start: Start):
    worker = start(force_embedding=True)
    ready = worker.ready.result(PATIENCE_S)
    assert (ready.is_embedding, ready.pooling, ready.input_limit_tokens) == (True, "mean", 128)
    reply = ask(worker, "/v1/embeddings", {"input": ["a cat", "word " * 40]})
    assert [len(item["embedding"]) for item in reply["data"]] == [576, 576]


def test_the_worker_answers_about_tokens_and_says_what_it_is(plain: WorkerProcess):
    ready = plain.ready.result(PATIENCE_S)
    tokens = ask(plain, "/tokenize", {"content": "hello world"})["tokens"]
    assert ask(plain, "/detokenize", {"tokens": tokens})["content"] == "hello world"
    assert ask(plain, "/v1/completions", {"prompt": "one two", "max_tokens": 2})["choices"]
    assert max(tokens) < ready.vocabulary_size == 49_152
    assert (ready.bos_token, ready.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert (ready.is_embedding, ready.pooling, ready.input_limit_tokens) == (False, None, None)
    assert ready.engine_name.startswith("llama.cpp-")
    assert ready.engine_version
    assert not ready.supports_parallel_tools
    assert not ready.supports_effort


def test_a_load_tells_how_far_it_is(starter_model: Path):
    ratios: list[float] = []
    options = WorkerOptions(context_length=TOKENS, parallel=1, threads=1)
    worker = WorkerProcess.start("smol", starter_model, options, on_progress=ratios.append)
    try:
        worker.ready.result(PATIENCE_S)
        # It had to take all of this memory while it was watched.
        assert len(ratios) >= 2
        assert ratios == sorted(set(ratios))
        assert 0 < ratios[0] < ratios[-1] < 1
        resident = psutil.Process(worker.pid).memory_info().rss
        assert 0.8 < resident / worker.memory.needed_bytes < 1.2
        # What it has mapped looks free and is not; the rest is seen by everybody.
        assert 90_000_000 < worker.unclaimed_bytes() < 110_000_000
    finally:
        worker.stop()
    assert worker.unclaimed_bytes() == 0


def test_a_draft_model_of_another_vocabulary_is_refused(start: Start, starter_model: Path, tmp_path: Path):
    data = starter_model.read_bytes()
    word = b"\x07\0\0\0\0\0\0\0science"
    assert data.count(word) == 1
    other = tmp_path / "draft.gguf"
    other.write_bytes(data.replace(word, word[:-1] + b"x"))
    with pytest.raises(LoadFailedError, match="vocabulary is another"):
        start(draft_model=str(other)).ready.result(PATIENCE_S)


def test_a_template_that_is_not_jinja_is_refused(start: Start):
    with pytest.raises(LoadFailedError, match="not valid Jinja"):
        start(chat_template="{% for message in messages %}broken {{").ready.result(PATIENCE_S)


def test_a_projector_that_the_engine_cannot_load_is_refused(start: Start, tmp_path: Path):
    projector = write_tiny_gguf(tmp_path / "mmproj.gguf", architecture="clip")
    with pytest.raises(LoadFailedError, match="projector"):
        start(mmproj=str(projector)).ready.result(PATIENCE_S)


def test_a_file_that_is_no_projector_is_refused_before_anything_is_started(start: Start, starter_model: Path):
    with pytest.raises(BadModelFileError) as caught:
        start(mmproj=str(starter_model))
    assert caught.value.reason == "not_a_projector"


def test_a_draft_model_that_is_not_there_is_named(start: Start, tmp_path: Path):
    with pytest.raises(BadModelFileError, match=r"draft\.gguf") as caught:
        start(draft_model=str(tmp_path / "draft.gguf"))
    assert caught.value.reason == "missing"
