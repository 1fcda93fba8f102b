"""The source files of each layer and what they import, read with `ast`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

# Top first; a layer imports itself and what stands below it.
LAYERS = {
    "tracec": ROOT / "tracec",
    "tracec_runtime": ROOT / "runtime" / "tracec_runtime",
    "tracec_codegen": ROOT / "codegen" / "tracec_codegen",
    "tracec_ir": ROOT / "ir" / "tracec_ir",
}


class Import(NamedTuple):
    package: str  # the top-level package imported
    line: int
    at_load: bool  # runs when the module is imported, not inside a function or TYPE_CHECKING


def sources(layer: str) -> list[Path]:
    """Every Python file of a layer, sorted."""
    return sorted(LAYERS[layer].rglob("*.py"))


def imports(path: Path) -> Iterator[Import]:
    """Every absolute import of a file, wherever it stands."""

    def visit(node: ast.AST, at_load: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name.partition(".")[0], child.lineno, at_load)
            elif isinstance(child, ast.ImportFrom) and not child.level and child.module:
                yield Import(child.module.partition(".")[0], child.lineno, at_load)
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield from visit(child, False)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from visit(child, False)
            else:
                yield from visit(child, at_load)

    yield from visit(ast.parse(path.read_text("utf8"), str(path)), True)
