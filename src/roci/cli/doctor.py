"""`roci doctor`: checks in order, a line for each, and an exit status."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from roci.cli import output
from roci.cli.checkup import Finding, bounded, worst
from roci.cli.failures import EXIT_FAILURE
from roci.cli.machine_checks import (
    check_disk,
    check_engine,
    check_gpu,
    check_memory,
    check_starter,
    look_at_engine,
)
from roci.cli.server_checks import ServerKind, check_answer, check_models, check_server, kind_of_server
from roci.cli.settings_checks import check_python, check_settings, home_alone, read_config
from roci.cli.sighting import Sighting, look, word_of
from roci.config import RociConfig
from roci.engine.library import models_on_disk
from roci.errors import RociError
from roci.version import VERSION

EXAMPLES = """\b
Examples:
  roci doctor
  roci doctor -m local:smollm2-135m-instruct
  roci doctor --json | jq -r .status
"""
LOOK_S: Final = 20.0
NARROW_COLUMNS: Final = 60
_STYLE_OF: Final = {"ok": "green", "warning": "yellow", "failure": "red"}
_STATUS_COLUMNS: Final = 9
_NAME_COLUMNS: Final = 15


@click.command(epilog=EXAMPLES)
@click.option("-m", "--model", metavar="SELECTOR", help="Ask this model for one token, even if it must be loaded.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, model: str | None, as_json: bool) -> None:
    """Check what is there, what works, and what to do about the rest.

    Without -m nothing is loaded: only a model that is loaded already is asked. Exit status 1 if a check failed, 0 if
    all are well or merely worth a warning.
    """
    findings: list[Finding] = []
    for finding in _findings(model):
        findings.append(finding)
        if not as_json:
            _print(finding)
    status = worst(findings)
    if as_json:
        output.write_json({"roci": VERSION, "status": status, "checks": findings})
    if status == "failure":
        ctx.exit(EXIT_FAILURE)


def _findings(named: str | None) -> Iterator[Finding]:
    yield check_python()
    config, finding = read_config()
    yield finding
    home = (config or home_alone()).home
    engine = look_at_engine()
    local = models_on_disk(home)
    yield check_settings(home, local)
    if config is not None:
        is_elsewhere = named is not None and not named.startswith("lmstudio:")
        yield from _server_findings(config, named, has_other=is_elsewhere or (engine.works and bool(local)))
    yield check_engine(engine)
    yield check_starter(local)
    yield check_gpu(engine)
    yield check_memory()
    yield check_disk(home)


def _server_findings(config: RociConfig, named: str | None, *, has_other: bool) -> Iterator[Finding]:
    sighting = _look(config)
    kind: ServerKind = "other"
    if sighting.failure is None:
        kind = kind_of_server(sighting.base_url)
    token_word = word_of(config, "lmstudio_token") if config.lmstudio_token else ""
    yield check_server(sighting, kind, has_other=has_other, token_word=token_word)
    if sighting.failure is None:
        yield check_models(sighting, has_other=has_other)
    yield check_answer(config, named, sighting, kind)


def _look(config: RociConfig) -> Sighting:
    try:
        return bounded(lambda: look(config), LOOK_S)
    except RociError as failure:
        return Sighting(base_url=config.lmstudio_base_url, word=word_of(config, "lmstudio_base_url"), failure=failure)


def _print(finding: Finding) -> None:
    width = output.columns(sys.stdout)
    is_narrow = width < NARROW_COLUMNS
    status = output.styled(finding.status.ljust(_STATUS_COLUMNS), _STYLE_OF[finding.status], sys.stdout)
    indent = "  " if is_narrow else " " * (_STATUS_COLUMNS + _NAME_COLUMNS)
    paragraphs = [finding.message, *(finding.advice.splitlines() if finding.status != "ok" else ())]
    wrapper = textwrap.TextWrapper(
        width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    lines = [line for text in paragraphs for line in wrapper.wrap(output.printable(text))]
    if is_narrow:
        lines.insert(0, f"{status}{finding.check}")
    else:
        lines[0] = f"{status}{finding.check.ljust(_NAME_COLUMNS)}{lines[0].lstrip()}"
    # Not through `write`, which would take the colours away as well.
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
