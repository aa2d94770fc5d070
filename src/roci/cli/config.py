"""`roci config`: what is set, where it came from, and changing it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roci.cli import output
from roci.config import RociConfig
from roci.engine.settings_files import SERVER_FILE_NAME, change_settings, model_file, read_settings

if TYPE_CHECKING:
    from roci.server.settings import ServerSettings

EXAMPLES = """\b
Examples:
  roci config show --origin
  roci config show smollm2-135m-instruct --origin
  roci config set port=8080 cors=https://app.example
  roci config set --model smollm2-135m-instruct context_length=4096 temperature=0.2
  roci config unset port

\b
Who wins: the request, the load's options, the command line, ROCI_PORT and so on in the environment, the model's file,
the server's file, the model's header, roci's default.
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Show and change the settings of the server and of single models."""


@command.command()
@click.argument("key", required=False)
@click.option("--origin", is_flag=True, help="Where each value came from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, with the origins.")
def show(key: str | None, origin: bool, as_json: bool) -> None:
    """Show the server's settings, or those that the model KEY is loaded with.

    A server that runs holds the settings that it was started with; models' files are read again for each load.
    """
    home = RociConfig.from_env().home
    rows = _model_rows(home, key) if key else _server_rows(home)
    if as_json:
        output.write_json({name: {"value": value, "origin": where} for name, value, where in rows})
        return
    width = max(len(name) for name, _, _ in rows)
    cells = [(name.ljust(width), _shown(value), where) for name, value, where in rows]
    column = max(len(value) for _, value, _ in cells)
    for name, value, where in cells:
        line = f"{name}  {value.ljust(column)}  {where}" if origin else f"{name}  {value}"
        output.write(output.printable(line))


@command.command(name="set")
@click.option("--model", "key", metavar="KEY", help="In this model's own file, not in the server's.")
@click.argument("assignments", metavar="NAME=VALUE...", nargs=-1, required=True)
def set_(key: str | None, assignments: tuple[str, ...]) -> None:
    """Set settings in the server's file, or in a model's; they are checked first.

    null, or never, is a value where a setting may be null; lists are written with commas, as in
    cors=https://one.example,https://two.example.
    """
    given: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"{assignment!r} is not NAME=VALUE.")
        given[name.strip().replace("-", "_")] = value
    home = RociConfig.from_env().home
    if key:
        from roci.engine.model_settings import checked_model_settings
        from roci.engine.settings_files import change_model_settings

        path = _file(home, key)
        change_model_settings(path, checked_model_settings(given, "argument", is_text=True))
    else:
        path = home / SERVER_FILE_NAME
        change_settings(path, _checked_for_server(home, path, given))
    output.note(f"Written: {output.printable(str(path))}")
    _warn_of_winners(key, tuple(given))


@command.command()
@click.option("--model", "key", metavar="KEY", help="In this model's own file, not in the server's.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def unset(key: str | None, names: tuple[str, ...]) -> None:
    """Remove settings from the server's file, or from a model's."""
    from roci.engine.model_settings import MODEL_NAMES
    from roci.engine.settings_values import unknown_setting
    from roci.server.settings import NAMES

    path = _file(RociConfig.from_env().home, key)
    file = read_settings(path)
    known = MODEL_NAMES if key else NAMES
    # A name that is no setting can be in the file, and is then to be got rid of.
    there = file.values if file is not None else {}
    wanted = tuple(name if name in there else name.replace("-", "_") for name in names)
    for name in wanted:
        if name not in known and name not in there:
            raise unknown_setting(name, "unset", known)
    if file is None:
        output.note(f"There is no {path}: nothing is set.")
        return
    change_settings(path, {}, wanted)
    output.note(f"Written: {output.printable(str(path))}")


@command.command()
@click.option("--model", "key", metavar="KEY", help="The model's own file, not the server's.")
def path(key: str | None) -> None:
    """Write where the file is, which need not be there yet."""
    output.write(str(_file(RociConfig.from_env().home, key)))


def _server_rows(home: Path) -> list[tuple[str, Any, str]]:
    from roci.server.settings import NAMES, resolve_settings, settings_file

    settings = resolve_settings({}, os.environ, settings_file(home))
    return [(name, getattr(settings, name), settings.origin(name)) for name in NAMES]


def _model_rows(home: Path, key: str) -> list[tuple[str, Any, str]]:
    from roci.engine.library import find_model
    from roci.engine.model_settings import MODEL_NAMES
    from roci.server.model_defaults import ModelDefaults
    from roci.server.settings import resolve_settings, settings_file

    settings = resolve_settings({}, os.environ, settings_file(home))
    model = find_model(home, key, _folders(settings))
    resolved = ModelDefaults(settings, home).resolve(model.key, model.facts.max_context_length)
    return [(name, getattr(resolved.settings, name), resolved.origins[name]) for name in MODEL_NAMES]


def _checked_for_server(home: Path, path: Path, given: dict[str, str]) -> dict[str, Any]:
    """What is to stand in the file, known to make a whole that holds."""
    from roci.engine.model_settings import SettingsFile
    from roci.server.settings import check_reach, checked_setting, settings_of
    from roci.server.state.tokens import list_tokens

    checked = {name: checked_setting(name, value, "argument", is_text=True) for name, value in given.items()}
    file = read_settings(path)
    settings = settings_of({}, {}, SettingsFile(str(path), {**(file.values if file else {}), **checked}))
    check_reach(settings, has_token=settings.require_token and bool(list_tokens(home)))
    return checked


def _file(home: Path, key: str | None) -> Path:
    """The server's file, or that of a model on this machine."""
    if not key:
        return home / SERVER_FILE_NAME
    from roci.engine.library import find_model
    from roci.server.settings import resolve_settings, settings_file

    return model_file(home, find_model(home, key, _folders(resolve_settings({}, {}, settings_file(home)))).key)


def _folders(settings: ServerSettings) -> list[Path]:
    return [Path(folder).expanduser() for folder in settings.model_folders]


def _warn_of_winners(key: str | None, names: tuple[str, ...]) -> None:
    from roci.engine.settings_values import variable

    for name in names:
        if os.environ.get(variable(name), "").strip():
            output.note(
                f"{variable(name)} is set in the environment and wins over the {'model' if key else 'server'}'s file."
            )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ",".join(value) or "-"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    first = text.splitlines()[0] if text else ""
    return f"{first[:57]}…" if len(first) > 58 or first != text else first
