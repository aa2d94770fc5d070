"""`roci run` against a server that says what LM Studio says, and what it must not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.canned_server import CannedServer, Reply, canned_server, chunk
from tests.support.command_line import (
    CTRL_C,
    PATIENCE_S,
    CommandLine,
    interrupt,
    lmstudio_routes,
    read_until,
)

from .conftest import ANSWER, STANDING_STILL, USAGE

Served = Callable[[CannedServer], CommandLine]


def sent(server: CannedServer) -> dict[str, Any]:
    return next(request.json() for request in reversed(server.requests) if request.method == "POST")


def test_the_answer_alone_goes_to_standard_output(server: CannedServer, served: Served) -> None:
    done = served(server).run("run", "-m", "lmstudio:m", "Hi")
    assert (done.status, done.out, done.err) == (0, "Hello there.\n", "")
    assert sent(server)["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_prompt_may_be_several_words(server: CannedServer, served: Served) -> None:
    served(server).run("run", "-m", "lmstudio:m", "why", "is", "it", "blue")
    assert sent(server)["messages"][-1]["content"] == "why is it blue"


def test_settings_reach_the_server(server: CannedServer, served: Served) -> None:
    flags = ["--system", "Be brief.", "--temperature", "0.5", "--top-p", "0.9", "--max-tokens", "7", "--seed", "3"]
    assert served(server).run("run", "-m", "lmstudio:m", *flags, "Hi").status == 0
    body = sent(server)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [body[name] for name in ("temperature", "top_p", "max_tokens", "seed")] == [0.5, 0.9, 7, 3]


def test_standard_input_is_appended_as_context(server: CannedServer, served: Served) -> None:
    served(server).run("run", "-m", "lmstudio:m", "Sum up:", stdin="Äpfel\nund Birnen\n".encode())
    assert sent(server)["messages"] == [{"role": "user", "content": "Sum up:\n\nÄpfel\nund Birnen"}]


def test_standard_input_alone_is_the_prompt(server: CannedServer, served: Served) -> None:
    served(server).run("run", "-m", "lmstudio:m", stdin=b"Hi\n")
    assert sent(server)["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("stdin", [b"", b"\n  \n"])
def test_nothing_to_ask_is_a_usage_error(server: CannedServer, served: Served, stdin: bytes) -> None:
    done = served(server).run("run", "-m", "lmstudio:m", stdin=stdin)
    assert done.status == 2
    assert "nothing to ask" in done.err
    assert server.requests == []


def test_standard_input_that_is_no_text_is_a_usage_error(server: CannedServer, served: Served) -> None:
    done = served(server).run("run", "-m", "lmstudio:m", "Hi", stdin=b"\xff\xfe\x00")
    assert done.status == 2
    assert "not UTF-8 text" in done.err


@pytest.mark.parametrize("flags", [["--temperature", "nan"], ["--max-tokens", "-1"], ["--timeout", "0"]])
def test_a_setting_out_of_range_is_named_and_nothing_is_sent(
    server: CannedServer, served: Served, flags: list[str]
) -> None:
    done = served(server).run("run", "-m", "lmstudio:m", *flags, "Hi")
    assert done.status == 2
    assert flags[0].strip("-").replace("-", "_")[:7] in done.err
    assert server.requests == []


def test_stats_go_to_standard_error(server: CannedServer, served: Served) -> None:
    done = served(server).run("run", "-m", "lmstudio:m", "--stats", "Hi")
    assert done.out == "Hello there.\n"
    assert "m: 7 tokens in, 3 out, first token after" in done.err
    assert "tokens/s" in done.err


def test_an_answer_that_was_cut_is_remarked_with_the_stats(served: Served) -> None:
    cut = Reply.events(chunk("Hel"), chunk(finish="length", usage=USAGE))
    with canned_server(lmstudio_routes(cut)) as server:
        assert "limit of tokens" in served(server).run("run", "--stats", "Hi").err
        assert "limit of tokens" not in served(server).run("run", "Hi").err


def test_another_model_than_asked_for_is_a_warning_in_one_line(server: CannedServer, served: Served) -> None:
    done = served(server).run("run", "-m", "lmstudio:other", "Hi")
    assert done.status == 0
    assert done.err == "warning: Asked for 'other', answered by 'm': the server replaced the model.\n"


def test_standard_input_that_stays_silent_is_not_waited_for_in_silence(server: CannedServer, served: Served) -> None:
    with served(server).started("run", "-m", "lmstudio:m", "Hi", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"Reading standard input")
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


# ---- which model, where none is named


def test_without_a_model_the_loaded_one_answers_and_that_is_said(server: CannedServer, served: Served) -> None:
    done = served(server).run("run", "Hi")
    assert done.out == "Hello there.\n"
    assert done.err == f"[lmstudio:m: loaded at {server.url}, from LMSTUDIO_BASE_URL]\n"


def test_the_environments_model_wins_over_the_loaded_one(server: CannedServer, served: Served) -> None:
    done = served(server).but(ROCI_MODEL="lmstudio:m").run("run", "Hi")
    assert done.err == "[lmstudio:m: from ROCI_MODEL]\n"
    assert [request.path for request in server.requests] == ["/v1/chat/completions"]


def test_the_word_of_an_env_file_is_named(server: CannedServer, alone: CommandLine) -> None:
    (alone.folder / ".env").write_text(f"LMSTUDIO_BASE_URL={server.url}\n")
    del alone.environment["LMSTUDIO_BASE_URL"]
    assert alone.run("run", "Hi").err == f"[lmstudio:m: loaded at {server.url}, from LMSTUDIO_BASE_URL in .env]\n"


def test_the_only_model_of_a_plain_v1_answers(served: Served) -> None:
    plain = {"GET /v1/models": Reply.json({"data": [{"id": "m"}]}), "POST /v1/chat/completions": ANSWER}
    with canned_server(plain) as server:
        done = served(server).run("run", "Hi")
    assert done.out == "Hello there.\n"
    assert "lmstudio:m: the only model at" in done.err


def test_a_server_that_wants_a_token_is_not_passed_over(served: Served) -> None:
    refusal = Reply.json({"error": {"message": "no token", "type": "invalid_request", "code": "invalid_api_key"}}, 401)
    with canned_server({"GET /api/v1/models": refusal}) as server:
        done = served(server).run("run", "Hi")
    assert done.status == 1
    assert "alive and refuses the token" in done.err
    assert "LM_API_TOKEN" in done.err


# ---- what goes wrong


def test_a_bare_model_name_gets_the_likely_selectors(alone: CommandLine) -> None:
    done = alone.run("run", "-m", "llama3.3", "Hi")
    assert done.status == 2
    assert "Did you mean lmstudio:llama3.3" in done.err


def test_a_refused_connection_lists_four_causes_and_the_address(alone: CommandLine) -> None:
    done = alone.run("run", "-m", "lmstudio:m", "Hi")
    assert done.status == 1
    assert done.out == ""
    assert alone.environment["LMSTUDIO_BASE_URL"] in done.err.splitlines()[0]
    assert [line[:5] for line in done.err.splitlines()[2:]] == ["  1. ", "  2. ", "  3. ", "  4. "]


def test_an_unknown_model_names_what_the_server_has(served: Served) -> None:
    unknown = Reply.json({"error": {"message": "Model 'n' not found", "code": "model_not_found"}}, 404)
    listed = Reply.json({"data": [{"id": "m"}, {"id": "other"}]})
    with canned_server({"POST /v1/chat/completions": unknown, "GET /v1/models": listed}) as server:
        done = served(server).run("run", "-m", "lmstudio:othr", "Hi")
    assert done.status == 1
    assert "Did you mean other?" in done.err
    assert "The server has: m, other." in done.err


def test_a_suggestion_that_the_server_has_made_is_not_made_again(served: Served) -> None:
    told = {"message": "There is no model 'othr'. Did you mean other?", "code": "model_not_found"}
    unknown, listed = Reply.json({"error": told}, 404), Reply.json({"data": [{"id": "m"}, {"id": "other"}]})
    with canned_server({"POST /v1/chat/completions": unknown, "GET /v1/models": listed}) as server:
        done = served(server).run("run", "-m", "lmstudio:othr", "Hi")
    assert done.err.count("Did you mean") == 1
    assert "The server has: m, other." in done.err


def test_a_server_that_answers_a_web_page_is_told_as_such(served: Served) -> None:
    with canned_server({"POST /v1/chat/completions": Reply.text("<html>Welcome</html>")}) as server:
        done = served(server).run("run", "-m", "lmstudio:m", "Hi")
    assert done.status == 1
    assert done.out == ""
    assert "web page" in done.err
    assert "Traceback" not in done.err


def test_an_answer_that_breaks_off_shows_what_came_and_fails(served: Served) -> None:
    with canned_server(lmstudio_routes(Reply.events(chunk("Hello"), done=False, cut=True))) as server:
        done = served(server).run("run", "-m", "lmstudio:m", "Hi")
    assert done.status == 1
    assert done.out == "Hello\n"
    assert done.err.startswith("error: ")


def test_a_time_limit_ends_the_answer(served: Served) -> None:
    with canned_server(lmstudio_routes(STANDING_STILL)) as server:
        done = served(server).run("run", "-m", "lmstudio:m", "--timeout", "1", "Hi")
        assert server.left.wait(PATIENCE_S)
    assert (done.status, done.out) == (1, "Hello\n")
    assert "limit of 1 s" in done.err


# ---- while it streams


def test_ctrl_c_ends_the_answer_its_line_and_the_servers_work(served: Served) -> None:
    with canned_server(lmstudio_routes(STANDING_STILL)) as server:
        with served(server).started("run", "-m", "lmstudio:m", "Hi") as process:
            # The answer's end is 600 s away: its beginning is out already.
            assert read_until(process, b"Hello") == b"Hello"
            assert interrupt(process) == 130
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read() == b"\n"
            assert process.stderr.read() == b""
        assert server.left.wait(PATIENCE_S)


def test_a_reader_that_has_enough_ends_the_answer_quietly(served: Served) -> None:
    endless = Reply.events(*(piece for _ in range(2000) for piece in (chunk("word "), 0.01)))
    with canned_server(lmstudio_routes(endless)) as server:
        with served(server).started("run", "-m", "lmstudio:m", "Hi") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(10)
            process.stdout.close()
            assert process.wait(PATIENCE_S) == 141
            assert process.stderr.read() == b""
        assert server.left.wait(PATIENCE_S)


# ---- on a terminal

ESCAPES = Reply.events(chunk("\x1b[31mred\x1b]0;title\x07\x9b2J\r end"), chunk(finish="stop"))


def test_a_model_cannot_command_the_terminal(served: Served) -> None:
    with canned_server(lmstudio_routes(ESCAPES)) as server:
        with served(server).on_terminal("run", "-m", "lmstudio:m", "Hi") as terminal:
            assert terminal.finish() == 0
        assert "\N{REPLACEMENT CHARACTER}[31mred" in terminal.shown.decode()
        assert b"\x1b" not in terminal.shown
        assert b"\x07" not in terminal.shown
        assert "\x9b" not in terminal.shown.decode()


def test_a_pipe_gets_the_models_text_as_it_is(served: Served) -> None:
    with canned_server(lmstudio_routes(ESCAPES)) as server:
        assert served(server).run("run", "-m", "lmstudio:m", "Hi").out == "\x1b[31mred\x1b]0;title\x07\x9b2J\r end\n"


def test_a_server_cannot_command_the_terminal_by_an_error(served: Served) -> None:
    evil = Reply.json({"error": {"message": "no \x1b[2Jway", "code": "x"}}, 400)
    with canned_server(lmstudio_routes(evil)) as server:
        with served(server).but(NO_COLOR="1").on_terminal("run", "-m", "lmstudio:m", "Hi") as terminal:
            assert terminal.finish() == 1
        assert b"\x1b" not in terminal.shown


@pytest.mark.parametrize(
    ("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(
    alone: CommandLine, variables: dict[str, str], is_coloured: bool
) -> None:
    with alone.but(**variables).on_terminal("run", "-m", "bare", "Hi") as terminal:
        assert terminal.finish() == 2
    assert (b"\x1b[31merror:" in terminal.shown) is is_coloured


def test_thinking_is_shown_on_a_terminal_beside_the_data(served: Served) -> None:
    thinking = Reply.events(chunk(delta={"reasoning_content": "Hmm"}), chunk("Yes."), chunk(finish="stop"))
    with canned_server(lmstudio_routes(thinking)) as server:
        assert served(server).run("run", "-m", "lmstudio:m", "Hi").err == ""
        ours, theirs = pty.openpty()
        with served(server).but(NO_COLOR="1").started("run", "-m", "lmstudio:m", "Hi", stderr=theirs) as process:
            os.close(theirs)
            assert read_until(process, b"\n") == b"Yes.\n"
            assert os.read(ours, 100).startswith(b"thinking: ")
            os.close(ours)


def test_ctrl_c_on_a_terminal_ends_with_130_and_no_traceback(served: Served) -> None:
    with canned_server(lmstudio_routes(STANDING_STILL)) as server:
        with served(server).on_terminal("run", "-m", "lmstudio:m", "Hi") as terminal:
            terminal.expect("Hello")
            terminal.type(CTRL_C)
            assert terminal.finish() == 130
        assert b"Traceback" not in terminal.shown
        assert server.left.wait(PATIENCE_S)


def test_text_that_the_encoding_cannot_say_is_marked(served: Served) -> None:
    with canned_server(lmstudio_routes(Reply.events(chunk("naïve ✓"), chunk(finish="stop")))) as server:
        done = served(server).but(PYTHONIOENCODING="ascii").run("run", "-m", "lmstudio:m", "Hi")
    assert (done.status, done.out) == (0, "na?ve ?\n")


def test_the_body_asks_for_a_stream_with_its_usage(server: CannedServer, served: Served) -> None:
    served(server).run("run", "-m", "lmstudio:m", "Hi")
    assert json.loads(server.requests[-1].body)["stream"] is True
