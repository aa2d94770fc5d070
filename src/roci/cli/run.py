"""`roci run`: one question, one answer."""

from __future__ import annotations

import sys

import click

from roci.cli import output
from roci.cli.answer import print_answer, print_stats, remark
from roci.cli.choice import announce, choose, open_provider
from roci.cli.standard_input import piped_text
from roci.config import RociConfig
from roci.generation.text import stream_text
from roci.types.messages import ModelMessage
from roci.types.settings import GenerationSettings, Timeouts

EXAMPLES = """\b
Examples:
  roci run "Why is the sky blue?"
  roci run -m lmstudio:qwen3-4b --temperature 0 "Name a prime above 90."
  cat notes.txt | roci run --system "Answer in French." "Sum this up."
  roci run --stats "Count to ten." > answer.txt
"""


@click.command(epilog=EXAMPLES)
@click.argument("prompt", nargs=-1)
@click.option(
    "-m",
    "--model",
    metavar="SELECTOR",
    help="provider:model, such as lmstudio:qwen3-4b or local:smollm2-135m-instruct. Without it: ROCI_MODEL, else "
    "the model that is loaded at LMSTUDIO_BASE_URL, else the starter model.",
)
@click.option("--system", metavar="TEXT", help="Instructions that come before the conversation.")
@click.option("--temperature", type=float, metavar="N", help="From 0, always the likeliest token.")
@click.option("--top-p", type=float, metavar="N", help="0 to 1: the likeliest tokens that make up this share.")
@click.option("--max-tokens", type=int, metavar="N", help="Tokens of the answer, at most.")
@click.option("--seed", type=int, metavar="N", help="Repeatable only while the server runs this question alone.")
@click.option("--timeout", type=float, metavar="SECONDS", help="For the whole answer; none by default.")
@click.option("--stats", is_flag=True, help="Tokens a second and time to first token, on standard error.")
def command(
    prompt: tuple[str, ...],
    model: str | None,
    system: str | None,
    temperature: float | None,
    top_p: float | None,
    max_tokens: int | None,
    seed: int | None,
    timeout: float | None,
    stats: bool,
) -> None:
    """Ask a model one question; the answer streams to standard output.

    Standard input, if it is not a terminal, is added to the PROMPT as context, or is the prompt where there is none.
    """
    settings = GenerationSettings(temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed)
    settings.check()
    config = RociConfig.from_env()
    timeouts = Timeouts(**config.timeouts | {"total_s": timeout}) if timeout is not None else None
    messages = _conversation(" ".join(prompt), system)
    choice = choose(model, config)
    announce(choice)
    with open_provider(choice, config) as provider:
        result = print_answer(stream_text(provider, messages, settings, timeouts=timeouts))
    remark(result, is_wanted=stats or output.is_terminal(sys.stderr))
    if stats:
        print_stats(result, has_load=provider.name == "local")


def _conversation(prompt: str, system: str | None) -> list[ModelMessage]:
    question = "\n\n".join(filter(str.strip, [prompt, piped_text()]))
    if not question:
        raise click.UsageError(
            'There is nothing to ask. Give a prompt, as in: roci run "Why is the sky blue?"',
            click.get_current_context(),
        )
    return [*([ModelMessage.system(system)] if system else []), ModelMessage.user(question)]
