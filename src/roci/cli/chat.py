"""`roci chat`: a conversation, turn by turn."""

from __future__ import annotations

import re
import sys
from typing import Final

import click

from roci.cli import output
from roci.cli.answer import print_answer, remark
from roci.cli.choice import Choice, announce, choose, open_provider
from roci.cli.failures import EXIT_FAILURE, tell
from roci.cli.line_editing import is_interactive, kept_history, read_line
from roci.config import RociConfig
from roci.errors import RociError, StreamInterruptedError
from roci.generation.text import stream_text
from roci.providers.provider import ModelProvider
from roci.providers.streams import TextStream
from roci.types.messages import ModelMessage
from roci.types.settings import GenerationSettings

EXAMPLES = """\b
Examples:
  roci chat
  roci chat -m lmstudio:qwen3-4b --system "Answer like a pirate."
"""
HELP: Final = """\
/model [SELECTOR]  say which model answers, or let another one answer
/clear             forget the conversation
/exit              end; so does Ctrl-D
/help              this
Ctrl-C stops an answer, or clears the line."""
PROMPT: Final = "> "
_COMMAND: Final = re.compile(r"/([a-z]+)(?:\s+(\S.*))?\s*")


@click.command(epilog=EXAMPLES)
@click.option("-m", "--model", metavar="SELECTOR", help="As for `roci run`.")
@click.option("--system", metavar="TEXT", help="Instructions that come before the conversation.")
@click.option("--temperature", type=float, metavar="N", help="From 0, always the likeliest token.")
@click.option("--max-tokens", type=int, metavar="N", help="Tokens of each answer, at most.")
@click.pass_context
def command(
    ctx: click.Context, model: str | None, system: str | None, temperature: float | None, max_tokens: int | None
) -> None:
    """Talk with a model, turn by turn. /help lists what can be said to roci itself.

    Ctrl-C stops an answer and keeps what has come of it. Without a terminal, each line of standard input is a turn.
    """
    settings = GenerationSettings(temperature=temperature, max_tokens=max_tokens)
    settings.check()
    config = RociConfig.from_env()
    choice = choose(model, config)
    announce(choice)
    with kept_history(config.home), _Talk(config, choice, settings, system) as talk:
        if is_interactive():
            output.note("/help for help, Ctrl-D to end.")
        talk.run()
    if talk.has_failed and not is_interactive():
        ctx.exit(EXIT_FAILURE)


class _Talk:
    """A conversation with one model at a time. It owns that model's provider."""

    def __init__(self, config: RociConfig, choice: Choice, settings: GenerationSettings, system: str | None) -> None:
        self._config = config
        self._choice = choice
        self._settings = settings
        self._opening = (ModelMessage.system(system),) if system else ()
        self._messages: tuple[ModelMessage, ...] = self._opening
        self._provider: ModelProvider = open_provider(choice, config)
        self.has_failed = False
        """Some turn got no whole answer."""

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.close()

    def run(self) -> None:
        """Until the end of the input, or `/exit`."""
        while True:
            try:
                line = read_line(PROMPT)
                if line is None or not self._take(line):
                    return
            except KeyboardInterrupt:
                if not is_interactive():
                    raise
                output.note("")

    def _take(self, line: str) -> bool:
        """Answer or obey one line; False where it was the last."""
        ours = _COMMAND.fullmatch(line.strip())
        if ours is not None:
            return self._obey(ours[1], ours[2] or "")
        if line.strip():
            self._answer(line)
        return True

    def _obey(self, name: str, argument: str) -> bool:
        if name in ("exit", "quit"):
            return False
        if name == "clear":
            self._messages = self._opening
            output.note("The conversation is forgotten.")
        elif name == "model":
            self._switch(argument.strip())
        elif name == "help":
            output.note(HELP)
        else:
            output.note(f"There is no /{name}; /help lists what there is.")
        return True

    def _switch(self, selector: str) -> None:
        if selector:
            try:
                choice = Choice(selector)
                provider = open_provider(choice, self._config)
            except RociError as error:
                tell(error)
                return
            # Two models need not fit into memory at once.
            self._provider.close()
            self._choice, self._provider = choice, provider
        output.note(output.printable(self._choice.selector))

    def _answer(self, line: str) -> None:
        """One turn. The conversation stays valid: a question is kept only with an answer behind it."""
        asked = (*self._messages, ModelMessage.user(line))
        stream = stream_text(self._provider, asked, self._settings)
        try:
            result = print_answer(stream)
        except KeyboardInterrupt:
            if not is_interactive():
                raise
            self._keep_what_came(stream)
            return
        except RociError as error:
            self.has_failed = True
            tell(error)
            output.note("This turn is not kept in the conversation.")
            return
        remark(result, is_wanted=output.is_terminal(sys.stderr))
        self._messages = result.messages if result.text else self._messages

    def _keep_what_came(self, stream: TextStream) -> None:
        try:
            stream.result()
        except StreamInterruptedError as stopped:
            if stopped.partial is not None and stopped.partial.text:
                self._messages = stopped.partial.messages
        output.note("(stopped)")
