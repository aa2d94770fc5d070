"""The engine's recorded words become our errors."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from roci.engine.load_failures import load_failure
from roci.errors import BadModelFileError, LoadFailedError, NotEnoughMemoryError

SAMPLES = Path(__file__).parents[1] / "samples" / "llama_cpp"


def failure(sample: str, exit_code: int = 1) -> LoadFailedError:
    log = tuple((SAMPLES / sample).read_text().splitlines())
    return load_failure("smol", Path("smol.gguf"), exit_code, log, needed_bytes=7, free_bytes=5)


@pytest.mark.parametrize(
    ("sample", "reason", "words"),
    [
        ("load_unknown_architecture.txt", "unknown_architecture", "'lxama'"),
        ("load_truncated.txt", "truncated", "cut short"),
        ("load_header_cut.txt", "truncated", "cut short"),
        ("load_missing_tensor.txt", "damaged", "blk.30.attn_norm.weight"),
        ("load_not_gguf.txt", "not_gguf", "not a GGUF"),
        ("load_old_format.txt", "not_gguf", "not a GGUF"),
        ("load_no_such_file.txt", "missing", "does not exist"),
    ],
)
def test_a_file_that_the_engine_refuses_says_why(sample: str, reason: str, words: str):
    error = failure(sample)
    assert isinstance(error, BadModelFileError)
    assert error.reason == reason
    assert words in error.message
    assert error.key == "smol"
    assert error.hint
    assert error.log_tail[-1].startswith("llama.cpp could not load")


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("load_other_vocabulary.txt", "vocabulary is another"),
        ("load_bad_template.txt", "not valid Jinja"),
        ("load_bad_projector.txt", "projector"),
    ],
)
def test_an_option_that_the_engine_gives_up_is_named_and_not_the_models_file_blamed(sample: str, words: str):
    error = failure(sample)
    assert type(error) is LoadFailedError
    assert words in error.message
    assert error.hint


def test_memory_that_the_engine_could_not_have_is_not_enough_memory():
    error = failure("load_no_memory.txt")
    assert isinstance(error, NotEnoughMemoryError)
    assert (error.needed_bytes, error.free_bytes) == (7, 5)


def test_a_worker_killed_while_it_loads_most_likely_lacked_memory():
    error = load_failure("smol", Path("smol.gguf"), -signal.SIGKILL, ())
    assert isinstance(error, NotEnoughMemoryError)
    assert "killed" in error.message


def test_words_that_are_not_known_are_passed_on():
    log = ("0.00.1 I srv init: hello", "0.00.2 E srv init: the moon is in the wrong place", "0.00.3 E next")
    error = load_failure("smol", Path("smol.gguf"), -signal.SIGABRT, log)
    assert type(error) is LoadFailedError
    assert "the moon is in the wrong place" in error.message
    assert "SIGABRT" in error.message
    assert error.log_tail == log
