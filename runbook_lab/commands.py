"""`runbook lab` and `runbook drill`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from runbook_lab.home import Home

lab = typer.Typer(no_args_is_help=True, help="A small real shop with real servers, on loopback, to practise in.")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="The lab's directory. [default: RUNBOOK_LAB_HOME or ~/.cache/runbook-lab]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="The same seed gives the same fault. [default: a new one, which is told]"),
]
IntensityOption = Annotated[
    float | None, typer.Option("--intensity", metavar="X", help="Above 0 and up to 1, the worst. [default: the seed chooses]")
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", metavar="K", help="For a fault that comes in kinds. [default: the seed chooses]"),
]


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


@lab.command()
def status(home: HomeOption = None, as_json: AsJson = False) -> None:
    """Tell whether the lab is up, what of it answers, and which faults are in it. Exit 1 when it is not up."""
    from runbook_lab.home import Home
    from runbook_lab.lab import status as look

    found = look(Home(home))
    if as_json:
        _say(json.dumps(found, indent=2))
    else:
        _say(f"state:   {found['state']}{' - ' + found['text'] if found['text'] else ''}")
        _say(f"home:    {found['home']}")
        for name, answers in found["parts"].items():
            _say(f"{'answers' if answers else 'SILENT '}  {name}")
        for fault in found["faults"]:
            _say(f"fault:   {fault['name']}, since {fault['at']}: {fault['text']}")
    if found["state"] != "ready" or not all(found["parts"].values()):
        raise typer.Exit(1)


@lab.command()
def fault(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Several are put in together. NAME:KIND where it comes in kinds.")
    ],
    seed: SeedOption = None,
    intensity: IntensityOption = None,
    kind: KindOption = None,
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Let something go wrong in the shop, as it would happen: no metric or log line names the fault.

    `runbook lab faults` has them all, with their kinds and what fixes them.

    \b
    Examples:
      runbook lab fault db_pool_exhausted
      runbook lab fault memory_leak downstream_timeout --seed 7
      runbook lab fault bad_deployment:address
    """
    from runbook_lab.faults import UnknownFaultError, draw_together, put_in

    place = _running(home)
    number = _seed(seed)
    try:
        faults = draw_together(names, seed=number, intensity=intensity, kind=kind)
    except UnknownFaultError as error:
        _fail(str(error), code=2)
    with _telling_errors():
        put_in(place, faults)
    if as_json:
        _say(json.dumps(place.faults()[-len(faults) :], indent=2))
    else:
        for one in faults:
            _say(one.told())


@lab.command()
def faults(as_json: AsJson = False) -> None:
    """List what can go wrong: each fault with its kinds, the runbook for it, and the action that fixes it."""
    from runbook_lab.faults import FAULTS

    rows = [
        {"fault": name, "kind": kind, "runbook": way.runbook, "fixed_by": way.cure, "what": fault.summary}
        for name, fault in FAULTS.items()
        for kind, way in fault.kinds.items()
    ]
    if as_json:
        _say(json.dumps(rows, indent=2))
        return
    shown = [(_spelled(row), str(row["runbook"]), row["fixed_by"] or "-", str(row["what"])) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for line in shown:
        _say("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())


def _spelled(row: dict[str, str | None]) -> str:
    return f"{row['fault']}:{row['kind']}" if row["kind"] else str(row["fault"])


@lab.command()
def heal(home: HomeOption = None, as_json: AsJson = False) -> None:
    """Undo what went wrong, also what was done by hand with kubectl, psql, redis-cli or signals, and wait until no request fails.

    Manifests, database, cache, breakers and feature flags go back to how `lab up` made them; pods that ail are replaced.
    """
    from runbook_lab.healing import heal as make_well

    place = _running(home)
    with _telling_errors():
        done = make_well(place, told=_tell)
    if as_json:
        _say(json.dumps({"home": str(place.path), "done": done}, indent=2))
    else:
        _say("The lab is well." if done else "The lab was well already.")


def drill(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FAULT...]", help="a+b puts both in at once; a:kind chooses how it comes about."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every fault, in every kind.")] = False,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Two faults at a time, which have nothing to do with each other.")
    ] = False,
    seed: SeedOption = None,
    intensity: IntensityOption = None,
    kind: KindOption = None,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="So often, with the seeds that follow.")] = 1,
    outputs: Annotated[
        Path | None,
        typer.Option("--outputs", metavar="DIR", help="Archive of the incidents. [env: RUNBOOK_OUTPUTS; default: outputs/]"),
    ] = None,
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Prove a runbook: put a fault into the lab, wait for its alert, run the notebook with the right action approved.

    Printed: found (the fault is the only confirmed root cause), fixed (its action was executed), recovered (as Prometheus
    measures), and seconds from the fault to the recovery. Exit 1 on any miss. The lab is healed before and after each drill.

    \b
    Examples:
      runbook drill db_pool_exhausted
      runbook drill bad_deployment:address --seed 7
      runbook drill db_pool_exhausted+downstream_timeout
      runbook drill --all --repeat 5
    """
    from runbook_lab.drilling import PAIRS, drawn, drill_all
    from runbook_lab.faults import UnknownFaultError

    if [bool(names), all_, pairs].count(True) != 1:
        _fail("name the faults to drill, or give --all or --pairs", code=2)
    place = _running(home)
    try:
        drills = drawn(
            names or (PAIRS if pairs else ()), seed=_seed(seed), repeat=repeat, outputs=outputs, intensity=intensity, kind=kind
        )
    except UnknownFaultError as error:
        _fail(str(error), code=2)
    with _telling_errors():
        passed = drill_all(place, drills, as_json=as_json)
    if not passed:
        raise typer.Exit(1)


def _running(home: Path | None) -> Home:
    """The home of a lab that is up; else the command ends."""
    from runbook_lab.home import Home

    place = Home(home)
    state = place.state()
    if state is None or state["state"] != "ready" or not place.supervisor():
        _fail(f"no lab is up in {place.path}; start one with `runbook lab up`")
    return place


def _seed(given: int | None) -> int:
    import secrets

    return secrets.randbelow(10_000) if given is None else given


@contextmanager
def _telling_errors() -> Iterator[None]:
    """Tell in one line what a lab that is in a bad way did not do in time, and exit 1."""
    from runbook_lab.cluster_client import ClusterError

    try:
        yield
    except (ClusterError, OSError) as error:
        _fail(str(error))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"lab: {text}\n")


def _fail(text: str, *, code: int = 1) -> NoReturn:
    _tell(text)
    raise typer.Exit(code)
