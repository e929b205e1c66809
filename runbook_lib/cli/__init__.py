"""The command `runbook`. Its modules import what a command needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    from runbook_lib.cli.application import application
    from runbook_lib.cli.telling import exit_code_of
    from runbook_lib.errors import RunbookError

    try:
        application(sys.argv[1:])(prog_name="runbook")
    except RunbookError as error:
        sys.exit(exit_code_of(error))
