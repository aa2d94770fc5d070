"""Headers are read once as long as a file stays as it is, across processes, and a damaged cache harms nobody."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from roci.engine.header_cache import CACHE_NAME
from roci.engine.library import scan
from tests.support.model_files import put_model


def test_a_second_scan_of_500_models_reads_no_header(home: Path):
    for number in range(500):
        put_model(home / "models", f"p{number % 7}/Model-{number}/Model-{number}-Q4_K_M.gguf")
    cold, warm = scan(home), scan(home)
    assert (len(cold.models), cold.headers_read, warm.headers_read) == (500, 500, 0)
    assert warm.models == cold.models


def test_only_what_has_changed_is_read_again(home: Path):
    put_model(home / "models", "p/a/a.gguf")
    path = put_model(home / "models", "p/b/b.gguf", name="Before")
    assert scan(home).headers_read == 2
    put_model(home / "models", "p/b/b.gguf", name="Afterwards")
    put_model(home / "models", "p/c/c.gguf")
    again = scan(home)
    assert (again.headers_read, again.find("b").facts.name) == (2, "Afterwards")
    os.utime(path, ns=(1, 1))
    assert scan(home).headers_read == 1


def test_what_is_wrong_with_a_file_is_kept_as_well(home: Path):
    put_model(home / "models", "p/a/a.gguf").write_bytes(b"no model")
    first, second = scan(home), scan(home)
    assert (first.headers_read, second.headers_read) == (1, 0)
    assert second.models == first.models


@pytest.mark.parametrize("content", [b"", b"\xc1", b"{}", msgspec.msgpack.encode([999_999, {}]), b"\x92\x01\xc0"])
def test_a_damaged_or_foreign_cache_is_begun_anew(home: Path, content: bytes):
    put_model(home / "models", "p/a/a.gguf")
    whole = scan(home)
    (home / CACHE_NAME).write_bytes(content)
    again = scan(home)
    assert (again.headers_read, again.models) == (1, whole.models)
    assert scan(home).headers_read == 0


def test_the_cache_is_the_users_own(home: Path):
    put_model(home / "models", "p/a/a.gguf")
    scan(home)
    assert stat.S_IMODE((home / CACHE_NAME).stat().st_mode) == 0o600


def test_a_home_that_cannot_be_written_to_only_costs_time(tmp_path: Path, users_home: Path):
    put_model(tmp_path / "listed", "p/a/a.gguf")
    home = tmp_path / "file"
    home.write_text("not a folder")
    assert [model.key for model in scan(home / "below", [tmp_path / "listed"]).models] == ["a"]


def test_processes_that_scan_at_the_same_time_do_not_disturb_each_other(home: Path):
    for number in range(40):
        put_model(home / "models", f"p/m{number}/m{number}.gguf")
    program = (
        "import sys; from pathlib import Path; from roci.engine.library import scan\n"
        "print(*{len(scan(Path(sys.argv[1])).offered) for _ in range(5)})"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["40", "40", "40"]
    assert scan(home).headers_read == 0
