"""`roci rm`: remove a model from this machine."""

from __future__ import annotations

import click

from roci.cli import output
from roci.cli.asking import can_ask, is_confirmed
from roci.config import RociConfig
from roci.engine.library import scan
from roci.engine.model_removal import Removal, plan_removal, remove

EXAMPLES = """\b
Examples:
  roci rm qwen3-4b@q4_k_m
  roci rm qwen3-4b --all --dry-run
  roci rm -y smollm2-135m-instruct
"""


@click.command(epilog=EXAMPLES)
@click.argument("key")
@click.option("--all", "all_variants", is_flag=True, help="Every variant of the model, where it has several.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output: key, files, freed_bytes.")
def command(key: str, all_variants: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove the model KEY from this machine, with all its files.

    Asks first. Only models in roci's own folder can be removed; what LM Studio, Hugging Face's tools or other folders
    hold is left alone. A server that has the model loaded keeps it in memory until it unloads it.
    """
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


def _document(removal: Removal, *, is_removed: bool) -> dict[str, object]:
    return {
        "key": removal.key,
        "removed": is_removed,
        "files": [str(path) for path in removal.files],
        "freed_bytes": removal.freed_bytes,
    }
