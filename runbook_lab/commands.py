"""`runbook lab` and `runbook drill`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

lab = typer.Typer(no_args_is_help=True, help="A small real shop with real servers, on loopback, to practise in.")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="The lab's directory. [default: RUNBOOK_LAB_HOME or ~/.cache/runbook-lab]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]


@lab.command()
def up(
    seed: Annotated[int, typer.Option("--seed", help="Of the load and of all that is chosen at random.")] = 1,
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Start the lab, and return when everything in it answers."""
    from runbook_lab.home import Home
    from runbook_lab.lab import LabError
    from runbook_lab.lab import up as take_up

    place = Home(home)
    try:
        result = take_up(place, seed=seed, told=_tell)
    except LabError as error:
        _fail(str(error))
    if as_json:
        _say(json.dumps({"home": str(place.path), "was_up": result.was_up, "seconds": round(result.seconds, 1), **result.state}))
    elif result.was_up:
        _say(f"The lab is up already ({place.path}).")
    else:
        _say(f"The lab is up after {result.seconds:.1f} s: export KUBECONFIG={place.kubeconfig}")


@lab.command()
def down(home: HomeOption = None) -> None:
    """End the lab with all its processes. Its logs stay."""
    from runbook_lab.home import Home
    from runbook_lab.lab import LabError
    from runbook_lab.lab import down as take_down

    place = Home(home)
    try:
        was_up = take_down(place)
    except LabError as error:
        _fail(str(error))
    _say("The lab is down." if was_up else f"No lab was up ({place.path}).")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"lab: {text}\n")


def _fail(text: str) -> None:
    _tell(text)
    raise typer.Exit(1)
