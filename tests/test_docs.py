"""Every example of the README and the guides runs as written, with the real starter model and a real `roci serve`."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDE_NAMES = (
    "server.md",
    "models.md",
    "typed-output.md",
    "reasoning.md",
    "images.md",
    "receipts.md",
    "context.md",
    "managing-models.md",
)
GUIDES = [(ROOT / "docs" / name).read_text() for name in GUIDE_NAMES]
EXAMPLES = re.findall(r"```python\n(.*?)```", "".join([README, *GUIDES]), re.DOTALL)
SAID = {
    # A word of each example -> what its output must show.
    "server.load_model(": r"running roci \d+.*1\.0\n.*answers as smollm2-135m-instruct with \d+ tokens.*gone: \('",
    'Why is the sky blue?", GenerationSettings(max_tokens=100)': r"\w{3,}.*\w{3,}",
    "asyncio.run": r"\w+.* \d+ (stop|length)",
    "result.stats.total_time_s": r"\w+.* \d+\.\d+",
    "stream=True)": r"\w{2,}",
    "tool_choice": r'call: weather \{.*"city"',
    "anthropic.Anthropic": r"\d+ tokens: \w+",
    "class Review": r"(good|bad) [1-5] enforced",
    "with stream_object(": r"\[.*\].*in the end: \('(red|green|blue)', '(red|green|blue)'\)",
    "roci.SchemaMismatchError": r"cut short by the token limit.* \$ .* enforced 1",
    "change.reason": r"said: \w.*not heeded: reasoning low - This model does not reason",
    "delta.reasoning else": r"\w+.*it thought: False",
    "ImagePart.from_bytes": r"it is sent as data:image/png;base64",
    "receipt.model_answered": r"model smollm2\S+ for \S+\ncontext \d+ of \d+ cached \d+\nprefill \S+ s.*retries: 0",
    "info.max_context_source": r"could have 8192 says /api/v1/models\nhas \d+ says /api/v1/models",
    'on_overflow="drop_oldest"': r"left out: 2 because: .*\d{5}",
    "ContextTooLongError": r"\d{5} tokens given, 8192 fit: \w+",
}


@pytest.fixture(scope="module")
def environment(starter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, "ROCI_HOME": str(starter_home), "HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def serving_port(environment: dict[str, str]) -> Iterator[int]:
    """`roci serve` on the README's own port; on another one only where somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 1234))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "roci", "serve"] + ([] if port == 1234 else ["--port", str(port)])
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            assert f":{port}" in server.stderr.readline()
            yield port
        finally:
            server.terminate()
            server.communicate(timeout=120)
    assert server.returncode == 0


def test_the_examples_were_found() -> None:
    assert len(EXAMPLES) == len(SAID)


@pytest.mark.parametrize(("word", "pattern"), SAID.items(), ids=list(SAID))
def test_an_example_runs_as_written(
    word: str, pattern: str, environment: dict[str, str], serving_port: int, tmp_path: Path
) -> None:
    (code,) = [example for example in EXAMPLES if word in example]
    if serving_port != 1234:
        code = code.replace(":1234", f":{serving_port}")
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(pattern, done.stdout, re.DOTALL), done.stdout


def test_the_readme_has_exactly_two_commands_for_a_fresh_machine() -> None:
    (block,) = re.findall(r"## Two commands.*?```sh\n(.*?)```", README, re.DOTALL)

    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]


def test_every_command_of_the_readmes_table_is_there(environment: dict[str, str]) -> None:
    for command in re.findall(r"^\| `roci (\w+)", README, re.MULTILINE):
        done = subprocess.run([sys.executable, "-m", "roci", command, "--help"], env=environment, capture_output=True)
        assert done.returncode == 0, command


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), f"{name}: {target}"
