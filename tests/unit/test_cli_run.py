"""What `runbook run` makes of its arguments and of what the runner gives back."""

import json
from datetime import UTC, datetime

import pytest

from runbook_lib.archive.runner import RunResult
from runbook_lib.cli.application import application
from runbook_lib.models.record import IncidentRecord

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SERVICE = """\
service:
  name: orders
  environment: prod
  overview: {purpose: Takes orders, owner: Orders team, tier: 1}
  components:
    application: {deployment: orders, selector: app=orders}
  connections: {}
"""


@pytest.fixture
def ran(tmp_path, monkeypatch, capsys):
    """Runs the command line with a runner that only notes what it is asked for."""
    (tmp_path / "orders.prod.yaml").write_text(SERVICE)
    monkeypatch.setenv("RUNBOOK_PARAMETERS", str(tmp_path))
    requests = []

    def call(*words: str, error: str | None = None):
        def run_notebook(request, *, progress=None):
            requests.append(request)
            record = IncidentRecord(
                id="1",
                issue=request.issue,
                service="orders",
                environment="prod",
                status="failed" if error else "completed",
                summary="31 % of requests fail since 11:58:02 UTC.",
                started_at=NOON,
                window_start=NOON,
                window_end=NOON,
            )
            return RunResult(directory=tmp_path / "incident", record=record, error=error)

        monkeypatch.setattr("runbook_lib.archive.runner.run_notebook", run_notebook)
        arguments = ["run", "high_error_rate", *words]
        with pytest.raises(SystemExit) as ended:
            application(arguments)(arguments)
        captured = capsys.readouterr()
        return requests[-1], ended.value.code, captured.out, captured.err

    return call


def test_the_last_line_is_the_archives_path(ran, tmp_path):
    _, code, out, err = ran("-s", "orders")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["31 % of requests fail since 11:58:02 UTC.", str(tmp_path / "incident")]


def test_json_is_the_record_and_nothing_else(ran):
    _, code, out, _ = ran("-s", "orders", "--json")
    assert code == 0
    assert json.loads(out)["schema"] == 1


def test_a_failed_notebook_exits_4_and_still_names_its_archive(ran, tmp_path):
    _, code, out, err = ran("-s", "orders", error="cell 7: KeyError")
    assert (code, out.splitlines()[-1]) == (4, str(tmp_path / "incident"))
    assert "cell 7: KeyError" in err


def test_a_service_goes_to_the_notebook_as_an_absolute_path(ran, tmp_path, monkeypatch):
    request, *_ = ran("-s", "orders")
    assert (request.service, request.environment) == (str(tmp_path / "orders.prod.yaml"), "prod")
    monkeypatch.chdir(tmp_path)
    request, *_ = ran("-s", "./orders.prod.yaml", "--notebooks", str(request.notebooks))
    assert request.service == str(tmp_path / "orders.prod.yaml")


def test_approvals_window_and_parameters_reach_the_runner(ran):
    words = ("-s", "orders", "--approve", "restart_pods", "--approve", "rollback_deployment=deployment/orders", "--dry-run")
    request, *_ = ran(*words, "--window", "2h", "--start", "2026-05-04T03:00Z", "-p", "replay=some/folder")
    assert request.approve == ("restart_pods", "rollback_deployment=deployment/orders")
    assert (request.dry_run, request.window, request.start) == (True, "2h", "2026-05-04T03:00Z")
    assert request.parameters == {"replay": "some/folder"}


def test_without_an_approval_none_is_given(ran):
    request, *_ = ran("-s", "orders")
    assert (request.approve, request.dry_run, request.alert) == ((), False, None)


def test_an_alert_is_read_from_its_file(ran, tmp_path):
    (tmp_path / "alert.json").write_text('{"labels": {"alertname": "HighErrorRate"}}')
    request, *_ = ran("-s", "orders", "--alert", str(tmp_path / "alert.json"))
    assert request.alert["labels"]["alertname"] == "HighErrorRate"


def test_the_window_of_time_stays_out_of_what_papermill_injects_as_parameters(ran):
    request, *_ = ran("-s", "orders", "-p", "replay=5")
    assert request.parameters == {"replay": 5}
