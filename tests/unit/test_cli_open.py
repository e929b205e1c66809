import subprocess
import sys
from pathlib import Path

import nbformat

from runbook_lib.service import load_service

ROOT = Path(__file__).parents[2]


def test_the_notebook_lies_in_a_new_incidents_folder_with_its_parameters_filled_in(tmp_path):
    words = ("open", "high_error_rate", "-s", "orders", "-e", "lab", "--window", "2h", "--prepare", "--outputs", str(tmp_path))
    done = subprocess.run([sys.executable, "-m", "runbook_lib", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    path = Path(done.stdout.strip())
    assert path.parent.relative_to(tmp_path).parts[0] == "orders"
    notebook = nbformat.read(path, as_version=4)
    [injected] = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", ())]
    values: dict = {}
    exec(injected.source, values)
    assert (values["window"], values["environment"], values["archive"]) == ("2h", "lab", str(path.parent))
    # The notebook runs in its own folder, so that it must find the service from there.
    assert load_service(values["service"]).name == "orders"
