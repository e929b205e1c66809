"""`runbook doctor` and `runbook lint`: what will not work, before an incident shows it."""

from __future__ import annotations

from dataclasses import asdict

import typer

from runbook_lib.cli.options import AsJson, Environment, NotebooksFolder, ParametersFolder, ServiceName

__all__ = ["doctor", "lint"]

_SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def doctor(
    service: ServiceName, environment: Environment = "", as_json: AsJson = False, parameters: ParametersFolder = None
) -> None:
    """Look a service over, with what to do about each trouble.

    The references, the connections, what reading and the actions need to be allowed, the objects that the file names, and the
    metrics that the runbooks read first.

    Exit 0: runs will work, notes say what they will lack. Exit 2: something is wrong.

    \b
    Example:
      runbook doctor --service orders --env prod
    """
    from runbook_lib.cli.telling import WRONG, say, say_json
    from runbook_lib.doctor import examine_service, usable
    from runbook_lib.folders import parameters_folder
    from runbook_lib.service import service_from

    chosen = service_from(service, environment or None, parameters_folder(parameters))
    seen = []
    for examination in examine_service(chosen):
        seen.append(examination)
        if not as_json:
            say(f"{_SIGNS[examination.state]}  {examination.area:<10}  {examination.name}: {examination.found}")
            if examination.mend:
                say(f"{'':<5}  {'':<10}  -> {examination.mend}")
    wrong = sum(examination.state == "wrong" for examination in seen)
    if as_json:
        say_json(
            {
                "service": chosen.name,
                "environment": chosen.environment,
                "usable": usable(seen),
                "examinations": [asdict(e) for e in seen],
            }
        )
    else:
        verdict = f"not usable: {wrong} of {len(seen)} are wrong" if wrong else "usable"
        say(f"{chosen.name} in {chosen.environment} is {verdict}.")
    if wrong:
        raise typer.Exit(WRONG)


def lint(parameters: ParametersFolder = None, notebooks: NotebooksFolder = None, as_json: AsJson = False) -> None:
    """Check service files, alert routes and notebooks.

    No system is asked. Overdue reviews are warnings.

    \b
    Example:
      runbook lint --parameters parameters
    """
    from datetime import UTC, datetime

    from runbook_lib.cli.linting import lint as remarks_on
    from runbook_lib.cli.telling import WRONG, say, say_json, warn
    from runbook_lib.folders import notebooks_folder, parameters_folder

    folders = {"parameters": parameters_folder(parameters), "notebooks": notebooks_folder(notebooks)}
    remarks = list(remarks_on(**folders, today=datetime.now(UTC).date()))
    errors = sum(remark.severity == "error" for remark in remarks)
    if as_json:
        say_json([asdict(remark) for remark in remarks])
    else:
        for remark in remarks:
            warn(f"{remark.severity}: {remark.text}")
        if not errors:
            say(f"{folders['parameters']} and {folders['notebooks']}: no errors")
    if errors:
        raise typer.Exit(WRONG)
