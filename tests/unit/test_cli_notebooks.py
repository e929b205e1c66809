import json
from pathlib import Path

import pytest

from runbook_lib.cli.notebooks import Parameter, read_runbook, runbooks
from runbook_lib.errors import ConfigurationError, UsageError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def written(folder: Path, parameters: str, *, tags: tuple[str, ...] = ("parameters",), name: str = "issue") -> Path:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# A title\n\nText"},
        {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": parameters.splitlines(keepends=True), "outputs": []},
    ]
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_title_and_parameters_are_read_with_defaults_and_comments(tmp_path):
    written(tmp_path, 'window = "60m"  # how far back\napprove = []\nratio: float = 0.05  # of requests # per pod\n')
    [found] = runbooks(tmp_path)
    assert (found.name, found.title) == ("issue", "A title")
    assert found.parameters == (
        Parameter("window", "'60m'", "how far back"),
        Parameter("approve", "[]", ""),
        Parameter("ratio", "0.05", "of requests # per pod"),
    )


def test_every_runbook_that_ships_can_be_read():
    assert {parameter.name for runbook in runbooks(NOTEBOOKS) for parameter in runbook.parameters} >= {
        "service",
        "environment",
        "window",
    }


def test_a_wrong_name_is_told_with_the_nearest(tmp_path):
    written(tmp_path, "", name="high_error_rate")
    with pytest.raises(UsageError, match="did you mean high_error_rate"):
        read_runbook(tmp_path, "high_eror_rate")


@pytest.mark.parametrize(
    ("parameters", "tags", "message"), [("a = ", ("parameters",), "is not Python"), ("", (), "one cell with the tag")]
)
def test_a_notebook_that_is_no_runbook_is_told(parameters, tags, message, tmp_path):
    written(tmp_path, parameters, tags=tags)
    with pytest.raises(ConfigurationError, match=message):
        runbooks(tmp_path)


def test_a_file_that_is_no_notebook_is_told(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{}")
    with pytest.raises(ConfigurationError, match="is not a notebook"):
        runbooks(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="RUNBOOK_NOTEBOOKS"):
        runbooks(tmp_path / "nowhere")
