"""Which of a database server's sessions are the service's: whoever else is on it has troubles of their own."""

from __future__ import annotations

import pandas as pd

from runbook_lib.models.frame import Frame, frame
from runbook_lib.service import Service
from runbook_lib.service.models import DatabaseComponent

__all__ = ["own_rows"]


def own_rows(rows: Frame, service: Service) -> Frame:
    """Of rows with an application and a user those of this service; all of its database where the service file names neither.

    `attrs["hidden"]` then counts the service's own of whose details our role sees nothing.
    """
    component = service.components.database
    if component is None:
        return rows
    mine = _owned(rows, component) if len(rows) else Frame(rows)
    if "hidden_of" in rows.attrs:  # not in a record from before it was told
        others = frame(rows.attrs["hidden_of"], columns=["application", "user", "database", "count"])
        others.attrs["database"] = rows.attrs.get("database")
        mine.attrs["hidden"] = int(_owned(others, component)["count"].sum()) if len(others) else 0
    return mine


def _owned(rows: Frame, component: DatabaseComponent) -> Frame:
    near = Frame(rows[_near(rows, component)])
    near = Frame(near[near["kind"] == "client"]) if "kind" in near else near
    names = zip(near["application"], near["user"], strict=True)
    return Frame(near[[component.owns(application=str(application), user=str(user)) for application, user in names]])


def _near(rows: Frame, component: DatabaseComponent) -> pd.Series:
    """Which rows are of the database that was asked, or of that of the service file: through a pooler they differ in name.

    Who reads from another database than the service's knows its sessions by their names, in whichever they are.
    """
    asked = rows.attrs.get("database")  # a record from before it was told has none
    elsewhere = component.tells_its_sessions and asked != component.name
    if not asked or elsewhere or "database" not in rows:
        return pd.Series(True, index=rows.index)
    return rows["database"].isin([asked, component.name])
