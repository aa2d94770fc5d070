"""The command line with the embedded engine and the real starter model: a newcomer's first commands."""

from __future__ import annotations

import json

import psutil

from tests.support.command_line import CTRL_C, CTRL_D, PATIENCE_S, CommandLine, interrupt, read_until

LOCAL = "local:smollm2-135m-instruct"
LONG = "Count from one to one thousand, in words."


def workers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if "roci.worker" in child.cmdline()]


def test_without_a_server_the_starter_model_answers_and_that_is_said(local: CommandLine) -> None:
    done = local.run("run", "--stats", "--max-tokens", "24", "--temperature", "0", "What is the capital of France?")
    assert done.status == 0
    assert done.out.strip()
    assert done.out.endswith("\n")
    said, stats = done.err.splitlines()[0], done.err.splitlines()[-1]
    assert said == (
        f"[{LOCAL}: the starter model; no server answers at {local.environment['LMSTUDIO_BASE_URL']} "
        "(from LMSTUDIO_BASE_URL)]"
    )
    assert "(load included)" in stats
    assert "tokens/s" in stats


def test_ctrl_c_leaves_no_worker(local: CommandLine) -> None:
    with local.started("run", "-m", LOCAL, LONG) as process:
        read_until(process, b" ")
        workers = workers_of(process.pid)
        assert len(workers) == 1
        assert interrupt(process) == 130
    gone, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert (len(gone), alive) == (1, [])


def test_a_talk_goes_on_after_ctrl_c(local: CommandLine) -> None:
    with local.on_terminal("chat", "-m", LOCAL, "--temperature", "0", "--max-tokens", "400") as terminal:
        terminal.expect("> ")
        terminal.type(LONG.encode() + b"\n")
        terminal.expect("\n")
        terminal.expect(" ")
        terminal.type(CTRL_C)
        terminal.expect("> ")
        terminal.type(b"/clear\n")
        terminal.expect("forgotten")
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.finish() == 0


def test_the_doctor_gets_a_token_from_a_model_that_is_named(local: CommandLine) -> None:
    done = local.run("doctor", "--json", "-m", LOCAL)
    found = {check["check"]: check for check in json.loads(done.out)["checks"]}
    assert done.status == 0
    assert found["server"]["status"] == "warning"
    assert found["answer"]["status"] == "ok"
    assert found["engine"]["status"] == "ok"
    assert found["starter model"]["status"] == "ok"


def test_no_server_is_a_warning_where_this_machine_can_answer(local: CommandLine) -> None:
    done = local.run("doctor")
    assert done.status == 0
    assert "warning  server         No server at" in done.out


def test_an_unknown_model_of_this_machine_names_what_there_is(local: CommandLine) -> None:
    done = local.run("run", "-m", "local:smollm", "Hi")
    assert done.status == 1
    assert "smollm2-135m-instruct" in done.err
