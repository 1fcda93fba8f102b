"""Runs a program eagerly, scripted, and from a saved file in the runtime; all must agree."""

import tempfile
from pathlib import Path

import numpy as np

import tracec as torch
import tracec_runtime


def arrays(value):
    """The results of a program, flat, as NumPy arrays."""
    if isinstance(value, (tuple, list)):
        return [a for v in value for a in arrays(v)]
    if isinstance(value, dict):
        return [a for v in value.values() for a in arrays(v)]
    if value is None:
        return []
    return [value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)]


def script_of(fn, *args):
    """`fn` scripted and called once."""
    scripted = torch.jit.script(fn)
    with torch.no_grad():
        scripted(*[a.clone() if isinstance(a, torch.Tensor) else a for a in args])
    return scripted


def check(fn, *args, rtol=1e-5):
    """Compares the three ways of running `fn(*args)`; returns the scripted one."""
    copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
    with torch.no_grad():
        want = fn(*copies)
        scripted = torch.jit.script(fn)
        have = scripted(*[a.clone() if isinstance(a, torch.Tensor) else a for a in args])
    _same(arrays(want), arrays(have), rtol)
    if isinstance(want, torch.Tensor):
        assert want.dtype is have.dtype
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tcm"
        scripted.save(path)
        model = tracec_runtime.load(path)
    given = [a.numpy() if isinstance(a, torch.Tensor) else a for a in args]
    _same(arrays(want), [np.asarray(v) for v in model.run(*given)], rtol)
    return scripted


def _same(want, have, rtol):
    assert len(want) == len(have)
    for w, h in zip(want, have, strict=True):
        assert w.shape == h.shape
        np.testing.assert_allclose(h, w, rtol=rtol, atol=1e-6)
