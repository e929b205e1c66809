"""The lab's servers on a machine that has none: Debian's packages, unpacked without root."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from runbook_lab.servers import programs, prometheus
from tests.lab.test_instrumentation import wait_until_ready

pytestmark = pytest.mark.lab


def test_an_alertmanager_that_is_not_installed_is_unpacked_and_finds_its_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    if which("apt-get") is None or which("dpkg-deb") is None:
        pytest.skip("this test needs apt-get and dpkg-deb, to unpack a package of Debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda name: None if "alertmanager" in name else which(name))
    told: list[str] = []
    found = programs.find(programs.ALERTMANAGER, told=told.append)
    assert found.is_relative_to(tmp_path)
    assert told == ["alertmanager is not on PATH; fetching Debian's package"]

    configuration = prometheus.alertmanager_configuration(receiver_url="http://127.0.0.1:9/alerts", token=tmp_path / "token")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            found,
            f"--config.file={prometheus.write(tmp_path / 'alertmanager.yml', configuration)}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        cwd=programs.start_directory(found),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
    finally:
        server.terminate()
        server.wait(10)


def test_an_installed_program_is_started_where_every_path_is_what_it_says() -> None:
    assert programs.start_directory(Path("/usr/bin/prometheus")) == Path("/")
