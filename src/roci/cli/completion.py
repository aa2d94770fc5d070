"""`roci completion`: the script that makes a shell complete what is typed behind `roci`."""

from __future__ import annotations

import click

from roci.cli import output

EXAMPLES = """\b
Examples:
  roci completion bash >> ~/.bashrc
  roci completion zsh >> ~/.zshrc
  roci completion fish > ~/.config/fish/completions/roci.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Write the completion script of a SHELL to standard output.

    Commands and options are completed, and the models of the server where it answers at once.
    """
    from click.shell_completion import get_completion_class

    from roci.cli.command_line import COMPLETION_VARIABLE, roci

    found = get_completion_class(shell)
    assert found is not None
    # Not `source()`, which first asks for the version of a bash that may not be the one in use.
    script = found(roci, {}, "roci", COMPLETION_VARIABLE)
    output.write(script.source_template % script.source_vars())
