"""The console script. It imports next to nothing, so that `roci --version` feels instant."""

from __future__ import annotations

import sys
from typing import Final

from roci.version import VERSION

EXIT_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line of this process, and end it with its exit status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        print(f"roci {VERSION}")
        return
    try:
        from roci.cli.command_line import run
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(run(arguments))
