"""Libraries that are imported late, by threads, are imported by one thread at a time."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

from runbook_lib.importing import importing

LIBRARY = Path(__file__).resolve().parents[2] / "runbook_lib"
# Clients and arithmetic that checks import when they need them. They share packages, such as urllib3 and scipy.
LATE = {"drain3", "httpx", "kubernetes", "matplotlib", "prometheus_api_client", "psycopg", "redis", "requests"}
LATE |= {"ruptures", "scipy", "urllib3"}
# The clients' imports begin with urllib3 from both of its ends, as often as it takes to meet in the middle.
TOGETHER = """
import sys, threading
from runbook_lib.importing import importing
sys.setswitchinterval(1e-5)
start, errors = threading.Barrier(3), []
def run(code):
    start.wait()
    try:
        with importing(code.split()[1].partition(".")[0]):
            exec(code)
    except BaseException as error:
        errors.append(error)
codes = ["import requests", "from urllib3.exceptions import HTTPError", "from kubernetes import client"]
threads = [threading.Thread(target=run, args=(code,)) for code in codes]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(repr(errors) if errors else 0)
"""


def late_imports(tree, *, held=None, inside=False):
    """The imports within functions that no `with importing(LIBRARY)` stands around."""
    for node in ast.iter_child_nodes(tree):
        if inside and isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            roots = {name.partition(".")[0] for name in names} & LATE
            yield from (f"line {node.lineno}: {root}" for root in roots if root != held)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from late_imports(node, held=library_of(node) or held, inside=inside or function)


def library_of(node):
    call = node.items[0].context_expr if isinstance(node, ast.With) else None
    return call.args[0].value if isinstance(call, ast.Call) and ast.unparse(call.func) == "importing" else None


def test_a_late_import_waits_for_the_one_that_is_under_way():
    found = {path: list(late_imports(ast.parse(path.read_text(encoding="utf-8")))) for path in LIBRARY.rglob("*.py")}
    assert {str(path): imports for path, imports in found.items() if imports} == {}


def test_who_needs_another_library_does_not_wait_for_one_that_takes_long():
    arrived = threading.Event()

    def quick():
        with importing("a quick one"):
            arrived.set()

    with importing("a slow one"):
        thread = threading.Thread(target=quick, daemon=True)
        thread.start()
        assert arrived.wait(10)


def test_nobody_waits_for_what_is_imported_already():
    with importing("kubernetes"):
        pass
    arrived = threading.Event()

    def again():
        with importing("kubernetes"):
            arrived.set()

    with importing("urllib3"):  # one of its family, which is under way
        threading.Thread(target=again, daemon=True).start()
        assert arrived.wait(10)


def test_threads_that_import_the_same_package_from_both_ends_do_not_lock_each_other_out():
    done = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
