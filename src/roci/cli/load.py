"""`roci load`: a model into the server's memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from roci.cli import output
from roci.cli.managed import complete_key, json_option, open_server, server_option
from roci.types.management import LoadOptions, LoadProgress

EXAMPLES = """\b
Examples:
  roci load qwen3-4b
  roci load qwen3-4b --context-length 16384 --parallel 2 --ttl 3600
  roci load qwen3-4b --another --identifier second
"""


@click.command(epilog=EXAMPLES)
@click.argument("key", shell_complete=complete_key)
@click.option("--context-length", type=int, metavar="N", help="Tokens of prompt and answer together.")
@click.option("--parallel", type=int, metavar="N", help="Answers at once. roci serve alone, as what follows.")
@click.option("--identifier", metavar="NAME", help="The copy's name; the key without it.")
@click.option("--ttl", "ttl_s", type=float, metavar="SECONDS", help="Unload it after so many idle seconds.")
@click.option("--threads", type=int, metavar="N", help="Processor threads.")
@click.option("--gpu-layers", "n_gpu_layers", type=int, metavar="N", help="Layers on a GPU; 0: none, -1: all.")
@click.option("--kv-cache-type", metavar="TYPE", help="f16, q8_0 and so on.")
@click.option("--draft-model", metavar="KEY", help="A smaller model that proposes tokens.")
@click.option("--batch-size", "eval_batch_size", type=int, metavar="N", help="Prompt tokens in one step; any server.")
@click.option("--flash-attention/--no-flash-attention", default=None, help="Any server.")
@click.option("--another", is_flag=True, help="Load another copy where one is loaded.")
@click.option("--progress/--no-progress", default=True, help="How far it is, on standard error.")
@server_option
@json_option
def command(key: str, another: bool, progress: bool, server: str | None, as_json: bool, **options: Any) -> None:
    """Load the model KEY into the server's memory; its identifier goes to standard output.

    A copy that is loaded with these options already is taken as it is. Ctrl-C ends the load on `roci serve`.
    """
    with open_server(server) as managed, _shown(key, progress) as show:
        copy = managed.load_model(
            key, LoadOptions(**options), if_loaded="another" if another else "reuse", on_progress=show
        )
    if as_json:
        output.write_json(copy)
        return
    if copy.was_loaded:
        output.note(output.printable(f"{copy.id} is loaded already."))
    else:
        took = "" if copy.load_time_s is None else f" in {copy.load_time_s:.1f} s"
        context = "" if copy.context_length is None else f", context {copy.context_length:,} tokens"
        output.note(output.printable(f"Loaded {copy.key}{took}{context}."))
    output.write(copy.id)


@contextmanager
def _shown(key: str, is_wanted: bool) -> Iterator[Callable[[LoadProgress], None] | None]:
    """A bar on a terminal; elsewhere nothing moves."""
    if not is_wanted or not output.is_terminal(sys.stderr):
        yield None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.console(sys.stderr), transient=True) as bar:
        task = bar.add_task(output.printable(f"Loading {key}"), total=None)

        def show(progress: LoadProgress) -> None:
            if progress.ratio is not None:
                bar.update(task, total=1.0, completed=progress.ratio)

        yield show
