"""`roci ls`, which `roci models` is too: what the server has, and what lies on this machine."""

from __future__ import annotations

import click

from roci.cli import output
from roci.cli.choice import why_not_the_server
from roci.cli.model_table import local_row, server_row, show
from roci.cli.recommended import show as show_recommended
from roci.cli.sighting import Sighting, look
from roci.config import RociConfig
from roci.engine.library import scan
from roci.engine.model_description import ModelDescription, describe
from roci.engine.starter_model import STARTER_KEY

EXAMPLES = """\b
Examples:
  roci ls
  roci ls --recommended
  roci ls --server http://localhost:8080
  roci ls --json | jq -r '.local[] | select(.state == "ok") | .key'
"""


@click.command(epilog=EXAMPLES)
@click.option("--server", metavar="URL", help="Ask this server instead of the one at LMSTUDIO_BASE_URL.")
@click.option("--recommended", is_flag=True, help="List models that are worth a try, and whether they fit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(server: str | None, recommended: bool, as_json: bool) -> None:
    """List the models of the server, if one is there, and of this machine.

    This machine's are those in roci's folder, in LM Studio's, in the folders of the setting model_folders and in the
    Hugging Face cache. Files that cannot be loaded are listed with the reason.
    """
    config = RociConfig.from_env()
    if recommended:
        show_recommended(config.home, as_json=as_json)
        return
    sighting = look(config, server)
    if server is not None and sighting.failure is not None:
        raise sighting.failure
    local = [describe(model) for model in scan(config.home).models]
    if as_json:
        output.write_json(_document(sighting, local))
        return
    if sighting.failure is None:
        show(f"At {sighting.base_url} ({sighting.word})", [server_row(model) for model in sighting.models])
    else:
        why = output.printable(why_not_the_server(sighting)).rstrip(".")
        output.note(f"{why[0].upper()}{why[1:]}.")
    show(
        f"On this machine ({config.home / 'models'} and what is read beside it)", [local_row(model) for model in local]
    )
    for model in local:
        if model.problem:
            output.note(output.printable(f"{model.key}: {model.problem}"))
    if not local and not sighting.models:
        output.note(f"There is no model yet. Fetch a small one with: roci get {STARTER_KEY}")


def _document(sighting: Sighting, local: list[ModelDescription]) -> dict[str, object]:
    return {
        "server": {
            "base_url": sighting.base_url,
            "origin": sighting.word,
            "error": sighting.failure.message if sighting.failure else None,
            "models": sighting.models,
        },
        "local": local,
    }
