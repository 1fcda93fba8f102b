"""Archives: round trips, damage of every bit, hostile contents, versions, atomic saves."""

import io
import json
import os
import random
import re
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.unit.runtime.models import MLP, mlp
from tracec_ir import promote
from tracec_ir.core import Func, Module
from tracec_ir.hash import equal
from tracec_ir.parser import parse
from tracec_ir.verify import VerifyError
from tracec_runtime import archive, container, safetensors
from tracec_runtime.archive import ArchiveError, Signature, read, read_bytes, write

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def blob(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("archive") / "m.tcm"
    write(path, *mlp())
    return path.read_bytes()


def _members(blob: bytes) -> dict[str, bytes]:
    names = ("manifest.json", "model.ir", "weights.safetensors")
    return {n: bytes(v) for n, v in container.read(memoryview(blob), names).items()}


def _pack(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    container.write(file, [(name, [data]) for name, data in members.items()])
    return file.getvalue()


def _changed(blob: bytes, name: str, data: bytes, edit=lambda manifest: None) -> bytes:
    """The archive with one member replaced and the manifest's checksums made to fit."""
    members = _members(blob)
    members[name] = data
    manifest = json.loads(members["manifest.json"])
    if name != "manifest.json":
        manifest["members"][name] = {"size": len(data), "sha256": sha256(data).hexdigest()}
    edit(manifest)
    members["manifest.json"] = json.dumps(manifest).encode()
    return _pack(members)


def _manifest(blob: bytes, **changes) -> bytes:
    text = _members(blob)["manifest.json"]
    return _changed(blob, "manifest.json", text, lambda manifest: manifest.update(changes))


def test_round_trip(tmp_path):
    module, weights = mlp()
    write(tmp_path / "m.tcm", module, weights)
    found = read(tmp_path / "m.tcm")
    assert equal(found.entry, module["mlp"])
    assert found.entry.ops[1].loc == "train.py:12"
    assert found.signature == Signature(("x",), ("out0", "out1"), ("w", "b"))
    assert [repr(t) for _, t in found.input_types()] == ["f32[?n x 4]"]
    assert set(found.weights) == {"w", "b"}
    for name, value in weights.items():
        assert np.array_equal(found.weights[name], value)
        assert not found.weights[name].flags.writeable


def test_equal_models_make_equal_files(blob, tmp_path):
    write(tmp_path / "again.tcm", *mlp())
    assert (tmp_path / "again.tcm").read_bytes() == blob


def test_any_zip_tool_reads_it(blob):
    with zipfile.ZipFile(io.BytesIO(blob)) as z:
        assert z.testzip() is None
        assert z.namelist() == ["manifest.json", "model.ir", "weights.safetensors"]
        assert z.read("model.ir").decode().strip() == MLP.strip()


def test_weights_are_aligned_in_the_file(blob):
    data = _members(blob)["weights.safetensors"]
    start = blob.index(data)
    length = struct.unpack("<Q", data[:8])[0]
    assert start % 64 == 0 and (8 + length) % 64 == 0


def test_every_flipped_bit_is_caught(blob):
    for i in range(len(blob)):
        bad = bytearray(blob)
        bad[i] ^= 1 << (i % 8)
        with pytest.raises(ArchiveError):
            read_bytes(bytes(bad))


def test_every_truncation_is_caught(blob):
    for n in range(len(blob)):
        with pytest.raises(ArchiveError):
            read_bytes(blob[:n])
    for extra in (b"\0", b"PK", blob):
        with pytest.raises(ArchiveError):
            read_bytes(blob + extra)
        with pytest.raises(ArchiveError):
            read_bytes(extra + blob)


def test_noise_and_mixtures_are_caught(blob):
    rng = random.Random(0)
    for _ in range(500):
        cuts = sorted(rng.randrange(len(blob)) for _ in range(2))
        noise = rng.randbytes(rng.randint(0, 300))
        for bad in (
            noise,
            noise + blob[cuts[0] :],  # the directory at the end is whole
            blob[: cuts[0]] + noise + blob[cuts[1] :],
            blob[cuts[0] : cuts[1]],
            blob[: cuts[0]] + blob[cuts[1] :] + blob[cuts[0] : cuts[1]],
        ):
            if bad != blob:
                with pytest.raises(ArchiveError):
                    read_bytes(bad)


def test_files_that_are_no_archives(tmp_path):
    for content in (b"", b"hello", b"PK\5\6" + bytes(18), bytes(1000)):
        (tmp_path / "x.tcm").write_bytes(content)
        with pytest.raises(ArchiveError, match="x.tcm: "):
            read(tmp_path / "x.tcm")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.tcm")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a\\b", "native/x.o", "MODEL.IR", ""])
def test_unexpected_members_are_refused(blob, name):
    with pytest.raises(ArchiveError, match="unexpected member"):
        read_bytes(_pack({**_members(blob), name: b"x"}))


def test_missing_and_duplicate_members_are_refused(blob):
    for name in _members(blob):
        rest = {n: d for n, d in _members(blob).items() if n != name}
        with pytest.raises(ArchiveError, match=f"{name} is missing"):
            read_bytes(_pack(rest))
    file = io.BytesIO()
    container.write(file, [(n, [d]) for n, d in [*_members(blob).items(), ("model.ir", b"")]])
    with pytest.raises(ArchiveError, match="'model.ir' occurs twice"):
        read_bytes(file.getvalue())


def test_compressed_and_foreign_zips_are_refused(blob):
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as z:
            for name, data in _members(blob).items():
                z.writestr(name, data)
            z.writestr("bomb", bytes(10_000_000) if method == zipfile.ZIP_DEFLATED else b"")
        with pytest.raises(ArchiveError):
            read_bytes(file.getvalue())


def test_newer_versions_are_refused(blob):
    with pytest.raises(ArchiveError, match="format version 2 is newer than 1, .*'tracec 9'"):
        read_bytes(_manifest(blob, format_version=2, producer="tracec 9"))
    with pytest.raises(ArchiveError, match="opset version 7 is newer"):
        read_bytes(_manifest(blob, opset_version=7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "pickle"}, "does not describe a tracec model"),
        ({"format_version": "1"}, "format_version is not a version"),
        ({"opset_version": True}, "opset_version is not a version"),
        ({"entry": "other"}, "the entry is not @mlp"),
        ({"weights": ["w"]}, "the signature names 2 parameters"),
        ({"weights": ["b", "w"]}, "weight 'b' must be f32[3 x 4], it is f32[3]"),
        ({"weights": ["w", "q"]}, "weights and signature differ in 'b'"),
        ({"weights": "wb"}, "weights is not a list"),
        ({"inputs": []}, "the signature names 2 parameters"),
        ({"inputs": [{"name": "x", "type": "f32[4]"}]}, "says f32[4], model.ir says f32[?n x 4]"),
        ({"inputs": [{"name": "w", "type": "f32[?n x 4]"}]}, "parameters"),
        ({"inputs": [["x", "f32"]]}, "inputs holds something else"),
        ({"outputs": 3}, "outputs is not a list"),
        ({"default_float": "i64"}, "unknown default_float 'i64'"),
        ({"members": []}, "does not list model.ir"),
    ],
)  # fmt: skip
def test_manifests_that_do_not_fit(blob, changes, message):
    with pytest.raises(ArchiveError, match=re.escape(message)):
        read_bytes(_manifest(blob, **changes))


def test_a_member_of_another_archive_is_refused(blob):
    members = _members(blob)
    members["model.ir"] = members["model.ir"].replace(b"softmax", b"log_softmax")
    with pytest.raises(ArchiveError, match="model.ir is not the one"):
        read_bytes(_pack(members))


@pytest.mark.parametrize(
    ("ir", "message"),
    [
        (b"\xff", "model.ir: 'utf-8'"),
        (b"import os", "model.ir: line 1, column 1"),
        (b"func @f() { %0 = system() [cmd=\"x\"] : i64 return %0 }", "no op named 'system'"),
        (MLP.replace("f32[4 x 3]\n", "f32[4 x 4]\n").encode(), "expected f32[4 x 3], found f32[4"),
        (b"func @f() { return } " + b"# " + b"x" * (65 << 20), "larger than"),
        (b"func @f(%x: f32[(" + b"(" * 50_000 + b"?n" + b")" * 50_000 + b")]) { return }", "entry"),
        (b"func @f() { %0 = const() [type=f32[], value=" + b"(" * 30_000 + b"1" + b",)" * 30_000
         + b"] : f32[] return %0 }", "model.ir"),
    ],
)  # fmt: skip
def test_hostile_ir(blob, ir, message):
    with pytest.raises(ArchiveError, match=re.escape(message)):
        read_bytes(_changed(blob, "model.ir", ir))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (b"", "the header is missing"),
        (struct.pack("<Q", 1 << 60), "longer than the file"),
        (struct.pack("<Q", 1) + b"[", "is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "is not an object"),
        (struct.pack("<Q", 2) + b"{}", "weights and signature differ"),
        (struct.pack("<Q", 2) + b"{}x", "bytes behind the last array"),
    ],
)
def test_hostile_weights(blob, weights, message):
    with pytest.raises(ArchiveError, match=re.escape(message)):
        read_bytes(_changed(blob, "weights.safetensors", weights))


def test_random_damage_behind_valid_checksums(blob):
    """Members with random edits and checksums that fit reach the inner parsers."""
    rng = random.Random(1)
    members = _members(blob)
    for _ in range(400):
        name = rng.choice(list(members))
        data = bytearray(members[name])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randint(1, 9)]
            else:
                data[at:at] = data[rng.randrange(len(data)) :][: rng.randint(1, 9)]
            if not data:
                break
        try:
            if name == "manifest.json":
                read_bytes(_pack({**members, name: bytes(data)}))
            else:
                read_bytes(_changed(blob, name, bytes(data)))
        except ArchiveError:
            pass  # edits of weights or names may well be sound


def test_saving_checks_first(tmp_path):
    module, weights = mlp()
    path = tmp_path / "m.tcm"
    with pytest.raises(ValueError, match="weights and signature differ in 'b'"):
        write(path, module, {"w": weights["w"]}, Signature(("x",), ("p", "i"), ("w", "b")))
    with pytest.raises(ValueError, match=re.escape("weight 'b' must be f32[3], it is f64[3]")):
        write(path, module, {**weights, "b": weights["b"].astype(np.float64)})
    with pytest.raises(ValueError, match="2 outputs|1 outputs"):
        write(path, module, weights, Signature(("x",), ("p",), ("w", "b")))
    with pytest.raises(ValueError, match="no function"):
        write(path, Module([]), {})
    broken = parse(MLP.replace("f32[4 x 3]\n", "f32[4 x 4]\n"))
    with pytest.raises(VerifyError):
        write(path, broken, weights)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.tcm"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, *mlp())
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_saved_files_have_ordinary_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "m.tcm", *mlp())
    finally:
        os.umask(old)
    assert (tmp_path / "m.tcm").stat().st_mode & 0o777 == 0o640


def test_names_that_are_no_identifiers(tmp_path):
    module = parse("func @f(%0: f32[2], %1: f32[2]) { %2 = add(%0, %1) : f32[2] return %2 }")
    signature = Signature(("the input",), ("sum",), ("0.weight",))
    write(tmp_path / "m.tcm", module, {"0.weight": np.ones(2, np.float32)}, signature)
    assert read(tmp_path / "m.tcm").signature == signature


def test_the_default_float_travels(tmp_path):
    from tracec_ir import dtypes

    text = """func @f(%x: i64[3]) {
      %0 = mean(%x) [dim=none, keepdim=false, dtype=f64] : f64[] return %0 }"""
    promote.set_default_float(dtypes.f64)
    try:
        write(tmp_path / "m.tcm", parse(text), {})
    finally:
        promote.set_default_float(dtypes.f32)
    assert read(tmp_path / "m.tcm").default_float is dtypes.f64
    assert promote.default_float is dtypes.f32


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.tcm")), ids=lambda p: p.name)
def test_golden_files_keep_loading(path):
    found = read(path)
    module, weights = mlp()
    assert isinstance(found.entry, Func) and equal(found.entry, module["mlp"])
    assert all(np.array_equal(found.weights[n], w) for n, w in weights.items())


def test_safetensors_agree_with_the_library():
    library = pytest.importorskip("safetensors.numpy")
    ml_dtypes = pytest.importorskip("ml_dtypes")
    arrays = {
        "a": np.arange(6.0).reshape(2, 3), "b": np.float16([1, 2, 3]), "0.c": np.array(5, np.int8),
        "e": np.zeros((0, 3), np.uint32), "t": np.arange(6).reshape(2, 3).T,
        "z": np.array([True, False, True]),
    }  # fmt: skip
    packed = b"".join(map(bytes, safetensors.pack(arrays)))
    theirs = library.load(packed)
    ours = safetensors.unpack(memoryview(library.save({n: a.copy() for n, a in arrays.items()})))
    for name, array in arrays.items():
        for found in (theirs[name], ours[name]):
            assert found.dtype == array.dtype and np.array_equal(found, array)
    more = {
        "h": np.array([1, 2], ml_dtypes.bfloat16), "c": np.array([[1 + 2j]]), "s": np.array(2j),
        "d": np.array([1j], np.complex64),
    }  # fmt: skip
    back = safetensors.unpack(memoryview(b"".join(map(bytes, safetensors.pack(more)))))
    for name, array in more.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert np.array_equal(back[name], array)


def test_versions_are_stated():
    assert (archive.FORMAT_VERSION, archive.OPSET_VERSION) == (1, 1)
