"""`roci get`: fetch a model to this machine, or have a server download it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from roci.cli import output
from roci.cli.fetching import download_with_progress, fetch_with_progress
from roci.cli.managed import server_option
from roci.cli.server_download import download_to_server
from roci.config import RociConfig
from roci.engine.hub.choice import machine_memory_bytes
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.part_file import part_of
from roci.engine.hub.planning import Plan, make_plan
from roci.engine.hub.web import Web
from roci.engine.library import models_on_disk
from roci.engine.local_model import LocalModel
from roci.engine.starter_model import STARTER_KEY

EXAMPLES = f"""\b
Examples:
  roci get {STARTER_KEY}
  roci get phi-3-mini
  roci get bartowski/Llama-3.2-3B-Instruct-GGUF@Q4_K_M
  roci get https://example.com/models/tiny-Q8_0.gguf
  roci get ibm/granite-4-micro --server http://gpu-box:1234
"""


@click.command(epilog=EXAMPLES)
@click.argument("name")
@click.option("--quant", "quantization", metavar="Q", help="This quantization, Q4_K_M for instance, whatever its size.")
@click.option("--force", is_flag=True, help="Take the smallest file where none fits this machine.")
@click.option("--limit-mb-s", type=click.FloatRange(min=0.001), metavar="X", help="At most X megabytes a second.")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@server_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    name: str,
    quantization: str | None,
    force: bool,
    limit_mb_s: float | None,
    dry_run: bool,
    server: str | None,
    as_json: bool,
) -> None:
    """Fetch the model NAME to this machine; with --server, to that server's.

    NAME is one that `roci models --recommended` lists, OWNER/NAME or OWNER/NAME@Q4_K_M on Hugging Face, a link to it,
    or a link to a .gguf file. Of several quantizations the best that fits this machine is taken. A download that was
    ended early goes on where it was. The file's path goes to standard output.

    HF_TOKEN is sent to the hub, HF_ENDPOINT names another one, HTTPS_PROXY is heeded. A server's download is its own:
    Ctrl-C leaves it running there, and the same command shows it again.
    """
    if server is not None:
        if dry_run or limit_mb_s is not None:
            raise click.UsageError(
                "--dry-run and --limit-mb-s are for downloads to this machine.", click.get_current_context()
            )
        download_to_server(server, name, quantization, force=force, as_json=as_json)
        return
    home = RociConfig.from_env().home
    hub = Hub.from_env()
    plan = asyncio.run(_planned(hub, home, name, quantization, force))
    was_there = plan.is_there
    if was_there:
        output.note(output.printable(f"{plan.title} is there already."))
    else:
        if not plan.is_starter or dry_run:
            output.note(output.printable(f"{plan.reason}."))
        if not dry_run:
            _bring(plan, hub, home, limit_mb_s)
    model = next((one for one in models_on_disk(home) if one.path == plan.path), None)
    if as_json:
        output.write_json(_document(plan, model, was_there=was_there, dry_run=dry_run))
    else:
        output.write(str(plan.path))
    if model is not None and not was_there and not as_json and model.kind == "llm":
        output.note(f'Ask it: roci run -m local:{output.printable(model.key)} "Hello!"')


async def _planned(hub: Hub, home: Path, name: str, quantization: str | None, force: bool) -> Plan:
    async with Web() as web:
        return await make_plan(
            web, hub, home, name, memory_bytes=machine_memory_bytes(), quantization=quantization, force=force
        )


def _bring(plan: Plan, hub: Hub, home: Path, limit_mb_s: float | None) -> None:
    if plan.is_starter:
        fetch_with_progress(home)
        return
    try:
        download_with_progress(plan, hub, limit_mb_s)
    except KeyboardInterrupt:
        if any(part_of(file.target).exists() for file in plan.files):
            output.note("\nWhat has come is kept: the same command goes on from there.")
        raise


def _document(plan: Plan, model: LocalModel | None, *, was_there: bool, dry_run: bool) -> dict[str, object]:
    return {
        "key": None if model is None else model.key,
        "path": str(plan.path),
        "size_bytes": plan.total_bytes if model is None else model.size_bytes,
        "quantization": plan.quantization,
        "reason": plan.reason,
        "files": [
            {"path": str(file.target), "size_bytes": file.remote.size_bytes, "sha256": file.remote.sha256}
            for file in plan.files
        ],
        "was_there": was_there,
        "dry_run": dry_run,
    }
