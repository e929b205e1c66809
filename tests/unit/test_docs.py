"""The pages hold together: links live, decisions have their parts, notebooks are named in the README."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "*/README.md") for path in ROOT.glob(pattern) if ".venv" not in path.parts
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_tree_lives(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    dead = [link for link in links if "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_what_was_asked_what_was_chosen_and_what_would_change_it(page):
    text = page.read_text().lower()
    assert page.read_text().startswith("# ")
    assert all(part in text for part in ("question", "candidates", "choice", "what would change it"))


def test_every_dependency_has_a_decision():
    decided = " ".join(page.read_text().lower() for page in DECISIONS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    names = {re.match(r"[A-Za-z0-9-]+", requirement)[0].lower() for requirement in requirements}
    assert {name for name in names if name not in decided and name.replace("-", "_") not in decided} == set()
