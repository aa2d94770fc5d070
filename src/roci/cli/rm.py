"""`roci rm`: remove a model from this machine, or from a server's."""

from __future__ import annotations

import click

from roci.cli import output
from roci.cli.asking import can_ask, is_confirmed
from roci.cli.managed import complete_key, open_server, server_option
from roci.config import RociConfig
from roci.engine.library import scan
from roci.engine.model_removal import Removal, plan_removal, remove

EXAMPLES = """\b
Examples:
  roci rm qwen3-4b@q4_k_m
  roci rm qwen3-4b --all --dry-run
  roci rm -y smollm2-135m-instruct
  roci rm qwen3-4b --server http://gpu-box:1234
"""


@click.command(epilog=EXAMPLES)
@click.argument("key", shell_complete=complete_key)
@click.option("--all", "all_variants", is_flag=True, help="Every variant of the model, where it has several.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@server_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output: key, files, freed_bytes.")
def command(key: str, all_variants: bool, dry_run: bool, yes: bool, server: str | None, as_json: bool) -> None:
    """Remove the model KEY from this machine, with all its files; with --server, from that server's.

    Asks first. Only models in roci's own folder can be removed; what LM Studio, Hugging Face's tools or other folders
    hold is left alone. A server that has the model loaded keeps it in memory until it unloads it.
    """
    if server is not None:
        if all_variants or dry_run:
            raise click.UsageError("--all and --dry-run are for models on this machine.", click.get_current_context())
        _remove_from_server(server, key, yes=yes, as_json=as_json)
        return
    home = RociConfig.from_env().home
    removal = plan_removal(scan(home), home, key.removeprefix("local:"), all_variants=all_variants)
    if not dry_run and not yes and not can_ask():
        raise click.UsageError(
            "There is no terminal to ask on. To remove it without a question: --yes", click.get_current_context()
        )
    for path in removal.files:
        output.note(f"  {output.printable(str(path))}")
    size = output.size(removal.freed_bytes)
    if dry_run:
        output.note(f"{removal.key} would be removed; that frees {size}. Nothing was changed.")
    elif not yes and not is_confirmed(f"Remove {removal.key} and free {size}?"):
        output.note("Nothing was changed.")
        click.get_current_context().exit(1)
    else:
        remove(removal)
        output.note(f"Removed {removal.key}: {size} freed.")
    if as_json:
        output.write_json(_document(removal, is_removed=not dry_run))


def _remove_from_server(server: str, key: str, *, yes: bool, as_json: bool) -> None:
    if not yes and not can_ask():
        raise click.UsageError(
            "There is no terminal to ask on. To remove it without a question: --yes", click.get_current_context()
        )
    if not yes and not is_confirmed(f"Remove {key} from {server}?"):
        output.note("Nothing was changed.")
        click.get_current_context().exit(1)
    with open_server(server) as managed:
        freed = managed.delete_model(key)
    output.note(output.printable(f"Removed {key} from {server}: {output.size(freed)} freed."))
    if as_json:
        output.write_json({"key": key, "removed": True, "freed_bytes": freed})


def _document(removal: Removal, *, is_removed: bool) -> dict[str, object]:
    return {
        "key": removal.key,
        "removed": is_removed,
        "files": [str(path) for path in removal.files],
        "freed_bytes": removal.freed_bytes,
    }
