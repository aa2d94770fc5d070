"""`roci models`: what the server has, and what lies on this machine."""

from __future__ import annotations

import sys
from typing import Final

import click
import msgspec

from roci.cli import output
from roci.cli.choice import why_not_the_server
from roci.cli.sighting import Sighting, look
from roci.config import RociConfig
from roci.engine.gguf_header import read_header
from roci.engine.library import LocalModel, models_on_disk
from roci.engine.starter_model import STARTER_KEY
from roci.errors import BadModelFileError
from roci.types.models import ModelInfo

EXAMPLES = """\b
Examples:
  roci models
  roci models --server http://localhost:8080
  roci models --json | jq -r '.local[].key'
"""
NARROW_COLUMNS: Final = 76
"""Below this a table would fold its cells: each model gets two lines instead."""
HEADINGS: Final = ("key", "kind", "size", "quantization", "context", "loaded")


@click.command(epilog=EXAMPLES)
@click.option("--server", metavar="URL", help="Ask this server instead of the one at LMSTUDIO_BASE_URL.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(server: str | None, as_json: bool) -> None:
    """List the models of the server, if one is there, and of this machine."""
    config = RociConfig.from_env()
    sighting = look(config, server)
    if server is not None and sighting.failure is not None:
        raise sighting.failure
    local = [_described(model) for model in models_on_disk(config.home)]
    if as_json:
        output.write_json(_document(sighting, local))
        return
    if sighting.failure is None:
        _show(f"At {sighting.base_url} ({sighting.word})", "lmstudio", sighting.models)
    else:
        why = output.printable(why_not_the_server(sighting)).rstrip(".")
        output.note(f"{why[0].upper()}{why[1:]}.")
    _show(f"On this machine ({config.home / 'models'})", "local", tuple(local))
    if not local and not sighting.models:
        output.note(f"There is no model yet. Fetch a small one with: roci get {STARTER_KEY}")


def _described(model: LocalModel) -> ModelInfo:
    """What the file's name and header say; a file that cannot be loaded is of kind `broken`."""
    info = ModelInfo(
        key=model.key,
        publisher=model.publisher,
        size_bytes=model.size_bytes,
        is_loaded=False,
        source=str(model.path),
    )
    try:
        header = read_header(model.path, key=model.key)
    except BadModelFileError:
        return msgspec.structs.replace(info, kind="broken")
    return msgspec.structs.replace(
        info,
        kind="embedding" if header.is_embedding else "llm",
        display_name=header.name or "",
        architecture=header.architecture,
        quantization=header.quantization or "",
        max_context_length=header.context_limit_tokens,
    )


def _document(sighting: Sighting, local: list[ModelInfo]) -> dict[str, object]:
    return {
        "server": {
            "base_url": sighting.base_url,
            "origin": sighting.word,
            "error": sighting.failure.message if sighting.failure else None,
            "models": sighting.models,
        },
        "local": local,
    }


def _show(title: str, provider: str, models: tuple[ModelInfo, ...]) -> None:
    output.note(title)
    if not models:
        output.note("  none")
        return
    rows = [_row(provider, model) for model in models]
    if output.columns(sys.stdout) < NARROW_COLUMNS:
        for key, *facts in rows:
            output.write(f"{key}\n  {', '.join(filter(None, facts))}")
        return
    from rich.table import Table

    table = Table(*HEADINGS, box=None, pad_edge=False, header_style="bold")
    table.columns[0].overflow = "fold"
    table.columns[2].justify = table.columns[4].justify = "right"
    for row in rows:
        table.add_row(*row)
    console = output.console(sys.stdout)
    with console.capture() as shown:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))
    sys.stdout.flush()


def _row(provider: str, model: ModelInfo) -> tuple[str, ...]:
    context = model.loaded_context_length or model.max_context_length
    cells = (
        f"{provider}:{model.key}",
        model.kind,
        output.size(model.size_bytes),
        model.quantization,
        f"{context:,}" if context else "",
        "loaded" if model.is_loaded else "",
    )
    return tuple(output.printable(cell) for cell in cells)
