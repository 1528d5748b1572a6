"""Each transaction that writes is carried out again if it meets another one."""

from __future__ import annotations

import ast
from pathlib import Path

import tracker_service

PACKAGE = Path(tracker_service.__file__).parent
ALLOWED = {
    "store/database.py",  # `write` itself
    "store/grouped.py",  # SQLite alone, where one transaction at a time writes
    "store/upgrade.py",  # under a lock of its own
}


def begins(file: Path) -> bool:
    """Tell whether a module opens a transaction that writes: `with store.begin() as …`."""
    blocks = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.With))
    opened = [item.context_expr for block in blocks for item in block.items]
    return any(isinstance(o, ast.Call) and ast.unparse(o).endswith(".begin()") for o in opened)


def test_nothing_writes_but_by_a_call_that_tries_again():
    found = {str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py") if begins(file)}

    assert found == ALLOWED
