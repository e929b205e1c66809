"""pyproject.toml and environment.yml say the same, and the code's dependencies are declared."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]

# Where conda-forge calls a package differently. psycopg's `binary` extra is how pip gets libpq, which conda brings by itself.
CONDA_NAMES = {
    "kubernetes": "python-kubernetes",
    "redis": "redis-py",
    "prometheus-client": "prometheus_client",
    "types-pyyaml": "types-pyyaml",
}

# Packages that a declared one exposes in its own interface, and so brings for good.
BROUGHT_BY = {
    "anyio": "starlette",
    "IPython": "ipywidgets",
    "jsonpointer": "jsonpatch",
    "markupsafe": "jinja2",
    "jupyter_client": "jupyterlab",
    "ipykernel": "jupyterlab",
    "multidict": "aiohttp",
    "pydantic_core": "pydantic",
    "requests": "prometheus-api-client",
    "traitlets": "jupyterlab",
    "urllib3": "kubernetes",
}


def normalised(requirement: str) -> tuple[str, str]:
    """A requirement's name as pip knows it, and its range without spaces."""
    name, _extras, versions = re.fullmatch(r"([A-Za-z0-9_.-]+)(\[\w+\])?\s*(.*)", requirement).groups()
    return name.lower(), versions.replace(" ", "")


def project() -> dict[str, str]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*table["dependencies"], *table["optional-dependencies"]["lab"], *table["optional-dependencies"]["dev"]]
    return dict(normalised(requirement) for requirement in requirements)


def test_conda_and_pip_get_the_same_ranges():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    conda = dict(normalised(entry) for entry in entries if isinstance(entry, str))
    expected = {CONDA_NAMES.get(name, name): versions for name, versions in project().items()}
    assert conda.pop("python") == ">=3.11"
    assert conda.pop("pip") == ""
    assert conda | dict(normalised(entry) for entry in pip) == expected


def test_what_the_library_imports_is_declared():
    imported = {
        match[1]
        for folder in ("runbook_lib", "runbook_lab")
        for path in (ROOT / folder).rglob("*.py")
        for match in re.finditer(r"^\s*(?:from|import) ([a-z_0-9]+)", path.read_text(), re.MULTILINE)
    }
    import sys
    from importlib.metadata import packages_distributions

    providers = packages_distributions()
    foreign = {
        name for name in imported if name in providers and name not in sys.stdlib_module_names and not name.startswith("runbook_")
    }
    provided = {name: {re.sub(r"[-_.]+", "-", provider).lower() for provider in providers[name]} for name in foreign}
    declared = set(project())
    assert {name for name in foreign if not provided[name] & declared and BROUGHT_BY.get(name) not in declared} == set()
