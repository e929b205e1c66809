"""`python -m runbook_lib` is `runbook`."""

from runbook_lib.cli import main

if __name__ == "__main__":
    main()
