from pathlib import Path

from runbook_lib.folders import notebooks_folder, outputs_folder, parameters_folder


def test_what_is_given_comes_before_the_variable_and_the_variable_before_the_folder_here(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNBOOK_NOTEBOOKS", "/from/the/variable")
    assert notebooks_folder("/given") == Path("/given")
    assert notebooks_folder() == Path("/from/the/variable")
    monkeypatch.delenv("RUNBOOK_NOTEBOOKS")
    assert notebooks_folder() == tmp_path / "notebooks"


def test_away_from_any_team_the_runbooks_that_ship_are_found(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNBOOK_NOTEBOOKS", raising=False)
    monkeypatch.delenv("RUNBOOK_PARAMETERS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert (notebooks_folder() / "high_error_rate.ipynb").is_file()
    assert (parameters_folder() / "orders.lab.yaml").is_file()


def test_incidents_are_never_written_into_the_library(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNBOOK_OUTPUTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert outputs_folder() == tmp_path / "outputs"
