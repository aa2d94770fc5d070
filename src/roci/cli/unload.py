"""`roci unload`: a model out of the server's memory."""

from __future__ import annotations

import click

from roci.cli import output
from roci.cli.managed import complete_loaded, json_option, open_server, server_option

EXAMPLES = """\b
Examples:
  roci unload qwen3-4b
  roci unload --all
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False, shell_complete=complete_loaded)
@click.option("--all", "everything", is_flag=True, help="Every model in memory.")
@server_option
@json_option
def command(name: str | None, everything: bool, server: str | None, as_json: bool) -> None:
    """Take the copy called NAME out of the server's memory; where none has that name, all copies of the model NAME.

    Answers in progress may end first. Where one model is loaded, NAME may be left out.
    """
    if everything and name is not None:
        raise click.UsageError("NAME and --all exclude each other.", click.get_current_context())
    with open_server(server) as managed:
        gone = managed.unload_all() if everything else managed.unload_model(name or _only(managed.list_loaded()))
    if as_json:
        output.write_json({"unloaded": gone})
    elif gone:
        output.note(output.printable(f"Unloaded {', '.join(gone)}."))
    else:
        output.note("No model is loaded.")


def _only(copies: list[object]) -> str:
    names = [str(getattr(copy, "id", "")) for copy in copies]
    if len(names) == 1:
        return names[0]
    loaded = f"Loaded are: {', '.join(names)}." if names else "No model is loaded."
    raise click.UsageError(output.printable(f"Name the one to unload, or --all. {loaded}"), click.get_current_context())
