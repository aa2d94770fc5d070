"""`roci get`: fetch a model to this machine. As yet the starter model alone."""

from __future__ import annotations

import click

from roci.cli import output
from roci.cli.fetching import fetch_with_progress
from roci.config import RociConfig
from roci.engine.starter_model import STARTER_KEY, STARTER_SIZE_BYTES, starter_path
from roci.errors import UnsupportedError

EXAMPLES = f"""\b
Examples:
  roci get {STARTER_KEY}
  roci run -m local:{STARTER_KEY} "Hello!"
"""


@click.command(epilog=EXAMPLES)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output: key, path, size.")
def command(name: str, as_json: bool) -> None:
    """Fetch the model NAME to this machine.

    As yet that is the starter model: 98 MB, small enough for any machine. Asking again is safe. The file's path goes to
    standard output.
    """
    home = RociConfig.from_env().home
    if name.lower().removeprefix("local:").rpartition("/")[2] != STARTER_KEY:
        raise UnsupportedError(
            f"{name!r} cannot be fetched: as yet only the starter model can, {STARTER_KEY}.",
            capability="get",
            hint="Other models: put a GGUF file at "
            f"{home / 'models'}/PUBLISHER/MODEL/FILE.gguf, or fetch them in LM Studio, whose folder is read too.",
        )
    path = starter_path(home)
    was_there = path.is_file() and path.stat().st_size == STARTER_SIZE_BYTES
    if was_there:
        output.note(f"{STARTER_KEY} is there already.")
    else:
        fetch_with_progress(home)
    if as_json:
        output.write_json(
            {"key": STARTER_KEY, "path": str(path), "size_bytes": STARTER_SIZE_BYTES, "was_there": was_there}
        )
    else:
        output.write(str(path))
