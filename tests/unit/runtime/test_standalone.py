"""Running archives without the framework: values, sizes, argument errors, the command line."""

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.unit.runtime.models import mlp, mlp_reference
from tracec_ir.parser import parse
from tracec_runtime import cli, knobs, load
from tracec_runtime.archive import ArchiveError, write
from tracec_runtime.events import counts


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("standalone") / "m.tcm"
    write(path, *mlp())
    return path


def _x(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _interpreted():
    with knobs.override(tier=0):
        yield


@pytest.mark.parametrize("n", [1, 2, 7, 100, 0])
def test_any_batch_size(path, n):
    model = load(path)
    with counts() as c:
        found = model(_x(n))
    assert c.interpreted == 1
    if n:
        for a, b in zip(found, mlp_reference(_x(n), mlp()[1]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    assert found[0].shape == (n, 3) and found[0].dtype == np.float32 and found[1].dtype == np.int64


def test_inputs_by_name_and_results_that_are_ours(path):
    model = load(path)
    a, b = model.run(x=_x(3)), model.run(x=_x(3))
    a[0][:] = 0
    assert np.array_equal(b[0], model(_x(3))[0])
    assert model.signature == "(x: f32[?n x 4]) -> (out0: f32[?n x 3], out1: i64[?n])"


def test_views_are_accepted(path):
    big = np.asfortranarray(_x(10))
    np.testing.assert_array_equal(load(path)(big[::-2])[0], load(path)(big[::-2].copy())[0])


@pytest.mark.parametrize(
    ("args", "named", "kind", "message"),
    [
        ((), {}, TypeError, "input 'x' is missing"),
        ((_x(2), _x(2)), {}, TypeError, "the model takes 1 input (x: f32[?n x 4]) -> "),
        ((_x(2),), {"x": _x(2)}, TypeError, "input 'x' is given twice"),
        ((), {"y": _x(2)}, TypeError, "the model has no input 'y'"),
        ((_x(2).astype(np.float64),), {}, TypeError, "f32[?n x 4] (float32), got float64"),
        ((_x(2)[0],), {}, TypeError, "(2 dimensions), got 1 dimension: shape (4,)"),
        ((_x(2)[:, :3],), {}, ValueError, "dimension 1 is 3, not 4"),
        (("text",), {}, TypeError, "(float32), got str"),
    ],
)  # fmt: skip
def test_wrong_arguments(path, args, named, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        load(path)(*args, **named)


SCALARS = """
func @f(%x: f32[?n], %y: f32[?n], %k: f64, %flag: b1, %i: i64) where ?n = 4 {
  %0 = cast(%k) [dtype=f32] : f32[]
  %1 = broadcast(%0) [shape=(?n)] : f32[?n]
  %2 = mul(%x, %1) : f32[?n]
  %3 = add(%2, %y) : f32[?n]
  return %3
}
"""


def test_numbers_and_sizes_that_must_agree(tmp_path):
    write(tmp_path / "s.tcm", parse(SCALARS), {})
    model = load(tmp_path / "s.tcm")
    x, y = np.float32([1, 2, 3]), np.float32([10, 20, 30])
    np.testing.assert_array_equal(model(x, y, 2, True, 1), [12, 24, 36])
    found = model(x, y, np.float64(0.5), flag=False, i=np.int64(3))
    np.testing.assert_array_equal(found, [10.5, 21, 31.5])
    for numbers in (("2", True, 1), (True, True, 1), (2.0, 1, 1), (2, True, 1.5)):
        with pytest.raises(TypeError, match="must be a number of type"):
            model(x, y, *numbers)
    with pytest.raises(ValueError, match="size"):
        model(x, y[:2], 2.0, True, 1)


def test_guards_are_checked(tmp_path):
    text = SCALARS.replace("where ?n = 4", "where ?n = 4, ?n < 6")
    write(tmp_path / "g.tcm", parse(text), {})
    model = load(tmp_path / "g.tcm")
    five, six = np.ones(5, np.float32), np.ones(6, np.float32)
    model(five, five, 1.0, True, 1)
    with pytest.raises(ValueError, match=re.escape("with ?n < 6; these are ?n = 6")):
        model(six, six, 1.0, True, 1)


def test_the_framework_is_never_imported(path):
    code = (
        "import sys, numpy as np\n"
        "from tracec_runtime import load\n"
        f"load({str(path)!r})(np.zeros((2, 4), np.float32))\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('tracec', 'torch', 'llvmlite')]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "TRACEC_TIER": "0"})


# -- the command line ------------------------------------------------------------------------------
def test_cli_runs_and_saves(path, tmp_path, capsys):
    np.save(tmp_path / "x.npy", _x(2))
    out = [str(tmp_path / "p.npy"), str(tmp_path / "i.npy")]
    status = cli.main([str(path), "--input", str(tmp_path / "x.npy"), "-o", out[0], "-o", out[1]])
    assert status == 0 and capsys.readouterr().out == ""
    for file, want in zip(out, load(path)(_x(2)), strict=True):
        assert np.array_equal(np.load(file), want)
    assert cli.main([str(path), "-i", f"x={tmp_path / 'x.npy'}", "-o", out[0]]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("out1: i64[?n]\n[")


def test_cli_shows_what_there_is(path, capsys):
    assert cli.main([str(path), "--info"]) == 0
    info = capsys.readouterr().out
    assert "input   x: f32[?n x 4]" in info and "weights 2 arrays, 15 elements" in info
    assert cli.main([str(path), "--print-ir"]) == 0
    assert parse(capsys.readouterr().out)["mlp"].params[0].name == "x"


def test_cli_errors(path, tmp_path, capsys):
    assert cli.main([str(tmp_path / "none.tcm"), "--info"]) == 1
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "bad.tcm").write_bytes(b"junk")
    assert cli.main([str(tmp_path / "bad.tcm"), "--info"]) == 1
    assert "tracec-run: " in capsys.readouterr().err
    np.save(tmp_path / "x.npy", _x(2).astype(np.int32))
    assert cli.main([str(path), "-i", str(tmp_path / "x.npy")]) == 1
    assert "got int32" in capsys.readouterr().err
    assert cli.main([str(path)]) == 1
    assert "input 'x' is missing" in capsys.readouterr().err
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object))
    assert cli.main([str(path), "-i", str(tmp_path / "o.npy")]) == 1
    assert "allow_pickle" in capsys.readouterr().err


def test_cli_takes_numbers(tmp_path, capsys):
    write(tmp_path / "s.tcm", parse(SCALARS), {})
    np.save(tmp_path / "x.npy", np.float32([1, 2]))
    file = str(tmp_path / "x.npy")
    inputs = [word for text in (file, file, "0.5", "true", "3") for word in ("-i", text)]
    assert cli.main([str(tmp_path / "s.tcm"), *inputs]) == 0
    assert capsys.readouterr().out == "out0: f32[?n]\n[1.5 3. ]\n"


def test_a_damaged_file_is_named(path, tmp_path):
    data = bytearray(path.read_bytes())
    data[200] ^= 4
    (tmp_path / "d.tcm").write_bytes(data)
    with pytest.raises(ArchiveError, match="d.tcm: manifest.json is damaged"):
        load(tmp_path / "d.tcm")


# -- tiers -----------------------------------------------------------------------------------------
@pytest.fixture
def cache(tmp_path):
    with knobs.override(cache_dir=tmp_path / "cache"):
        yield


def test_compiled_models_agree(path, cache):
    model = load(path)
    with knobs.override(tier=1), counts() as c:
        for n in (2, 5, 1, 40, 0):
            # memory that is aligned to its elements only, as an argument may be
            x = np.concatenate([np.zeros(1, np.float32), _x(n).ravel()])[1:].reshape(n, 4)
            found = model(x)
            for a, b in zip(found, mlp_reference(x, mlp()[1]) if n else found, strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)
            assert found[0].shape == (n, 3)
    assert (c.executed, c.interpreted) == (5, 0)
    with counts() as c:  # tier 0 again
        model(_x(2))
    assert (c.executed, c.interpreted) == (0, 1)


def test_a_model_is_compiled_when_it_pays(path, cache):
    model = load(path)
    with knobs.override(tier="auto"), counts() as c:
        model(_x(2))
        assert (c.interpreted, c.executed) == (1, 0)
        for _ in range(3):
            model(_x(2_000_000))
    assert c.executed >= 1


WHILE = """
func @f(%x: f32[4]) {
  %0 = while(%x) [carried=1] : f32[4] {
    @cond(%0: f32[4]) {
      %1 = reduce(%0) [kind=max, axes=(0)] : f32[]
      %2 = const() [value=10.0, type=f32[]] : f32[]
      %3 = lt(%1, %2) : b1[]
      return %3
    }
    @body(%0: f32[4]) {
      %1 = add(%0, %0) : f32[4]
      return %1
    }
  }
  return %0
}
"""


def test_control_flow_and_what_cannot_be_compiled(tmp_path, cache, monkeypatch):
    write(tmp_path / "w.tcm", parse(WHILE), {})
    model, x = load(tmp_path / "w.tcm"), np.float32([1, 2, 3, 0])
    np.testing.assert_array_equal(model(x), [4, 8, 12, 0])

    def refuse(*_):
        raise NotImplementedError("a compiled 'while' is not implemented")

    monkeypatch.setattr("tracec_runtime.compiler.compile_plan", refuse)
    monkeypatch.setattr("tracec_codegen.schedule.cost.interpreter_cost", lambda func: (1.0, 1.0))
    with knobs.override(tier="auto"), counts() as c:
        np.testing.assert_array_equal(model(x), [4, 8, 12, 0])
        np.testing.assert_array_equal(model(x), [4, 8, 12, 0])
    assert (c["fallback.model"], c.interpreted) == (1, 2)
    with knobs.override(tier=1), pytest.raises(NotImplementedError, match="compiled 'while'"):
        load(tmp_path / "w.tcm")(x)


def test_threads_share_a_model(path, cache):
    model, wrong = load(path), []
    want = {n: mlp_reference(_x(n), mlp()[1])[0] for n in (1, 3, 8)}

    def work(n):
        for _ in range(20):
            if not np.allclose(model(_x(n))[0], want[n], rtol=1e-5):
                wrong.append(n)

    with knobs.override(tier=1):
        threads = [threading.Thread(target=work, args=(n,)) for n in want]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong


def test_sizes_below_two_are_checked_anew(tmp_path):
    """Symbols mean at least 2, so that this type rule was right to leave no guard."""
    text = """func @f(%x: f32[?n]) where ?n = 10 {
      %0 = slice(%x) [starts=(0), stops=(2), steps=(1)] : f32[2] return %0 }"""
    write(tmp_path / "o.tcm", parse(text), {})
    model = load(tmp_path / "o.tcm")
    assert model(np.zeros(2, np.float32)).shape == (2,)
    for n in (0, 1):
        with pytest.raises(ValueError, match=re.escape(f"does not work with ?n = {n}: slice")):
            model(np.zeros(n, np.float32))


@pytest.mark.parametrize("tier", [0, 1])
def test_results_that_are_inputs_or_occur_twice(tmp_path, cache, tier):
    text = """func @f(%x: f32[3], %w: f32[3]) {
      %0 = add(%x, %w) : f32[3]
      return %x, %0, %w, %0 }"""
    w = np.ones(3, np.float32)
    write(tmp_path / "i.tcm", parse(text), {"w": w})
    model, x = load(tmp_path / "i.tcm"), np.float32([1, 2, 3])
    with knobs.override(tier=tier):
        for _ in range(2):  # what comes back may be written to
            a, b, c, d = model(x)
            for found, want in zip((a, b, c, d), (x, x + w, w, x + w), strict=True):
                np.testing.assert_array_equal(found, want)
                found += 10
    np.testing.assert_array_equal(x, [1, 2, 3])


@pytest.mark.parametrize(
    ("op", "sizes"),
    [
        ("strided(%x) [shape=(3), strides=(1), offset=5] : f32[3]", "?n = 10"),
        ("slice(%x) [starts=(4), stops=(7), steps=(1)] : f32[3]", "?n = 10"),
    ],
)
def test_memory_outside_an_array_cannot_be_addressed(tmp_path, op, sizes):
    """The relation `8 <= ?n` is found when the file is read, though the file does not state it."""
    text = f"func @f(%x: f32[?n]) where {sizes} {{ %0 = {op} return %0 }}"
    write(tmp_path / "o.tcm", parse(text), {})
    model = load(tmp_path / "o.tcm")
    assert model(np.arange(9, dtype=np.float32)).shape == (3,)
    with pytest.raises(ValueError, match="the model was recorded for sizes with"):
        model(np.arange(3, dtype=np.float32))
