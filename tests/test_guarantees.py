"""The guarantees say what the tests prove, and the document says what the guarantees say."""

import ast
from pathlib import Path

import pytest

from pilotfish.plane.guarantees import LEVELS, NOT_PRESERVED, document, read

ROOT = Path(__file__).parent.parent
GUARANTEES = read("grpcio")


def test_the_document_is_up_to_date() -> None:
    remedy = "run: python -m pilotfish.plane.guarantees > docs/guarantees.md"
    assert (ROOT / "docs" / "guarantees.md").read_text() == document(GUARANTEES), remedy


def test_every_item_of_the_checklist_has_a_row() -> None:
    assert {guarantee.checklist for guarantee in GUARANTEES} == set(range(1, 35))
    assert len({guarantee.id for guarantee in GUARANTEES}) == len(GUARANTEES)
    assert {guarantee.grpcio for guarantee in GUARANTEES} <= set(LEVELS)


@pytest.mark.parametrize("guarantee", GUARANTEES, ids=lambda guarantee: guarantee.id)
def test_what_is_not_simply_preserved_says_why_or_names_its_proof(guarantee) -> None:
    assert guarantee.note or guarantee.test
    assert guarantee.note or guarantee.grpcio not in (NOT_PRESERVED, "normalised")
    if guarantee.test is not None:
        path, _, name = guarantee.test.partition("::")
        assert guarantee.id in marks(ROOT / path, name), f"{guarantee.test} is not marked as its proof"


def test_every_mark_names_a_row() -> None:
    known = {guarantee.id for guarantee in GUARANTEES}
    files = [*(ROOT / "tests" / "conformance").glob("test_*.py"), ROOT / "tests" / "test_plane_grpcio.py"]
    marked = {row for path in files for name in functions(path) for row in marks(path, name)}
    assert marked <= known
    assert marked >= {guarantee.id for guarantee in GUARANTEES if guarantee.test is not None}


def functions(path: Path) -> dict[str, ast.AsyncFunctionDef | ast.FunctionDef]:
    found = ast.walk(ast.parse(path.read_text()))
    return {node.name: node for node in found if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}


def marks(path: Path, name: str) -> set[str]:
    """The rows a test is marked to prove."""
    return {
        str(ast.literal_eval(decorator.args[0]))
        for decorator in functions(path)[name].decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.guarantee"
    }
