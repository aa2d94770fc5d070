"""`roci tokens`: who may use a server that asks for a token."""

from __future__ import annotations

import sys

import click

from roci.cli import output
from roci.config import RociConfig

EXAMPLES = """\b
Examples:
  roci tokens create laptop
  export LM_API_TOKEN=$(roci tokens create laptop)
  roci tokens list
  roci tokens rm laptop

\b
Then, for instance:
  roci serve --host 0.0.0.0 --require-token
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Make, list and remove the tokens that `roci serve --require-token` asks for.

    Only their hashes are kept, in tokens.json in roci's home. A server that runs notices changes by itself.
    """


@command.command()
@click.argument("name")
def create(name: str) -> None:
    """Make a token called NAME and write it, this once, on standard output."""
    from roci.server.state.tokens import create_token

    token = create_token(RociConfig.from_env().home, name)
    if output.is_terminal(sys.stdout):
        output.note("Keep it now, it is not shown again:")
    output.write(token)


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def list_(as_json: bool) -> None:
    """List the tokens: name, the 8 characters after sk-lm-, and when each was made."""
    from roci.server.state.tokens import list_tokens

    tokens = list_tokens(RociConfig.from_env().home)
    if as_json:
        shown = [{"name": token.name, "id": token.id, "created_at": token.created_at} for token in tokens]
        output.write_json(shown)
        return
    if not tokens:
        output.note("There is no token yet. Make one with: roci tokens create NAME")
    for token in tokens:
        output.write(f"{token.id}  {token.created_at:%Y-%m-%d %H:%M}  {output.printable(token.name)}")


@command.command()
@click.argument("name")
def rm(name: str) -> None:
    """Remove the token called NAME, or with these 8 characters; it is refused from then on."""
    from roci.server.state.tokens import remove_token

    removed = remove_token(RociConfig.from_env().home, name)
    output.note(f"The token {output.printable(removed.name)} is removed.")
