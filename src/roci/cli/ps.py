"""`roci ps`: the models in the server's memory."""

from __future__ import annotations

import time

import click

from roci.cli import output
from roci.cli.loaded_table import show
from roci.cli.managed import json_option, open_server, server_option

EXAMPLES = """\b
Examples:
  roci ps
  roci ps --json | jq -r '.[].id'
"""


@click.command(epilog=EXAMPLES)
@server_option
@json_option
def command(server: str | None, as_json: bool) -> None:
    """List the models in the server's memory: what each is called, what it does, and when it will be unloaded."""
    with open_server(server) as managed:
        copies = managed.list_loaded()
    if as_json:
        output.write_json(copies)
    elif copies:
        show(copies, time.time())
    else:
        output.note("No model is loaded. Load one with: roci load KEY")
