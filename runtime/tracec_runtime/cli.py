"""`tracec-run`: looks into an archive, runs it on .npy files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracec_ir.types import ScalarType

from .archive import ArchiveError
from .standalone import Model, load


def main(argv: Sequence[str] | None = None) -> int:
    """The command's entry point; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (ArchiveError, OSError, ValueError, TypeError, IndexError, RuntimeError) as error:
        print(f"tracec-run: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tracec-run", description="Runs a model saved as .tcm on NumPy files."
    )
    parser.add_argument("model", help="the archive (.tcm)")
    parser.add_argument(
        "--input", "-i", action="append", default=[], metavar="[NAME=]FILE.npy",
        help="an input, by position or by name; a number for a scalar input; repeat for more",
    )  # fmt: skip
    parser.add_argument(
        "--output", "-o", action="append", default=[], metavar="FILE.npy",
        help="where to save an output; repeat for more. Without it, outputs are printed",
    )  # fmt: skip
    parser.add_argument("--print-ir", action="store_true", help="print the model's IR")
    parser.add_argument("--info", action="store_true", help="print what the archive holds")
    return parser


def _run(options: argparse.Namespace) -> int:
    model = load(options.model)
    if options.info:
        print(_info(model, Path(options.model)))
    if options.print_ir:
        print(model.archive.module, end="")
    if not options.input and (options.info or options.print_ir):
        return 0
    args, named = _inputs(model, options.input)
    outputs = model.run(*args, **named)
    if len(options.output) > len(outputs):
        raise ValueError(f"there are {len(outputs)} outputs for {len(options.output)} files")
    for (name, type_), value in list(zip(model.outputs, outputs, strict=True))[
        len(options.output) :
    ]:
        print(f"{name}: {type_!r}\n{value}")
    for path, value in zip(options.output, outputs, strict=False):
        with open(path, "wb") as file:
            np.save(file, value, allow_pickle=False)
    return 0


def _inputs(model: Model, given: list[str]) -> tuple[list[Any], dict[str, Any]]:
    types = dict(model.inputs)
    positions = iter(model.inputs)
    args, named = [], {}
    for text in given:
        name, equals, rest = text.partition("=")
        if equals and name in types:
            named[name] = _value(types[name], rest)
        else:
            _, type_ = next(positions, ("", None))
            args.append(_value(type_, text))
    return args, named


def _value(type_: Any, text: str) -> Any:
    if isinstance(type_, ScalarType):
        if type_.dtype.kind == "b":
            if text.lower() not in ("true", "false"):
                raise ValueError(f"expected true or false, got {text!r}")
            return text.lower() == "true"
        return {"i": int, "f": float, "c": complex}[type_.dtype.kind](text)
    array = np.load(text, allow_pickle=False)
    # .npy files hold bfloat16 as two untyped bytes
    if type_ is not None and type_.dtype.code == "bf16" and array.dtype == np.dtype("V2"):
        array = array.view(type_.dtype.numpy)
    return array


def _info(model: Model, path: Path) -> str:
    manifest, weights = model.archive.manifest, model.archive.weights
    count = sum(w.size for w in weights.values())
    lines = [
        f"{path.name}: {path.stat().st_size:,} bytes, format {manifest['format_version']}, "
        f"op set {manifest['opset_version']}, written by {manifest.get('producer')}",
        *(f"input   {name}: {type_!r}" for name, type_ in model.inputs),
        *(f"output  {name}: {type_!r}" for name, type_ in model.outputs),
        f"weights {len(weights)} arrays, {count:,} elements",
        f"entry   @{model.archive.entry.name}, {sum(1 for _ in model.archive.entry.walk())} "
        f"operations, {model.primitives} primitives",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
