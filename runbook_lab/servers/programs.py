"""Finds Prometheus and Alertmanager: on PATH, else Debian's package unpacked without root, else the official release."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_DOWNLOAD_SECONDS = 60
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7", "ppc64le": "ppc64le", "s390x": "s390x"}


class ProgramMissingError(RuntimeError):
    """A server of the lab could be had in no way; the message says what was tried and what helps."""


@dataclass(frozen=True)
class Program:
    """A server: the names that it has on PATH, its Debian package, and its release on GitHub."""

    names: tuple[str, ...]
    package: str
    project: str
    version: str


PROMETHEUS = Program(("prometheus",), "prometheus", "prometheus", "2.53.4")
# Debian's Alertmanager reads its templates from where its package is installed. Its copy here reads them below the directory
# that it is started in: both paths are equally long, as they must be within a program.
_INSTALLED, _UNPACKED = b"/usr/share/prometheus/alertmanager", b"usr//share/prometheus/alertmanager"
ALERTMANAGER = Program(("alertmanager", "prometheus-alertmanager"), "prometheus-alertmanager", "alertmanager", "0.27.0")


def cache_directory() -> Path:
    """Give the directory of downloaded programs, which labs share and `lab down` leaves alone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "runbook-lab-programs"


def find(program: Program, *, told: Callable[[str], None]) -> Path:
    """Give the path of a program, downloaded when it must be; `told` hears of that. Raises ProgramMissingError."""
    for name in program.names:
        if found := shutil.which(name):
            return Path(found)
    if found := _unpacked(program):
        return found
    failures = []
    for source, fetch in (("Debian's package", _from_debian), ("the official release", _from_release)):
        told(f"{program.names[0]} is not on PATH; fetching {source}")
        try:
            with tempfile.TemporaryDirectory(dir=_made(cache_directory())) as scratch:
                fetch(program, Path(scratch))
                # In one step: another lab that starts at the same time sees all of it or nothing.
                (Path(scratch) / "program").rename(_directory(program))
        except (OSError, subprocess.SubprocessError, tarfile.TarError, ProgramMissingError) as error:
            failures.append(f"{source}: {_reason(error)}")
        if found := _unpacked(program):
            return found
    raise ProgramMissingError(
        f"{program.names[0]} was not found ({'; '.join(failures)}). Install it (apt install {program.package}, or from "
        f"https://prometheus.io/download/) so that it is on PATH, and start the lab again."
    )


def start_directory(found: Path) -> Path:
    """Give the directory that a program has to be started in: the root, or the place that its package was unpacked to."""
    within = cache_directory()
    return within / found.relative_to(within).parts[0] if found.is_relative_to(within) else Path("/")


def _directory(program: Program) -> Path:
    return cache_directory() / program.project


def _unpacked(program: Program) -> Path | None:
    for name in program.names:
        # Where Debian's package has it, and the release. Elsewhere are start scripts of the same name.
        for pattern in (f"usr/bin/{name}", f"*/{name}"):
            for found in _directory(program).glob(pattern):
                if found.is_file() and os.access(found, os.X_OK):
                    return found
    return None


def _from_debian(program: Program, scratch: Path) -> None:
    """Download the package of this machine's Debian or Ubuntu, and unpack it. Nothing is installed, no script of it runs."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ProgramMissingError("this is not a Debian or Ubuntu")
    try:
        _run("apt-get", "-qq", "download", program.package, directory=scratch)
    except subprocess.CalledProcessError:
        # The lists of packages are not there, as in a fresh container; they can be had without root in a place of one's own.
        _made(scratch / "lists" / "partial")
        _made(scratch / "archives" / "partial")
        own = ("-o", f"Dir::State::Lists={scratch}/lists", "-o", f"Dir::Cache={scratch}")
        _run("apt-get", "-qq", *own, "update", directory=scratch)
        _run("apt-get", "-qq", *own, "download", program.package, directory=scratch)
    packages = sorted(scratch.glob("*.deb"))
    if not packages:
        raise ProgramMissingError(f"apt-get downloaded no package {program.package}")
    _run("dpkg-deb", "-x", str(packages[0]), str(scratch / "program"), directory=scratch)
    for found in (scratch / "program" / "usr" / "bin").iterdir():
        found.write_bytes(found.read_bytes().replace(_INSTALLED, _UNPACKED))


def _from_release(program: Program, scratch: Path) -> None:
    """Download the release of the project, and compare its checksum before it is unpacked."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if platform.system() != "Linux" or architecture is None:
        raise ProgramMissingError(f"there is none for {platform.system()} on {platform.machine()}")
    name = f"{program.project}-{program.version}.linux-{architecture}"
    base = f"https://github.com/prometheus/{program.project}/releases/download/v{program.version}"
    sums = dict(reversed(line.split()) for line in _download(f"{base}/sha256sums.txt").decode().splitlines() if line.strip())
    archive = _download(f"{base}/{name}.tar.gz")
    found, expected = hashlib.sha256(archive).hexdigest(), sums.get(f"{name}.tar.gz")
    if found != expected:
        raise ProgramMissingError(f"the checksum of {name}.tar.gz should be {expected}, found {found}")
    path = scratch / "archive.tar.gz"
    path.write_bytes(archive)
    with tarfile.open(path) as opened:
        opened.extractall(scratch / "program", filter="data")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_DOWNLOAD_SECONDS) as response:
        content: bytes = response.read()
        return content


def _run(*command: str, directory: Path) -> None:
    subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=2 * _DOWNLOAD_SECONDS)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or "").strip().splitlines()
        return lines[-1] if lines else f"{error.cmd[0]} failed"
    return str(error)
