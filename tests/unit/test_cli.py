"""The command line as a person meets it: a process with stdout, stderr and an exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("list", "run", "open", "doctor", "incidents", "report", "serve", "lint")


def runbook(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "runbook_lib", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", **environment},
        timeout=60,
        check=False,
    )


@pytest.fixture
def team(tmp_path) -> dict[str, str]:
    """A team's own folders, with one service and the runbooks that ship."""
    (tmp_path / "orders.prod.yaml").write_text(
        """\
service:
  name: orders
  environment: prod
  overview: {purpose: Takes orders, owner: Orders team, tier: 1}
  components:
    application: {deployment: orders, selector: app=orders}
  connections: {}
"""
    )
    return {"RUNBOOK_PARAMETERS": str(tmp_path), "RUNBOOK_OUTPUTS": str(tmp_path / "outputs")}


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("--version",)])
def test_help_is_there_without_the_heavy_packages(words):
    program = f"""
import sys
sys.argv = ["runbook", *{words!r}]
from runbook_lib.cli import main
try:
    main()
except SystemExit:
    pass
known_as_heavy = {{"pandas", "numpy", "papermill", "plotly", "kubernetes", "matplotlib", "IPython", "starlette", "rich"}}
heavy = known_as_heavy & set(sys.modules)
sys.exit(f"imported: {{sorted(heavy)}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_lists_every_command():
    shown = runbook("--help").stdout
    assert all(f"  {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    shown = runbook(command, "--help").stdout
    assert "Example" in shown
    assert f"runbook {command}" in shown


def test_the_readme_names_only_commands_that_exist():
    import re

    named = {match[1] for match in re.finditer(r"`?runbook ([a-z]+)\b", (ROOT / "README.md").read_text())}
    assert named - {"is"} <= {*COMMANDS, "lab", "drill", "worker", "postmortem"}


def test_list_shows_runbooks_with_their_parameters():
    shown = runbook("list").stdout
    assert shown.startswith("high_error_rate: ")
    assert "window='60m'" in shown
    [first, *_] = json.loads(runbook("list", "--json").stdout)
    assert {parameter["name"] for parameter in first["parameters"]} >= {"service", "window", "approve"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nonsense",), "nonsense"),
        (("run",), "ISSUE"),
        (("run", "high_error_rate"), "--service"),
        (("run", "high_eror_rate", "-s", "orders"), "did you mean high_error_rate?"),
        (("run", "high_error_rate", "-s", "orders", "-e", "lab"), "it exists for prod"),
        (("run", "high_error_rate", "-s", "orders", "-p", "windw=30m"), "did you mean window?"),
        (("run", "high_error_rate", "-s", "orders", "-p", "window=30m"), "has an option of its own: --window"),
        (("run", "high_error_rate", "-s", "orders", "-p", "replay"), "takes name=value"),
        (("run", "high_error_rate", "-s", "orders", "--window", "soon"), "a duration such as"),
        (("run", "high_error_rate", "-s", "orders", "--start", "noon"), "a time such as"),
        (("run", "high_error_rate", "-s", "orders", "--alert", "/no/such/file"), "--alert /no/such/file"),
        (("serve", "--token", "hunter2"), "takes a reference"),
        (("report", "/no/such/incident"), "there is no incident.ipynb"),
        (("list", "--notebooks", "/no/such/folder"), "RUNBOOK_NOTEBOOKS"),
    ],
)
def test_a_wrong_call_exits_2_and_says_the_mend_on_stderr(words, message, team):
    done = runbook(*words, **team)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_service_file_exits_2_with_its_line_and_without_its_secret(team):
    path = Path(team["RUNBOOK_PARAMETERS"]) / "orders.prod.yaml"
    path.write_text(path.read_text().replace("connections: {}", "connections: {postgres: {dsn: 'postgresql://o:hunter2@db/o'}}"))
    done = runbook("run", "high_error_rate", "-s", "orders", **team)
    assert done.returncode == 2
    assert f"{path}, line 7: service.connections.postgres.dsn must be a reference such as env:ORDERS_DSN" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_secret_does_not_become_a_parameter(team):
    done = runbook("run", "high_error_rate", "-s", "orders", "-p", "replay=postgresql://o:hunter2@db/o", **team)
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


def test_lint_finds_nothing_in_what_ships():
    done = runbook("lint")
    assert (done.returncode, done.stderr) == (0, "")


def test_lint_tells_everything_at_once(team, tmp_path):
    path = tmp_path / "orders.prod.yaml"
    path.write_text(path.read_text().replace("tier: 1", "tier: 7") + "  polcy: {}\n")
    (tmp_path / "billing.prod.yaml").write_text("service: {}\n")
    (tmp_path / "alert_routes.yaml").write_text(
        "routes:\n  - {matchers: ['a=\"b\"'], notebook: high_eror_rate, service: orders.prod.yaml}\n"
    )
    done = runbook("lint", **team)
    assert done.returncode == 2
    for text in ("tier", "did you mean policy?", "billing.prod.yaml, line 1", "did you mean high_error_rate?"):
        assert text in done.stderr


def test_an_overdue_review_is_a_warning_and_no_error(team, tmp_path):
    path = tmp_path / "orders.prod.yaml"
    path.write_text(path.read_text() + "  maintenance: {next_review: 2020-01-01}\n  policy: {auto_approve: [restart_pod]}\n")
    done = runbook("lint", **team)
    assert done.returncode == 0
    assert "the review was due on 2020-01-01" in done.stderr
    assert "did you mean restart_pods?" in done.stderr


def test_an_empty_archive_is_no_error(team):
    done = runbook("incidents", **team)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(runbook("incidents", "--json", **team).stdout) == []
