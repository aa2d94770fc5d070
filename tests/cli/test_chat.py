"""`roci chat`: turns that build on each other, and what can be said to roci itself."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support.canned_server import CannedServer, Reply, Request, canned_server, chunk
from tests.support.command_line import CTRL_C, CTRL_D, PATIENCE_S, CommandLine, lmstudio_routes

Served = Callable[[CannedServer], CommandLine]
CHAT = ("chat", "-m", "lmstudio:m")


def echo(request: Request) -> Reply:
    """Answers with the last question, in the way that the question names."""
    asked = request.json()["messages"][-1]["content"]
    if asked == "for ever":
        return Reply.events(chunk("On and on"), 600.0)
    if asked == "break off":
        return Reply.events(chunk("Half"), done=False, cut=True)
    if asked == "refuse":
        return Reply.json({"error": {"message": "I will not.", "code": "no"}}, 400)
    if asked == "only think":
        return Reply.events(chunk(delta={"reasoning_content": "Hmm"}), chunk(finish="stop"))
    return Reply.events(chunk(f"You said {asked}."), chunk(finish="stop"))


@pytest.fixture
def echoing() -> Iterator[CannedServer]:
    with canned_server(lmstudio_routes(echo)) as running:
        yield running


def conversations(server: CannedServer) -> list[list[Any]]:
    return [
        [(message["role"], message["content"]) for message in request.json()["messages"]]
        for request in server.requests
        if request.method == "POST"
    ]


# ---- without a terminal: each line is a turn


def test_each_line_is_a_turn_that_knows_the_ones_before(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, "--system", "Be kind.", stdin=b"one\n\ntwo\n")
    assert (done.status, done.out, done.err) == (0, "You said one.\nYou said two.\n", "")
    first = [("system", "Be kind."), ("user", "one")]
    assert conversations(echoing) == [first, [*first, ("assistant", "You said one."), ("user", "two")]]


def test_clear_forgets_all_but_the_instructions(echoing: CannedServer, served: Served) -> None:
    served(echoing).run(*CHAT, "--system", "Be kind.", stdin=b"one\n/clear\ntwo\n")
    assert conversations(echoing)[1] == [("system", "Be kind."), ("user", "two")]


def test_exit_ends_and_nothing_behind_it_is_asked(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, stdin=b"one\n/exit\ntwo\n")
    assert (done.status, done.out) == (0, "You said one.\n")


def test_a_path_at_the_beginning_is_no_command(echoing: CannedServer, served: Served) -> None:
    assert served(echoing).run(*CHAT, stdin=b"/etc/hosts\n").out == "You said /etc/hosts.\n"


def test_an_unknown_command_is_not_sent_to_the_model(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, stdin=b"/claer\n")
    assert "There is no /claer" in done.err
    assert conversations(echoing) == []


def test_help_lists_the_commands(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, stdin=b"/help\n")
    assert all(word in done.err for word in ("/model", "/clear", "/exit", "Ctrl-C"))


def test_model_says_and_changes_who_answers(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, stdin=b"/model\none\n/model lmstudio:other\ntwo\n")
    assert done.err.startswith("lmstudio:m\nlmstudio:other\n")
    assert [request.json()["model"] for request in echoing.requests] == ["m", "other"]
    assert len(conversations(echoing)[1]) == 3


def test_a_model_that_cannot_be_leaves_the_one_before(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, stdin=b"/model other\n/model local:nope\none\n")
    assert "Did you mean lmstudio:other" in done.err
    assert "no model 'nope' on this machine" in done.err
    assert done.out == "You said one.\n"


@pytest.mark.parametrize("failing", ["refuse", "break off"])
def test_a_failed_turn_is_told_and_left_out_and_the_talk_goes_on(
    echoing: CannedServer, served: Served, failing: str
) -> None:
    done = served(echoing).run(*CHAT, stdin=f"one\n{failing}\ntwo\n".encode())
    assert done.status == 1
    assert "error: " in done.err
    assert "not kept" in done.err
    assert done.out.endswith("You said two.\n")
    assert conversations(echoing)[-1] == [("user", "one"), ("assistant", "You said one."), ("user", "two")]


def test_an_answer_without_text_is_remarked_and_left_out(echoing: CannedServer, served: Served) -> None:
    done = served(echoing).run(*CHAT, stdin=b"only think\ntwo\n")
    assert "without any text" in done.err
    assert conversations(echoing)[-1] == [("user", "two")]


# ---- on a terminal


def test_ctrl_c_stops_the_answer_and_not_the_program(echoing: CannedServer, served: Served) -> None:
    with served(echoing).on_terminal(*CHAT) as terminal:
        terminal.expect("> ")
        terminal.type(b"for ever\n")
        terminal.expect("On and on")
        terminal.type(CTRL_C)
        terminal.expect("(stopped)")
        assert echoing.left.wait(PATIENCE_S)
        terminal.expect("> ")
        terminal.type(b"two\n")
        terminal.expect("You said two.")
        terminal.type(b"/exit\n")
        assert terminal.finish() == 0
    assert conversations(echoing)[1] == [("user", "for ever"), ("assistant", "On and on"), ("user", "two")]


def test_ctrl_c_at_the_prompt_clears_the_line_and_ctrl_d_ends(echoing: CannedServer, served: Served) -> None:
    with served(echoing).on_terminal(*CHAT) as terminal:
        terminal.expect("> ")
        terminal.type(b"never mind")
        terminal.expect("never mind")
        terminal.press_until(CTRL_C, "> ")
        terminal.type(b"one\n")
        terminal.expect("You said one.")
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.finish() == 0
    assert conversations(echoing) == [[("user", "one")]]
    assert b"Traceback" not in terminal.shown


@pytest.mark.skipif(find_spec("readline") is None, reason="this Python has no readline")
def test_lines_are_remembered_for_the_next_talk_in_a_private_file(echoing: CannedServer, served: Served) -> None:
    line = served(echoing)
    with line.on_terminal(*CHAT) as terminal:
        terminal.expect("> ")
        terminal.type(b"one\n")
        terminal.expect("You said one.")
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.finish() == 0
    history = line.folder / "roci" / "chat-history"
    assert "one" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    with line.on_terminal(*CHAT) as terminal:
        terminal.expect("> ")
        terminal.type(b"\x1b[A\n")  # the arrow up
        terminal.expect("You said one.")
        terminal.expect("> ")
        terminal.type(CTRL_D)
        assert terminal.finish() == 0
    assert conversations(echoing) == [[("user", "one")], [("user", "one")]]
