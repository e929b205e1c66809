"""Every notebook has the form that a tired reader can rely on."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from runbook_lib.playbooks import names, playbook

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SECTIONS = ["Connect", "Symptoms", "Investigation", "Causes", "Resolution", "Verification", "Prevention", "Close"]
FORBIDDEN = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.For,
    ast.While,
    ast.Try,
    ast.With,
    ast.If,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.GeneratorExp,
)
MOST_LINES = 6


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def called(path: Path, of: str) -> list[str]:
    """The names of `incident.check` or `incident.resolve` that the cells call, from top to bottom."""
    begin = f"incident.{of}."
    found = [cell.source for cell in cells(path, "code") if cell.source.startswith(begin)]
    return [source.removeprefix(begin).partition("(")[0] for source in found]


def tagged(path: Path, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in cells(path, "code") if tag in cell.metadata.get("tags", [])]


def test_every_playbook_has_its_notebook_and_the_other_way_round():
    assert [path.stem for path in NOTEBOOKS] == names()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestForm:
    def test_it_is_stored_without_outputs(self, path: Path):
        assert all(not cell.outputs and cell.execution_count is None for cell in cells(path, "code"))

    def test_its_sections_stand_in_the_order_of_a_runbook(self, path: Path):
        headings = [line[3:] for cell in cells(path, "markdown") for line in cell.source.splitlines() if line.startswith("## ")]
        assert headings == SECTIONS

    def test_it_names_its_language_so_that_papermill_can_give_it_parameters(self, path: Path):
        assert nbformat.read(path, as_version=4).metadata.kernelspec.language == "python"

    def test_its_parameters_are_literals_each_with_a_comment(self, path: Path):
        (cell,) = tagged(path, "parameters")
        for line in cell.source.splitlines():
            assignment, comment = line.split("  # ")
            ast.literal_eval(ast.parse(assignment).body[0].value)  # type: ignore[attr-defined]
            assert comment
            assert "=" not in comment, "a second = hides the parameter from papermill --help-notebook"

    def test_its_cells_are_thin_and_hold_no_logic(self, path: Path):
        for cell in cells(path, "code"):
            tree = ast.parse(cell.source)
            assert not [node for node in ast.walk(tree) if isinstance(node, FORBIDDEN)], cell.source
            assert "print(" not in cell.source
            if "parameters" not in cell.metadata.get("tags", []):
                assert len(cell.source.splitlines()) <= MOST_LINES, cell.source

    def test_it_imports_only_the_public_face_of_the_library(self, path: Path):
        for cell in cells(path, "code"):
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, ast.Import), cell.source
                if isinstance(node, ast.ImportFrom):
                    assert node.module == "runbook_lib"

    def test_steps_and_actions_are_those_of_the_playbook_in_its_order(self, path: Path):
        declared = playbook(path.stem)
        assert called(path, "check") == [step.name for step in declared.checks]
        assert called(path, "resolve") == list(declared.actions)

    def test_every_cell_that_acts_is_tagged(self, path: Path):
        acting = [cell for cell in cells(path, "code") if "incident.resolve." in cell.source]
        assert acting == tagged(path, "resolve")

    def test_every_code_cell_follows_a_text_that_says_what_to_look_for(self, path: Path):
        all_cells = nbformat.read(path, as_version=4).cells
        for before, cell in pairwise(all_cells):
            if cell.cell_type == "code" and "connect" not in cell.metadata.get("tags", []):
                assert before.cell_type == "markdown" or "parameters" in cell.metadata.get("tags", []), cell.source

    @pytest.mark.parametrize(
        ("of", "after", "before"), [("check", "Symptoms", "Causes"), ("resolve", "Resolution", "Verification")]
    )
    def test_steps_stand_in_their_section(self, path: Path, of: str, after: str, before: str):
        all_cells = nbformat.read(path, as_version=4).cells
        begin, end = (
            next(place for place, cell in enumerate(all_cells) if cell.source.startswith(f"## {name}"))
            for name in (after, before)
        )
        places = [place for place, cell in enumerate(all_cells) if cell.source.startswith(f"incident.{of}.")]
        assert begin < min(places) <= max(places) < end
