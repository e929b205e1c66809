"""The shipped alerts: what they say at which time is tested by promtool, beside them; here, that they fit the rest."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from runbook_lab.servers.rules import lab_rules
from runbook_lib.playbooks import names, playbook

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}


def promtool(*arguments):
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt install prometheus)")
    done = subprocess.run([program, *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_alerts_fire_when_they_should_and_only_then():
    code, said = promtool("test", "rules", "prometheus-rules.test.yaml")
    assert code == 0, said


def test_the_pace_of_the_lab_leaves_rules_that_prometheus_takes(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(lab_rules()))
    code, said = promtool("check", "rules", str(path))
    assert code == 0, said


def test_each_runbook_has_its_alert_and_the_alert_routes_to_it():
    assert {name: ALERTS[playbook(name).alert]["labels"]["runbook"] for name in names()} == {name: name for name in names()}


def test_each_alert_is_told_in_words():
    for alert in ALERTS.values():
        assert {"summary", "description"} <= set(alert["annotations"])
        assert {"severity", "runbook"} <= set(alert["labels"])
