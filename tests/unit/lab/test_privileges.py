import subprocess
import sys

PROBE = """
import os, sys
from runbook_lab.servers.privileges import drop_root
drop_root()
print(os.geteuid() != 0, os.access(sys.argv[1], os.R_OK))
"""


def test_a_server_gives_up_root_and_still_finds_its_programs_in_a_closed_directory(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "initdb").write_text("a program")
    done = subprocess.run([sys.executable, "-c", PROBE, closed / "initdb"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
