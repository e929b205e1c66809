"""A run leaves an archive, whatever happens on its way, and no secret in it."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from runbook_lib.archive import runner
from runbook_lib.archive.folder import IncidentFolder
from runbook_lib.archive.index import incidents
from runbook_lib.archive.runner import run_notebook
from runbook_lib.errors import ConfigurationError
from tests.unit.archive.notebooks import request

PASSWORD = "pl4nted&S3cret-passw0rd"
HELPERS = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("ORDERS_PASSWORD", PASSWORD)


def source_of(result):
    return json.loads((result.directory / "incident.ipynb").read_text())


def test_a_run_to_the_end_is_completed_with_its_report(tmp_path):
    told = []
    result = run_notebook(request(tmp_path, "print(6 * 7)"), progress=lambda *step: told.append(step))
    assert result.error is None
    assert result.record.status == "completed"
    assert IncidentFolder(result.directory).read_record() == result.record
    assert "42" in (result.directory / "report.html").read_text()
    assert told[-1][0] == "Look"
    assert all(done < total for _, done, total in told)


def test_parameters_reach_the_notebook(tmp_path):
    result = run_notebook(request(tmp_path, "print(window, archive, approve)", window="5m", approve=("restart_pods",)))
    (output,) = source_of(result)["cells"][-1]["outputs"]
    assert "".join(output["text"]).split() == ["5m", str(result.directory), "['restart_pods']"]


def test_a_failing_cell_keeps_what_was_found_until_then(tmp_path):
    result = run_notebook(request(tmp_path, "print('seen')", "1 / 0", "print('never')"))
    assert result.record.status == "failed"
    assert "ZeroDivisionError" in result.error
    page = (result.directory / "report.html").read_text()
    assert "did not run to its end" in page
    assert "seen" in page
    assert "this cell failed" in page


def test_a_hanging_cell_ends_at_the_deadline(tmp_path):
    started = time.monotonic()
    result = run_notebook(request(tmp_path, "import time; time.sleep(600)", deadline_seconds=4))
    assert time.monotonic() - started < 30
    assert result.record.status == "failed"
    assert "deadline of 4 s" in result.error


IN_THE_MIDDLE = """
import pathlib, time
here = pathlib.Path(archive)
try:
    (here / "first-step").touch()
    time.sleep(600)
except KeyboardInterrupt:
    (here / "taken-back").touch()
"""


DEAF = "import pathlib, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)"


def test_a_change_in_its_middle_is_taken_back_at_the_deadline_and_no_other_is_begun(tmp_path):
    result = run_notebook(request(tmp_path, IN_THE_MIDDLE, "(here / 'next').touch()", deadline_seconds=5))
    assert "deadline of 5 s" in result.error
    left = {path.name for path in result.directory.iterdir()}
    assert left & {"first-step", "taken-back", "next"} == {"first-step", "taken-back"}


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_change_in_its_middle_is_taken_back_when_the_run_is_asked_to_end(asked, tmp_path):
    process, folder, _ = running(tmp_path, IN_THE_MIDDLE)
    wait_for((folder / "first-step").exists)
    process.send_signal(asked)
    process.wait(30)
    assert (folder / "taken-back").exists()
    assert IncidentFolder(folder).read_record().status == "interrupted"


def test_a_cell_that_no_interruption_ends_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_INTERRUPTION_SECONDS", 1.0)
    deaf = f"{DEAF}; time.sleep(600)"
    started = time.monotonic()
    result = run_notebook(request(tmp_path, deaf, deadline_seconds=4))
    assert time.monotonic() - started < 30
    assert "deadline of 4 s" in result.error


def test_a_second_ctrl_c_does_not_wait_for_the_cell(tmp_path):
    process, folder, pid = running(tmp_path, f"{DEAF}; pathlib.Path(archive, 'deaf').touch(); time.sleep(600)")
    wait_for((folder / "deaf").exists)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert not is_gone(pid)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: is_gone(pid), seconds=5)
    process.wait(30)
    assert IncidentFolder(folder).read_record().status == "interrupted"


def test_a_kernel_that_dies_leaves_a_failed_run(tmp_path):
    result = run_notebook(request(tmp_path, "print('seen')", "import os; os._exit(1)"))
    assert result.record.status == "failed"
    assert "DeadKernel" in result.error
    assert (result.directory / "report.html").is_file()


def test_a_broken_service_file_is_told_before_anything_begins(tmp_path):
    asked = request(tmp_path, "1")
    Path(asked.service).write_text("service: {name: orders}")
    with pytest.raises(ConfigurationError, match=r"orders\.prod\.yaml"):
        run_notebook(asked)
    assert not (tmp_path / "outputs").exists()


def test_runs_at_the_same_time_do_not_meet(tmp_path):
    asked = request(tmp_path, "import time; time.sleep(0.2); print(archive)")
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: run_notebook(asked), range(3)))
    assert len({result.directory for result in results}) == 3
    for result in results:
        assert str(result.directory) in "".join(source_of(result)["cells"][-1]["outputs"][0]["text"])


PLANTED = [
    f"print({PASSWORD!r})",
    f"import sys; sys.stderr.write({'dsn: postgresql://runbook:' + PASSWORD + '@db/shop'!r})",
    f"from IPython.display import HTML, display\ndisplay(HTML({'<p>' + PASSWORD.replace('&', '&amp;') + '</p>'!r}))",
    f"display({{'application/vnd.plotly.v1+json': {{'layout': {{'title': {PASSWORD!r}}}}}, 'image/png': 'aGk='}}, raw=True)",
    f"print({quote(PASSWORD, safe='')!r}, {base64.b64encode(PASSWORD.encode()).decode()!r})",
    "print('Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r')",
    "print('customer jane.doe@example.org paid with 4111 1111 1111 1111')",
    "print('AKIAIOSFODNN7EXAMPLE', 'password=hunter2hunter2')",
    f"raise RuntimeError({'cannot log in with ' + PASSWORD!r})",
]
LEAKS = (
    PASSWORD, PASSWORD.replace("&", "&amp;"), quote(PASSWORD, safe=""), base64.b64encode(PASSWORD.encode()).decode(),
    "eyJhbGciOiJIUzI1NiJ9", "jane.doe@example.org", "4111 1111 1111 1111", "AKIAIOSFODNN7EXAMPLE", "hunter2hunter2",
)  # fmt: skip


def leaks_in(directory: Path) -> list[str]:
    found = []
    for path in directory.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", errors="replace")
            found += [f"{path.name}: {leak}" for leak in LEAKS if leak in text]
    return found


def test_no_secret_is_on_the_disk_at_any_moment(tmp_path):
    seen, done = [], threading.Event()

    def watch():
        while not done.wait(0.05):
            seen.extend(leaks_in(tmp_path / "outputs"))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    secret_free_source = [source.replace(repr(PASSWORD), "__import__('os').environ['ORDERS_PASSWORD']") for source in PLANTED]
    result = run_notebook(request(tmp_path, *secret_free_source, alert={"annotations": {"note": f"token={PASSWORD}"}}))
    done.set()
    watching.join()
    assert result.record.status == "failed"
    assert leaks_in(result.directory) == []
    assert seen == []


RUN = """
import sys
from pathlib import Path
from runbook_lib.archive.runner import run_notebook
from tests.unit.archive.notebooks import request
cell = "import os, pathlib; pathlib.Path(archive, 'kernel.pid').write_text(str(os.getpid()))"
run_notebook(request(Path(sys.argv[1]), f"{cell}\\n{sys.argv[2]}"))
"""


def wait_for(probe, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come true in time")


def running(tmp_path, cell="import time; time.sleep(600)"):
    """A run in a process of its own, whose cell hangs; gives the process, the folder and the kernel's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path), cell], cwd=HELPERS, env={**os.environ, "PYTHONPATH": str(HELPERS)}
    )

    def kernel():
        written = [path for path in (tmp_path / "outputs").glob("*/*/*/kernel.pid") if path.read_text()]
        return (written[0].parent, int(written[0].read_text())) if written else None

    folder, pid = wait_for(kernel)
    return process, folder, pid


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_run_that_is_asked_to_end_says_interrupted(tmp_path):
    process, folder, pid = running(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert IncidentFolder(folder).read_record().status == "interrupted"
    assert "interrupted" in (folder / "report.html").read_text()
    wait_for(lambda: is_gone(pid))


def test_a_run_that_is_killed_leaves_a_readable_archive_and_no_kernel(tmp_path):
    process, folder, pid = running(tmp_path)
    process.kill()
    process.wait(10)
    assert IncidentFolder(folder).read_record().status == "running"
    (entry,) = incidents(tmp_path / "outputs")
    assert entry.record.status == "interrupted"
    wait_for(lambda: is_gone(pid))
