"""What fits into memory, decided before anything is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from roci.engine import cgroup
from roci.engine.gguf_header import GgufHeader, read_header
from roci.engine.memory import Extras, Resident, claimed_bytes, fit, free_memory_bytes, missing_bytes, resident
from roci.errors import NotEnoughMemoryError
from tests.support.tiny_gguf import write_tiny_gguf

MB = 10**6
GB = 10**9


@pytest.fixture
def header(starter_model: Path) -> GgufHeader:
    return read_header(starter_model)


def test_with_room_the_model_gets_its_context_and_all_slots(header: GgufHeader):
    fitted = fit(header, 98 * MB, 8 * GB, None, 4)
    assert (fitted.context_length, fitted.parallel) == (8192, 4)
    assert fitted.needed_bytes == 98 * MB + 4 * 8192 * 23_040 + 70 * MB + 20 * MB


def test_the_default_context_stops_at_8192_for_a_model_that_could_do_more(tmp_path: Path):
    header = read_header(write_tiny_gguf(tmp_path / "t.gguf", context=131_072))
    assert fit(header, 1, 8 * GB).context_length == 8192
    assert fit(header, 1, 8 * GB, 32_768).context_length == 32_768


def test_a_context_beyond_the_models_own_limit_is_clamped(header: GgufHeader):
    assert fit(header, 98 * MB, 8 * GB, 100_000, 1).context_length == 8192


def test_slots_are_given_up_before_context(header: GgufHeader):
    fitted = fit(header, 98 * MB, 1 * GB, None, 4)
    assert (fitted.context_length, fitted.parallel) == (8192, 2)


def test_a_context_that_nobody_asked_for_shrinks_when_one_slot_does_not_fit(header: GgufHeader):
    fitted = fit(header, 98 * MB, 530 * MB, None, 4)
    assert (fitted.context_length, fitted.parallel) == (2048, 1)


def test_a_context_that_was_asked_for_is_not_shrunk(header: GgufHeader):
    with pytest.raises(NotEnoughMemoryError) as caught:
        fit(header, 98 * MB, 530 * MB, 8192, 4, key="smol")
    assert caught.value.key == "smol"
    assert caught.value.free_bytes == 530 * MB
    assert caught.value.needed_bytes == 98 * MB + 8192 * 23_040 + 90 * MB
    assert "2,048" in caught.value.hint


def test_a_model_that_does_not_fit_at_all_says_what_it_needs_and_what_is_free(header: GgufHeader):
    with pytest.raises(NotEnoughMemoryError, match="300 MB are free"):
        fit(header, 98 * MB, 300 * MB)


@pytest.mark.parametrize(("kind", "share"), [("f32", 2), ("f16", 1), ("bf16", 1), ("q8_0", 34 / 64), ("q4_0", 18 / 64)])
def test_a_cache_of_another_type_takes_another_share(header: GgufHeader, kind: str, share: float):
    fitted = fit(header, 98 * MB, 8 * GB, 8192, 2, extras=Extras(kv_cache_type=kind))
    assert fitted.needed_bytes == 98 * MB + int(2 * 8192 * 23_040 * share) + 90 * MB


def test_projector_and_draft_model_count_with_their_files_and_the_drafts_cache(header: GgufHeader):
    fitted = fit(header, 98 * MB, 8 * GB, 8192, 2, extras=Extras(files_bytes=300 * MB, draft=header))
    assert fitted.needed_bytes == (98 + 300) * MB + 2 * 2 * 8192 * 23_040 + 110 * MB


def test_a_model_forced_to_make_vectors_computes_a_whole_context_at_once(header: GgufHeader):
    fitted = fit(header, 98 * MB, 8 * GB, 8192, 1, extras=Extras(is_embedding=True))
    assert fitted.needed_bytes == 98 * MB + 8192 * 23_040 + (70 + 16 * 20) * MB


def test_what_an_error_lacks_is_what_more_would_have_to_be_free(header: GgufHeader):
    with pytest.raises(NotEnoughMemoryError) as caught:
        fit(header, 98 * MB, 530 * MB, 8192, 1)
    missing = missing_bytes(caught.value)
    assert fit(header, 98 * MB, 530 * MB + missing, 8192, 1).parallel == 1
    with pytest.raises(NotEnoughMemoryError):
        fit(header, 98 * MB, 530 * MB + missing - MB, 8192, 1)


def test_a_load_claims_what_it_has_not_taken_yet_and_afterwards_what_it_has_mapped():
    half = Resident(total_bytes=600, mapped_bytes=100)
    assert claimed_bytes(1000, half, is_loaded=False, weights_bytes=80) == 500
    assert claimed_bytes(400, half, is_loaded=False, weights_bytes=80) == 0
    assert claimed_bytes(1000, half, is_loaded=True, weights_bytes=80) == 80
    assert claimed_bytes(1000, half, is_loaded=True, weights_bytes=300) == 100


def test_a_process_that_is_gone_holds_no_memory():
    held = resident(os.getpid())
    assert held is not None
    assert held.total_bytes > MB
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resident(process.pid) is None


def test_the_machine_has_some_memory_free():
    assert free_memory_bytes() > 0


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_tightest_limit_of_control_groups_2_counts_and_the_file_cache_is_free(tmp_path: Path):
    group = "sys/fs/cgroup/a/b"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            f"{group}/memory.max": "max\n",
            f"{group}/memory.current": "5\n",
            "sys/fs/cgroup/a/memory.max": "1000\n",
            "sys/fs/cgroup/a/memory.current": "700\n",
            "sys/fs/cgroup/a/memory.stat": "anon 500\ninactive_file 200\n",
            f"{group}/cpu.max": "150000 100000\n",
        },
    )
    assert cgroup.memory_left_bytes(root) == 500
    assert cgroup.cores(root) == 1.5


def test_control_groups_1_are_honoured(tmp_path: Path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/job\n1:cpu,cpuacct:/job\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "10\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "400\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cgroup.memory_left_bytes(root) == 600
    assert cgroup.cores(root) == 2.0


def test_where_there_are_no_control_groups_there_is_no_limit(tmp_path: Path):
    assert cgroup.memory_left_bytes(tmp_path) is None
    assert cgroup.cores(tmp_path) is None
