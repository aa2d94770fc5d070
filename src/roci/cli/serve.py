"""`roci serve`: the gateway, in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from roci.cli import output
from roci.config import RociConfig
from roci.engine.extras import need_gateway
from roci.engine.library import models_on_disk
from roci.engine.starter_model import STARTER_KEY

EXAMPLES = """\b
Examples:
  roci serve
  roci serve --port 8080 --verbose
  roci serve --max-loaded 2 --context-length 16384

\b
Then, for instance:
  curl http://localhost:1234/v1/models
"""


class Flag(NamedTuple):
    """A setting of the gateway as an option; its range is checked where all settings are."""

    name: str
    """The field of `ServerSettings`. That all are here, with these types, is tested."""
    kind: type
    help: str


# Spelled out, because help must not cost the import of the gateway, nor need it installed.
FLAGS: Final = (
    Flag("host", str, "A loopback address; others are refused until there are access tokens. [127.0.0.1]"),
    Flag("port", int, "0 takes any free one. [1234]"),
    Flag("verbose", bool, "One line for each request on standard error."),
    Flag("max_loaded", int, "Models in memory at once. [1]"),
    Flag("parallel", int, "Answers at once from one model; fewer where memory is short. [4]"),
    Flag("context_length", int, "Tokens for each answer with its prompt. [the model's limit, at most 8192]"),
    Flag("threads", int, "Threads that compute. [usable cores minus one]"),
    Flag(
        "n_batch", int, "Prompt tokens computed in one step, for which neighbours pause. [64 on a CPU, 512 with a GPU]"
    ),
    Flag("n_gpu_layers", int, "Layers on a GPU; -1 is all, 0 none. [-1]"),
    Flag("queue_limit", int, "Requests that may wait; one more is refused. [512]"),
    Flag("drain_s", float, "Seconds that answers in progress may take after Ctrl-C. [30]"),
    Flag("max_body_mb", int, "Megabytes of one request's body. [64]"),
)


def _with_flags(function: Any) -> Any:
    for setting in reversed(FLAGS):
        dashed = setting.name.replace("_", "-")
        is_switch = setting.kind is bool
        function = click.option(
            f"--{dashed}/--no-{dashed}" if is_switch else f"--{dashed}",
            type=setting.kind,
            default=None,
            metavar=None if is_switch else "TEXT" if setting.kind is str else "N",
            help=setting.help,
        )(function)
    return function


@click.command(epilog=EXAMPLES)
@_with_flags
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A JSON file of these settings, with _ for -. [server.json in roci's home, if it is there]",
)
def command(file: Path | None, **flags: object) -> None:
    """Serve the models of this machine to LM Studio's and OpenAI's clients.

    A model is loaded when a request first names it. Who wins: an option, then ROCI_PORT and so on in the environment,
    then the file, then the default in brackets. Ctrl-C lets answers finish; again, it ends at once.
    """
    need_gateway()
    # Only here: without the extra there is nothing to import.
    from roci.server.serving import serve
    from roci.server.settings import FILE_NAME, resolve_settings

    home = RociConfig.from_env().home
    if file is None and (home / FILE_NAME).is_file():
        file = home / FILE_NAME
    settings = resolve_settings(flags, os.environ, file)

    def announce(url: str) -> None:
        output.note(f"roci serves on {url}")
        if not models_on_disk(home):
            output.note(f"There is no model on this machine yet. In another terminal: roci get {STARTER_KEY}")

    serve(settings, home, on_ready=announce)
