"""`roci status`: is a server there, and how is it. The port is asked, no file."""

from __future__ import annotations

import time
from typing import Final

import click

from roci.cli import output
from roci.cli.loaded_table import show
from roci.cli.managed import json_option, open_server, server_option
from roci.types.management import ServerStatus

EXAMPLES = """\b
Examples:
  roci status
  roci status --server http://gpu-box:1234 --json
  until roci status; do sleep 1; done
"""
_NAMES: Final = {"roci": "roci serve", "lmstudio": "LM Studio", "other": "A server that speaks /v1"}
_TOKEN_ADVICE: Final = "It is alive and wants a token: set LM_API_TOKEN."  # noqa: S105 - words


@click.command(epilog=EXAMPLES)
@server_option
@json_option
def command(server: str | None, as_json: bool) -> None:
    """Say whether a server is there, which one it is, and what it has in memory.

    The exit status is 0 where a model server answers, with or without a token, else 1.
    """
    with open_server(server) as managed:
        status = managed.server_status()
    if as_json:
        output.write_json(status)
    else:
        _tell(status)
    if not status.is_alive:
        click.get_current_context().exit(1)


def _tell(status: ServerStatus) -> None:
    name = f"{_NAMES[status.kind]}{f' {status.version}' if status.version else ''}"
    match status.state:
        case "running":
            output.write(output.printable(f"{name} is running at {status.base_url}"))
        case "shutting_down":
            output.write(output.printable(f"{name} is shutting down at {status.base_url}"))
        case "token_needed":
            output.write(output.printable(f"{name} is running at {status.base_url}"))
            output.note(_TOKEN_ADVICE)
            return
        case "unreachable":
            output.write(output.printable(f"No server answers at {status.base_url}"))
        case "not_a_model_server":
            output.write(output.printable(f"What answers at {status.base_url} is no model server"))
    if status.detail:
        output.note(output.printable(f"  {status.detail}"))
    if status.state != "running":
        return
    facts = [] if status.model_count is None else [f"{status.model_count} model{'s' * (status.model_count != 1)}"]
    facts.append(f"{len(status.loaded)} in memory")
    if status.queue_length:
        facts.append(f"{status.queue_length} requests waiting")
    output.note(f"  {', '.join(facts)}")
    if status.loaded:
        show(status.loaded, time.time())
