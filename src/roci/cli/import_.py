"""`roci import`: bring a model file, or the models of Ollama, into roci's folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from roci.cli import output
from roci.cli.asking import can_ask, is_confirmed
from roci.config import RociConfig
from roci.engine.model_import import ImportPlan, Way, plan_import, run_import
from roci.engine.ollama_import import Imported, chosen, link_model, ollama_models, ollama_store
from roci.errors import UsageError

EXAMPLES = """\b
Examples:
  roci import ~/Downloads/Qwen3-4B-Q4_K_M.gguf
  roci import --copy --as Qwen/Qwen3-4B model.gguf
  roci import --symbolic-link /mnt/models/big-00001-of-00003.gguf
  roci import --ollama
  roci import --ollama llama3.2 qwen3:4b
"""
_DONE = {"move": "Moved", "copy": "Copied", "hard-link": "Linked", "symbolic-link": "Linked"}


@click.command("import", epilog=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[FILE | MODEL...]")
@click.option("--copy", "-c", "way", flag_value="copy", help="Copy the file.")
@click.option(
    "--hard-link", "-L", "way", flag_value="hard-link", help="Link it: one file under two names, on one disk."
)
@click.option("--symbolic-link", "-l", "way", flag_value="symbolic-link", help="Link to where it lies.")
@click.option("--as", "place", metavar="PUBLISHER/MODEL", help="Its place; guessed from the file otherwise.")
@click.option("--ollama", is_flag=True, help="Link the models of Ollama's store, or those that are named.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    names: tuple[str, ...], way: Way | None, place: str | None, ollama: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Bring a model FILE into roci's folder: moved, or copied or linked with an option.

    The parts of a split model and the projector beside it come along. Nothing is ever overwritten. On a terminal you
    are asked before a file is moved; --ollama only makes links, and asks nothing.
    """
    home = RociConfig.from_env().home
    if ollama:
        if way or place:
            raise UsageError("--ollama makes links, in a place of its own: it goes without other options for that.")
        _take_over(home, names, dry_run=dry_run, as_json=as_json)
        return
    if len(names) != 1:
        raise click.UsageError("Name one file; the parts of a split model come along.", click.get_current_context())
    plan = plan_import(home, Path(names[0]), name=place, way=way or "move")
    key = f"{plan.publisher}/{plan.model}"
    if dry_run:
        _tell(plan)
        output.note("Nothing was changed.")
    else:
        if plan.way == "move" and not yes and can_ask():
            _tell(plan)
            if not is_confirmed(f"Move it to {key}?"):
                output.note("Nothing was changed.")
                click.get_current_context().exit(1)
        _run(plan)
        hint = f" Ask it: roci run -m local:{key.lower()}" if plan.kind == "llm" else ""
        output.note(f"{_DONE[plan.way]} to {output.printable(key)}.{hint}")
    if as_json:
        output.write_json(_document(plan, is_done=not dry_run))
    else:
        output.write(str(plan.path))


def _tell(plan: ImportPlan) -> None:
    for source, target in plan.files:
        output.note(output.printable(f"  {source}\n    -> {target}"))


def _run(plan: ImportPlan) -> None:
    if not plan.copies or not output.is_terminal(sys.stderr):
        run_import(plan)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = [TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn()]
    with Progress(*columns, console=output.console(sys.stderr), transient=True) as bar:
        task = bar.add_task("Copying", total=plan.size_bytes)
        show: Callable[[int, int], None] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        run_import(plan, show)


def _document(plan: ImportPlan, *, is_done: bool) -> dict[str, object]:
    return {
        "key": f"{plan.publisher}/{plan.model}".lower(),
        "kind": plan.kind,
        "publisher": plan.publisher,
        "model": plan.model,
        "way": plan.way,
        "done": is_done,
        "size_bytes": plan.size_bytes,
        "files": [{"from": str(source), "to": str(target)} for source, target in plan.files],
    }


def _take_over(home: Path, names: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    store = ollama_store()
    output.note(f"Ollama's store: {output.printable(str(store))}")
    results = [link_model(home, model, dry_run=dry_run) for model in chosen(ollama_models(store), names)]
    if not results:
        output.note("There is no model in it.")
    if as_json:
        output.write_json(
            {"store": str(store), "done": not dry_run, "models": [_result_document(result) for result in results]}
        )
    else:
        for result in results:
            output.write(output.printable(_line(result, dry_run=dry_run)))
    if names and any(result.outcome == "skipped" for result in results):
        click.get_current_context().exit(1)


def _result_document(result: Imported) -> dict[str, object]:
    return {
        "name": result.name,
        "outcome": result.outcome,
        "path": str(result.path) if result.path else None,
        "link": result.link,
        "size_bytes": result.size_bytes,
        "problem": result.problem,
    }


def _line(result: Imported, *, dry_run: bool) -> str:
    if result.outcome == "skipped":
        return f"{result.name}: skipped. {result.problem}"
    if result.outcome == "present":
        return f"{result.name}: is there already, at {result.path}"
    how = "would be linked" if dry_run else f"linked ({result.link})"
    return f"{result.name}: {how} to {result.path}, {output.size(result.size_bytes)}"
