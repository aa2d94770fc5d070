"""Which commands there are, and what becomes of everything that can go wrong in one.

A command's module is imported when it is called.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Final

import click

from roci.cli import output
from roci.cli.failures import EXIT_BROKEN_PIPE, EXIT_FAILURE, EXIT_USAGE, exit_status, tell, tell_words
from roci.cli.main import EXIT_INTERRUPTED
from roci.errors import RociError
from roci.version import VERSION

COMMANDS: Final = {
    "run": "Ask a model one question; the answer streams.",
    "chat": "Talk with a model, turn by turn.",
    "ls": "List the models of the server and of this machine.",
    "ps": "List the models in the server's memory.",
    "load": "Load a model into the server's memory.",
    "unload": "Take a model out of the server's memory.",
    "status": "Say whether a server is there, and how it is.",
    "search": "Find models on Hugging Face.",
    "get": "Fetch a model to this machine, or to the server's.",
    "import": "Bring a model file, or Ollama's models, into roci's folder.",
    "rm": "Remove a model from this machine, or from the server's.",
    "serve": "Serve the models of this machine on port 1234.",
    "tokens": "Make, list and remove access tokens of the server.",
    "config": "Show and change the settings of the server and of models.",
    "doctor": "Check what is there, and say what to do.",
    "completion": "Make the shell complete commands, options and models.",
}
"""Command -> its line in the list; its module is `roci.cli.<command>`, with `_` behind a word of the language."""
ALIASES: Final = {"models": "ls"}
"""Other names, which the list leaves out."""
COMPLETION_VARIABLE: Final = "_ROCI_COMPLETE"
"""Set by the shell's completion script, as click makes it."""

HELP_COLUMNS_MIN: Final = 30
HELP_COLUMNS_MAX: Final = 80

EXAMPLES: Final = """\b
Examples:
  roci run "Why is the sky blue?"
  git diff | roci run "Write a commit message for this diff."
  roci chat -m lmstudio:qwen3-4b
  roci doctor
"""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"roci.cli.{cmd_name}{'_' if iskeyword(cmd_name) else ''}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and name not in ALIASES and not name.startswith("-"):
            raise click.UsageError(_unknown_command(name), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)
@click.version_option(VERSION, "-V", "--version", message="roci %(version)s")
@click.pass_context
def roci(ctx: click.Context) -> None:
    """Local language models: ask the server on your desk, or the engine in this program."""
    if ctx.invoked_subcommand is None:
        output.write(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line; gives the exit status."""
    output.prepare_streams()
    try:
        try:
            status = _invoke(list(arguments))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        # Whoever read our output has what it wanted.
        output.let_go_of_streams()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        output.let_go_of_streams(stderr=False)
        tell_words(str(error))
        return EXIT_FAILURE
    return status


def _invoke(arguments: list[str]) -> int:
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(roci, {}, "roci", COMPLETION_VARIABLE, instruction)
    try:
        with roci.make_context("roci", arguments, terminal_width=_help_columns()) as context:
            roci.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        tell_words(error.format_message(), f"See: {context.command_path} --help" if context else "")
        return EXIT_USAGE if isinstance(error, click.UsageError) else error.exit_code
    except KeyboardInterrupt:
        # What is left to do is bounded: connections and workers are let go.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return EXIT_INTERRUPTED
    except RociError as error:
        tell(error)
        return exit_status(error)
    return 0


def _help_columns() -> int:
    """click by itself never goes below 50 columns."""
    return max(HELP_COLUMNS_MIN, min(HELP_COLUMNS_MAX, shutil.get_terminal_size().columns))


def _unknown_command(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), [*COMMANDS, *ALIASES], n=2, cutoff=0.5)
    if near:
        return f"There is no command {name!r}. Did you mean {' or '.join(near)}?"
    return f'There is no command {name!r}. To ask a model: roci run "{name} …"'
