"""No function takes `out=` and ignores it."""

import ast
from pathlib import Path

import pytest

import tracec

ROOT = Path(tracec.__file__).parent


def functions() -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for path in [*ROOT.glob("*.py"), *(ROOT / "ops").glob("*.py"), *(ROOT / "nn").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                arguments = node.args.args + node.args.kwonlyargs
                if any(a.arg == "out" for a in arguments):
                    found.append((f"{path.name}:{node.name}", node))
    return found


@pytest.mark.parametrize("name, node", functions(), ids=lambda v: v if isinstance(v, str) else "")
def test_out_is_used(name: str, node: ast.FunctionDef) -> None:
    names = [n for part in node.body for n in ast.walk(part) if isinstance(n, ast.Name)]
    assert any(n.id == "out" and isinstance(n.ctx, ast.Load) for n in names)
