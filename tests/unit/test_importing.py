"""Libraries that are imported late, by threads, are imported by one thread at a time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "runbook_lib"
# Clients and arithmetic that checks import when they need them. They share packages, such as urllib3 and scipy.
LATE = {"drain3", "httpx", "kubernetes", "matplotlib", "prometheus_api_client", "psycopg", "redis", "requests"}
LATE |= {"ruptures", "scipy", "urllib3"}
# The clients' imports begin with urllib3 from both of its ends, as often as it takes to meet in the middle.
TOGETHER = """
import sys, threading
from runbook_lib.importing import one_import_at_a_time
sys.setswitchinterval(1e-5)
start, errors = threading.Barrier(3), []
def run(code):
    start.wait()
    try:
        with one_import_at_a_time:
            exec(code)
    except BaseException as error:
        errors.append(error)
codes = ["import requests", "from urllib3.exceptions import HTTPError", "from kubernetes import client"]
threads = [threading.Thread(target=run, args=(code,)) for code in codes]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(repr(errors) if errors else 0)
"""


def late_imports(tree, *, held=False, inside=False):
    """The imports within functions that no `with one_import_at_a_time` holds together."""
    for node in ast.iter_child_nodes(tree):
        if inside and not held and isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            yield from (f"line {node.lineno}: {name}" for name in names if name.partition(".")[0] in LATE)
        holds = isinstance(node, ast.With) and any(
            ast.unparse(item.context_expr) == "one_import_at_a_time" for item in node.items
        )
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from late_imports(node, held=held or holds, inside=inside or function)


def test_a_late_import_waits_for_the_one_that_is_under_way():
    found = {path: list(late_imports(ast.parse(path.read_text(encoding="utf-8")))) for path in LIBRARY.rglob("*.py")}
    assert {str(path): imports for path, imports in found.items() if imports} == {}


def test_threads_that_import_the_same_package_from_both_ends_do_not_lock_each_other_out():
    done = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
