"""The command line as a person meets it: stdout, stderr and an exit code."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook_lib.actions.audit import AuditLog
from runbook_lib.cli import main
from tests.unit.archive.archives import folder, record

ROOT = Path(__file__).parents[2]
COMMANDS = ("list", "run", "open", "doctor", "incidents", "report", "serve", "lint")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def runbook(monkeypatch, capsys):
    """Calls the command line as the console script does."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["runbook", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return call


@pytest.fixture
def team(tmp_path, monkeypatch) -> Path:
    """A team's own parameters folder, with one service; the runbooks are those that ship."""
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
    monkeypatch.setenv("RUNBOOK_PARAMETERS", str(tmp_path))
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path


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


def test_help_lists_every_command(runbook):
    shown = runbook("--help").stdout
    assert all(f"  {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command, runbook):
    shown = runbook(command, "--help").stdout
    assert "Example" in shown
    assert f"runbook {command}" in shown


def test_the_readme_names_only_commands_that_exist():
    named = {match[1] for match in re.finditer(r"`?runbook ([a-z]+)\b", (ROOT / "README.md").read_text())}
    assert named - {"is"} <= {*COMMANDS, "lab", "drill", "worker", "postmortem"}


def test_list_shows_runbooks_with_their_parameters(runbook):
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
        (("run", "high_error_rate", "-s", "orders", "--approve", "restart_pod"), "did you mean restart_pods?"),
        (("run", "high_error_rate", "-s", "orders", "--window", "soon"), "a duration such as"),
        (("run", "high_error_rate", "-s", "orders", "--start", "noon"), "a time such as"),
        (("run", "high_error_rate", "-s", "orders", "--alert", "/no/such/file"), "--alert /no/such/file"),
        (("serve", "--token", "hunter2"), "takes a reference"),
        (("report", "/no/such/incident"), "there is no incident.ipynb"),
        (("list", "--notebooks", "/no/such/folder"), "RUNBOOK_NOTEBOOKS"),
    ],
)
def test_a_wrong_call_exits_2_and_says_the_mend_on_stderr(words, message, team, runbook):
    done = runbook(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_service_file_exits_2_with_its_line_and_without_its_secret(team, runbook):
    path = team / "orders.prod.yaml"
    path.write_text(path.read_text().replace("connections: {}", "connections: {postgres: {dsn: 'postgresql://o:hunter2@db/o'}}"))
    done = runbook("run", "high_error_rate", "-s", "orders")
    assert done.returncode == 2
    assert f"{path}, line 7: service.connections.postgres.dsn must be a reference such as env:ORDERS_DSN" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_secret_does_not_become_a_parameter(team, runbook):
    done = runbook("run", "high_error_rate", "-s", "orders", "-p", "replay=postgresql://o:hunter2@db/o")
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


def test_lint_finds_nothing_in_what_ships(runbook):
    done = runbook("lint")
    assert (done.returncode, done.stderr) == (0, "")


def test_lint_tells_everything_at_once(team, tmp_path, runbook):
    path = tmp_path / "orders.prod.yaml"
    path.write_text(path.read_text().replace("tier: 1", "tier: 7") + "  polcy: {}\n")
    (tmp_path / "billing.prod.yaml").write_text("service: {}\n")
    (tmp_path / "alert_routes.yaml").write_text(
        "routes:\n  - {matchers: ['a=\"b\"'], notebook: high_eror_rate, service: orders.prod.yaml}\n"
    )
    done = runbook("lint")
    assert done.returncode == 2
    for text in ("tier", "did you mean policy?", "billing.prod.yaml, line 1", "did you mean high_error_rate?"):
        assert text in done.stderr


def test_an_overdue_review_is_a_warning_and_no_error(team, tmp_path, runbook):
    path = tmp_path / "orders.prod.yaml"
    path.write_text(path.read_text() + "  maintenance: {next_review: 2020-01-01}\n  policy: {auto_approve: [restart_pod]}\n")
    done = runbook("lint")
    assert done.returncode == 0
    assert "the review was due on 2020-01-01" in done.stderr
    assert "did you mean restart_pods?" in done.stderr


def test_an_empty_archive_is_no_error(team, runbook):
    done = runbook("incidents")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(runbook("incidents", "--json").stdout) == []


def test_an_audit_that_was_altered_is_told_where_its_incident_is_read(team, tmp_path, runbook):
    folders = [folder(tmp_path / "outputs", known=record(id=f"20260301T03000{n}.000Z-high_error_rate-00000{n}")) for n in (1, 2)]
    paths = [made.path / "audit.jsonl" for made in folders]
    for path in paths:
        audit = AuditLog(path, redact=lambda text: text)
        audit.append("intent", {"plan": "plan-1"})
        audit.append("outcome", {"plan": "plan-1"})
    assert runbook("incidents").stderr == ""
    paths[1].write_bytes(paths[1].read_bytes().replace(b"plan-1", b"plan-7"))
    told = runbook("incidents").stderr
    assert told.count("one was altered") == 1
    assert folders[1].path.name in told.replace("\n", "")
    assert runbook("incidents", "--json").stderr == told
