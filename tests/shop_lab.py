"""The one lab that all tests share: up once for a session, healed before each test that asks for it, down at the end.

`RUNBOOK_TEST_LAB` names the home of a lab that is up already; it is used then, and left up.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from runbook_lab.home import Home
from runbook_lab.measuring import Measurements
from runbook_lab.waiting import wait_for

ROOT = Path(__file__).parents[1]
_COMMAND_SECONDS = 280
_T = TypeVar("_T")


@dataclass(frozen=True)
class ShopLab:
    """A lab that is up, and the ways to it that a person has."""

    home: Home

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands that shall find this lab."""
        return {**os.environ, "RUNBOOK_LAB_HOME": str(self.home.path), "KUBECONFIG": str(self.home.kubeconfig)}

    @property
    def measured(self) -> Measurements:
        """Its Prometheus."""
        return Measurements(self.home)

    def runbook(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `runbook WORDS` on this lab."""
        return self._run(sys.executable, "-m", "runbook_lib", *words, check=check)

    def fault(self, *words: str) -> list[dict[str, Any]]:
        """Put faults in, and give them as they were told."""
        found: list[dict[str, Any]] = json.loads(self.runbook("lab", "fault", *words, "--json").stdout)
        return found

    def heal(self) -> list[str]:
        """Make the lab well, and give what was done."""
        done: list[str] = json.loads(self.runbook("lab", "heal", "--json").stdout)["done"]
        return done

    def kubectl(self, *words: str, check: bool = True) -> str:
        """Run stock kubectl as the operator. Without kubectl on PATH the test that needs it fails, and says so."""
        assert shutil.which("kubectl"), "this test needs kubectl (1.28 or later) on PATH"
        return self._run("kubectl", "--context=lab-operator", *words, check=check).stdout

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the database's superuser, and give the rows."""
        with self.session() as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def session(self, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """Open a session as the database's superuser."""
        place = str(self.home.socket_directory())
        return psycopg.connect(host=place, user="postgres", dbname="shop", autocommit=autocommit, connect_timeout=5)

    def until(self, what: str, probe: Callable[[], _T], *, seconds: float = 60) -> _T:
        """Wait until something is true."""
        return wait_for(what, probe, seconds=seconds, every=0.5)

    def logs(self, selector: str = "app=orders") -> str:
        """Give the last lines of the pods' logs."""
        return self.kubectl("logs", "-l", selector, "--tail=40", "--since=30s")

    def _run(self, *command: str, check: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="session")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopLab]:
    """The lab in whatever state the last test left it."""
    given = os.environ.get("RUNBOOK_TEST_LAB")
    found = ShopLab(Home(given or tmp_path_factory.mktemp("lab")))
    found.runbook("lab", "up", "--home", str(found.home.path))
    try:
        yield found
    finally:
        if not given:
            found.runbook("lab", "down", "--home", str(found.home.path))


@pytest.fixture
def shop_lab(running_lab: ShopLab) -> ShopLab:
    """The lab, up and well."""
    running_lab.heal()
    return running_lab
