"""The .tcm archive: a module and its weights in one file (docs/design/archive.md).

A zip with `manifest.json`, `model.ir` (text) and `weights.safetensors`. Reading executes nothing
and accepts nothing it has not checked: framing, checksums, versions, the IR's form and types, and
that manifest, IR and weights agree. Whatever is wrong is an `ArchiveError`.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tracec_ir import dtypes, promote
from tracec_ir.core import Func, Module, Value
from tracec_ir.dtypes import DType
from tracec_ir.printer import print_module
from tracec_ir.types import TensorType
from tracec_ir.verify import VerifyError, verify_module

from . import container, safetensors

FORMAT = "tracec model"
FORMAT_VERSION = 1
OPSET_VERSION = 1

_MANIFEST, _IR, _WEIGHTS = "manifest.json", "model.ir", "weights.safetensors"
_MEMBERS = (_MANIFEST, _IR, _WEIGHTS)
_MAX_MANIFEST = 16 << 20
_MAX_IR = 64 << 20


class ArchiveError(Exception):
    """A file that is not a sound archive, or one that this version cannot read."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How the entry is called: its parameters are the inputs, then the weights, in this order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...] = ()

    @staticmethod
    def of(func: Func, weights: Mapping[str, Any]) -> Signature:
        """The signature that the parameters' names give: those not in `weights` are inputs."""
        names = [p.name or f"arg{i}" for i, p in enumerate(func.params)]
        inputs = tuple(n for n in names if n not in weights)
        if names[: len(inputs)] != list(inputs):
            raise ValueError(f"@{func.name}: the inputs must come before the weights")
        outputs = tuple(f"out{i}" for i in range(len(func.results)))
        return Signature(inputs, outputs, tuple(names[len(inputs) :]))


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive holds. Weights are read-only views of the mapped file."""

    module: Module
    weights: dict[str, np.ndarray]
    signature: Signature
    default_float: DType
    manifest: dict[str, Any]

    @property
    def entry(self) -> Func:
        """The function that is called."""
        return next(iter(self.module))

    def input_types(self) -> list[tuple[str, Any]]:
        """(name, type) of each input."""
        params = self.entry.params
        return [(n, p.type) for n, p in zip(self.signature.inputs, params, strict=False)]

    def output_types(self) -> list[tuple[str, Any]]:
        """(name, type) of each output."""
        results = self.entry.results
        return [(n, r.type) for n, r in zip(self.signature.outputs, results, strict=True)]


# -- writing ---------------------------------------------------------------------------------------
def write(
    path: str | os.PathLike[str],
    module: Module,
    weights: Mapping[str, np.ndarray],
    signature: Signature | None = None,
) -> None:
    """Saves `module` (its first function is the entry) and its weights.

    The file appears whole or not at all. Raises VerifyError or ValueError, and writes nothing, if
    module, weights and signature do not fit together.
    """
    verify_module(module)
    entry = next(iter(module), None)
    if entry is None:
        raise ValueError("the module has no function")
    signature = signature or Signature.of(entry, weights)
    problem = _mismatch(entry, weights, signature)
    if problem:
        raise ValueError(problem)
    ir = print_module(module).encode()
    pieces = safetensors.pack({name: weights[name] for name in signature.weights})
    hasher = sha256()
    for piece in pieces:
        hasher.update(piece)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "producer": _producer(),
        "opset_version": OPSET_VERSION,
        "default_float": promote.default_float.code,
        "entry": entry.name,
        "inputs": _described(signature.inputs, entry.params),
        "outputs": _described(signature.outputs, entry.results),
        "weights": list(signature.weights),
        "members": {
            _IR: {"size": len(ir), "sha256": sha256(ir).hexdigest()},
            _WEIGHTS: {"size": sum(map(len, pieces)), "sha256": hasher.hexdigest()},
        },
    }
    text = json.dumps(manifest, indent=1).encode()
    _save(Path(path), [(_MANIFEST, [text]), (_IR, [ir]), (_WEIGHTS, pieces)])


def _producer() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"tracec {version('tracec')}"
    except PackageNotFoundError:  # used from a source tree
        return "tracec (not installed)"


def _described(names: tuple[str, ...], values: tuple[Value, ...]) -> list[dict[str, str]]:
    return [{"name": n, "type": repr(v.type)} for n, v in zip(names, values, strict=False)]


def _save(path: Path, members: list[tuple[str, Any]]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with open(temporary, "xb") as file:
            container.write(file, members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mismatch(entry: Func, weights: Mapping[str, np.ndarray], signature: Signature) -> str:
    """Why entry, weights and signature do not fit together, or ""."""
    names = signature.inputs + signature.weights
    if len(names) != len(entry.params) or len(set(names)) != len(names):
        return f"the signature names {len(names)} parameters, @{entry.name} has {len(entry.params)}"
    if len(signature.outputs) != len(entry.results):
        return f"the signature names {len(signature.outputs)} outputs of {len(entry.results)}"
    if set(weights) != set(signature.weights):
        odd = sorted(set(weights) ^ set(signature.weights))
        return f"weights and signature differ in {odd[0]!r}"
    params = entry.params[len(signature.inputs) :]
    for name, p in zip(signature.weights, params, strict=True):
        array = weights[name]
        found = TensorType(dtypes.by_numpy(array.dtype), array.shape)
        if p.type != found:
            return f"weight {name!r} must be {p.type!r}, it is {found!r}"
    return ""


# -- reading ---------------------------------------------------------------------------------------
def read(path: str | os.PathLike[str]) -> Archive:
    """The archive at `path`, checked from end to end; ArchiveError says what is wrong with it."""
    with open(path, "rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            raise ArchiveError(f"{os.fspath(path)}: the file is empty") from None
    try:
        return read_bytes(mapped)
    except ArchiveError as error:
        raise ArchiveError(f"{os.fspath(path)}: {error}") from error.__cause__


def read_bytes(data: Any) -> Archive:
    """The archive whose bytes are `data` (bytes or a map of a file)."""
    try:
        members = container.read(memoryview(data).toreadonly(), _MEMBERS)
    except container.ContainerError as error:
        raise ArchiveError(str(error)) from None
    missing = [name for name in _MEMBERS if name not in members]
    if missing:
        raise ArchiveError(f"{missing[0]} is missing")
    manifest = _manifest(members[_MANIFEST])
    for name in (_IR, _WEIGHTS):
        _check_member(manifest, name, members[name])
    default = manifest.get("default_float")
    if default not in ("f16", "bf16", "f32", "f64"):
        raise ArchiveError(f"{_MANIFEST}: unknown default_float {default!r:.80}")
    with default_float(dtypes.by_code(default)):
        module = _module(members[_IR])
    try:
        weights = safetensors.unpack(members[_WEIGHTS])
    except safetensors.FormatError as error:
        raise ArchiveError(f"{_WEIGHTS}: {error}") from None
    return _assemble(manifest, module, weights)


def _manifest(blob: memoryview) -> dict[str, Any]:
    if len(blob) > _MAX_MANIFEST:
        raise ArchiveError(f"{_MANIFEST} is larger than {_MAX_MANIFEST} bytes")
    try:
        manifest = json.loads(bytes(blob))
    except (ValueError, RecursionError):
        raise ArchiveError(f"{_MANIFEST} is not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArchiveError(f"{_MANIFEST} does not describe a {FORMAT}")
    for key, known in (("format_version", FORMAT_VERSION), ("opset_version", OPSET_VERSION)):
        version = manifest.get(key)
        if type(version) is not int or version < 1:
            raise ArchiveError(f"{_MANIFEST}: {key} is not a version")
        if version > known:
            raise ArchiveError(
                f"{key.replace('_', ' ')} {version} is newer than {known}, the newest that this "
                f"installation reads (written by {manifest.get('producer')!r:.80})"
            )
    return manifest


def _check_member(manifest: dict[str, Any], name: str, blob: memoryview) -> None:
    members = manifest.get("members")
    facts = members.get(name) if isinstance(members, dict) else None
    if not isinstance(facts, dict):
        raise ArchiveError(f"{_MANIFEST} does not list {name}")
    if facts.get("size") != len(blob) or facts.get("sha256") != sha256(blob).hexdigest():
        raise ArchiveError(f"{name} is not the one that {_MANIFEST} describes")


@contextmanager
def default_float(dtype: DType) -> Iterator[None]:
    """Type rules inside the block turn integers into `dtype` where they need a floating type."""
    before = promote.default_float
    if dtype is before:  # the usual case touches nothing that other threads see
        yield
        return
    promote.set_default_float(dtype)
    try:
        yield
    finally:
        promote.set_default_float(before)


def _module(blob: memoryview) -> Module:
    from tracec_ir.parser import ParseError, parse

    if len(blob) > _MAX_IR:
        raise ArchiveError(f"{_IR} is larger than {_MAX_IR} bytes")
    try:
        module = parse(bytes(blob).decode())
        verify_module(module)
    except (ParseError, VerifyError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{_IR}: {error}") from error
    except (RecursionError, MemoryError):
        raise ArchiveError(f"{_IR} is nested too deeply or too large") from None
    return module


def _assemble(manifest: dict[str, Any], module: Module, weights: dict[str, np.ndarray]) -> Archive:
    """The archive, once manifest, module and weights are found to agree."""
    entry = next(iter(module))
    if manifest.get("entry") != entry.name:
        raise ArchiveError(f"{_MANIFEST}: the entry is not @{entry.name:.80}")
    names = manifest.get("weights")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ArchiveError(f"{_MANIFEST}: weights is not a list of names")
    inputs, input_types = _names_and_types(manifest, "inputs")
    outputs, output_types = _names_and_types(manifest, "outputs")
    signature = Signature(inputs, outputs, tuple(names))
    problem = _mismatch(entry, weights, signature)
    if problem:
        raise ArchiveError(problem)
    params = entry.params[: len(inputs)]
    for types, values in ((input_types, params), (output_types, entry.results)):
        for found, value in zip(types, values, strict=True):
            if found != repr(value.type):
                raise ArchiveError(f"{_MANIFEST} says {found:.80}, {_IR} says {value.type!r}")
    return Archive(module, weights, signature, dtypes.by_code(manifest["default_float"]), manifest)


def _names_and_types(manifest: dict[str, Any], key: str) -> tuple[tuple[str, ...], list[str]]:
    items = manifest.get(key)
    if not isinstance(items, list):
        raise ArchiveError(f"{_MANIFEST}: {key} is not a list")
    for item in items:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("name"), str)
            or not isinstance(item.get("type"), str)
        ):
            raise ArchiveError(f"{_MANIFEST}: {key} holds something else than names and types")
    return tuple(i["name"] for i in items), [i["type"] for i in items]
