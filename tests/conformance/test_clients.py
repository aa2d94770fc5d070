"""Client libraries, unmodified and from their registries, against a live `roci serve` with the starter model.

`clients/` and `node/` hold a script for each client, which runs where that client is installed (the Makefile's
`.venv/clients`, `.venv/instructor` and `node_modules`); each check in it is a test here. A check that fails because the
model is too small for it is an expected failure, with what the model did instead.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.conftest import LiveServer

HERE = Path(__file__).parent
ENVIRONMENTS = Path(__file__).parents[2] / ".venv"
PATIENCE_S = 500
AT_ONCE = 3
STAYS_HERE = "nothing_but_this_machine_is_asked"
CLOSED = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Client:
    script: Path
    command: str | None
    """The interpreter that has it; None: there is none on this machine."""
    needs: str
    """Why its tests are skipped, if they are."""

    @property
    def name(self) -> str:
        return self.script.stem.removesuffix("_client") + self.script.suffix.replace(".py", "").replace(".", "-")

    def checks(self) -> list[str]:
        text = self.script.read_text()
        if self.script.suffix == ".py":
            functions = ast.parse(text).body
            names = [one.name for one in functions if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            named = [name.removeprefix("check_") for name in names if name.startswith("check_")]
        else:
            named = re.findall(r"^check\('([^']+)'", text, re.MULTILINE)
        return [*named, STAYS_HERE]


@dataclass(frozen=True)
class Outcome:
    kind: str
    words: str


def python_client(name: str, environment: str | None = "clients") -> Client:
    script = HERE / "clients" / f"{name}_client.py"
    if environment is None:
        return Client(script, sys.executable, "")
    python = ENVIRONMENTS / environment / "bin" / "python"
    return Client(script, str(python) if python.exists() else None, "`make clients` installs it")


def node_client(name: str) -> Client:
    is_installed = (HERE / "node" / "node_modules").is_dir()
    script = HERE / "node" / f"{name}_client.mjs"
    return Client(script, shutil.which("node") if is_installed else None, "`make clients` installs it, where node is")


CLIENTS = (
    python_client("openai", environment=None),
    python_client("openai_responses", environment=None),
    python_client("anthropic", environment=None),
    python_client("litellm"),
    python_client("langchain"),
    python_client("pydantic_ai"),
    python_client("instructor", "instructor"),
    python_client("llm"),
    python_client("any_llm"),
    node_client("openai"),
    node_client("ai"),
)


class Runs:
    """Runs scripts, a few at once, each one time."""

    def __init__(self, server: LiveServer, folder: Path, pool: ThreadPoolExecutor, clients: list[Client]) -> None:
        self._server = server
        self._folder = folder
        self._running: dict[str, Future[dict[str, Outcome]]] = {
            client.name: pool.submit(self._run, client, client.command)
            for client in clients
            if client.command is not None
        }

    def outcomes(self, client: Client) -> dict[str, Outcome]:
        return self._running[client.name].result()

    def _run(self, client: Client, command: str) -> dict[str, Outcome]:
        server = self._server
        # What a client would fetch, by whichever library, it must do without.
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "NO_PROXY": "127.0.0.1,localhost"}
        environ |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), CLOSED)
        done = subprocess.run(
            [command, str(client.script), server.url, server.model, server.embedding_model],
            env=environ,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["check"]: Outcome(line["outcome"], line["words"]) for line in told}


@pytest.fixture(scope="session")
def runs(
    live_server: LiveServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Runs]:
    """The scripts of those clients whose tests are going to run."""
    specs = [
        item.callspec
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    wanted = {spec.params["client"].name for spec in specs if isinstance(spec.params.get("client"), Client)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield Runs(
            live_server, tmp_path_factory.mktemp("clients"), pool, [one for one in CLIENTS if one.name in wanted]
        )
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    ("client", "check"),
    [
        pytest.param(client, check, id=f"{client.name}: {check.replace('_', ' ')}")
        for client in CLIENTS
        for check in client.checks()
    ],
)
def test_it_works_with(client: Client, check: str, runs: Runs) -> None:
    if client.command is None:
        pytest.skip(client.needs)
    outcome = runs.outcomes(client)[check]
    if outcome.kind == "cannot":
        pytest.xfail(f"{client.name}: the model: {outcome.words}")
    if outcome.kind == "missing":
        pytest.skip(outcome.words)
    assert outcome.kind == "passed", outcome.words
