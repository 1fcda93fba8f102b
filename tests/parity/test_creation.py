"""Factory functions, conversions and operators with Python and NumPy numbers against PyTorch."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracec
from tests.parity.same import assert_same

CALLS = [
    "m.zeros(size=(2,3))",
    "m.zeros((2,3))",
    "m.zeros([2,3])",
    "m.zeros(2,3)",
    "m.zeros(())",
    "m.zeros(3,dtype=m.int64)",
    "m.ones(size=(2,))",
    "m.empty(size=(2,0))",
    "m.full((2,),3)",
    "m.full((2,),3.)",
    "m.full((2,),True)",
    "m.full(size=(2,),fill_value=1)",
    "m.full((2,),1j)",
    "m.full([2],2,dtype=m.float64)",
    "m.full((),7)",
    "m.arange(5)",
    "m.arange(5.)",
    "m.arange(1,4)",
    "m.arange(1,4,0.5)",
    "m.arange(0,1,0.1)",
    "m.arange(5,0,-2)",
    "m.arange(0)",
    "m.arange(3,1)",
    "m.arange(1,2,0)",
    "m.arange(end=4)",
    "m.arange(start=1,end=4,step=2)",
    "m.arange(3,dtype=m.float32)",
    "m.arange(2.5)",
    "m.arange(m.tensor(3))",
    "m.linspace(0,1,5)",
    "m.linspace(0,1,1)",
    "m.linspace(0,1,0)",
    "m.linspace(0,10,steps=5,dtype=m.int64)",
    "m.linspace(1,0,3)",
    "m.logspace(0,2,3)",
    "m.logspace(0,3,4,base=2)",
    "m.eye(3)",
    "m.eye(2,3)",
    "m.eye(0)",
    "m.eye(-1)",
    "m.tensor(1)",
    "m.tensor(1.)",
    "m.tensor(True)",
    "m.tensor(1j)",
    "m.tensor([])",
    "m.tensor([[]])",
    "m.tensor([1,2.])",
    "m.tensor([True,2])",
    "m.tensor([1,1j])",
    "m.tensor([[1,2],[3,4]])",
    "m.tensor([[1,2],[3]])",
    "m.tensor('a')",
    "m.tensor([None])",
    "m.tensor(None)",
    "m.tensor([m.tensor(1.),m.tensor(2)])",
    "m.tensor(np.arange(3))",
    "m.tensor(np.float32(2))",
    "m.tensor([np.float32(2),np.int64(1)])",
    "m.tensor((1,2))",
    "m.tensor(range(3))",
    "m.tensor([1.5],dtype=m.int64)",
    "m.tensor(300,dtype=m.uint8)",
    "m.tensor(2**40,dtype=m.int32)",
    "m.tensor(m.tensor([1.]))",
    "m.tensor([1.],requires_grad=True)",
    "m.tensor([1],dtype=m.float64)",
    "m.tensor(float('nan'),dtype=m.int64)",
    "m.tensor([1,0],dtype=m.bool)",
    "m.tensor(1e300)",
    "m.tensor([[[1]]])",
    "m.as_tensor([1,2])",
    "m.as_tensor(np.ones(2))",
    "m.as_tensor(1.)",
    "m.as_tensor([1],dtype=m.float32)",
    "m.from_numpy([1])",
    "m.from_numpy(np.arange(3)[::-1])",
    "m.from_numpy(np.arange(6).reshape(2,3).T)",
    "m.zeros_like(m.ones(2,dtype=m.int32))",
    "m.ones_like(m.zeros(2),dtype=m.bool)",
    "m.full_like(m.zeros(2),3)",
    "m.full_like(m.zeros(2,dtype=m.int64),3.5)",
    "m.empty_like(m.zeros(0,2))",
    "m.zeros(2).new_zeros(3)",
    "m.zeros(2,dtype=m.int64).new_tensor([1.5])",
    "m.zeros(2,dtype=m.int64).new_ones((2,2))",
    "m.zeros(2).new_full((1,),4)",
    "m.zeros(2,requires_grad=True)",
    "m.scalar_tensor(2)",
    "m.zeros(2,out=m.ones(2))",
    "m.Tensor([1,2])",
    "m.Tensor(0)",
    "m.zeros(3).long()",
    "m.tensor([1.7]).int()",
    "m.tensor([1]).float()",
    "m.tensor([0.,2.]).bool()",
    "m.tensor([1.]).to(m.float64)",
    "m.tensor([1.]).to('cpu')",
    "m.tensor([1.]).type(m.int64)",
    "m.tensor([1.]).type_as(m.tensor([1]))",
    "m.is_tensor(m.zeros(1))",
    "m.is_tensor(1)",
    "m.numel(m.zeros(2,3))",
    "m.zeros(2,device='cpu')",
    "m.zeros(2,device=m.device('cpu'))",
    "m.meshgrid(m.arange(2),m.arange(3),indexing='ij')[0]",
    "m.tril(m.ones(3,3))",
    "m.triu(m.ones(3,3),1)",
    "m.diag(m.arange(3))",
    "m.zeros(m.Size([2,2]))",
    "m.zeros(*m.Size([2,1]))",
    "m.zeros(np.int64(2))",
    "m.zeros((np.int64(2),3))",
    "m.tensor([True,False]).sum()",
    "m.frombuffer(bytearray(8),dtype=m.int32)",
    "m.asarray(np.ones(2,dtype=np.float32))",
    "m.full((2,),m.tensor(3.))",
    "m.range(0,3)",
    "m.vander(m.tensor([1,2,3]))",
    "m.zeros(2,3).tolist()",
    "m.get_default_dtype()",
    "m.tensor([2,3]).tolist()",
    "m.cat([m.zeros(1),m.ones(1)])",
    "m.rand(2,3).shape",
    "m.randn((2,)).shape",
    "m.randint(5,(2,)).dtype",
    "m.randint(1,5,(2,)).shape",
    "m.randperm(5).sort()[0]",
    "m.empty(2,3).shape",
    "m.hann_window(4)",
    "m.tril_indices(2,2)",
    "m.can_cast(m.float32,m.int64)",
    "m.result_type(m.zeros(1),1)",
    "m.promote_types(m.int32,m.float16)",
    "m.finfo(m.float32).eps",
    "m.iinfo(m.int8).max",
    "m.tensor(5).item()",
    "m.zeros(1,2)[0].item()",
    "bool(m.tensor([1,2]))",
    "bool(m.tensor([]))",
    "int(m.tensor(2.7))",
    "float(m.tensor([2]))",
    "[1,2,3][m.tensor(1)]",
    "len(m.zeros(3))",
    "len(m.tensor(1))",
    "list(m.arange(3))",
    "2 in m.arange(3)",
    "m.zeros(2).size(0)",
    "m.zeros(2).size(1)",
    "m.zeros(2,3).size()",
    "m.zeros(2,3).size(-1)",
    "m.zeros(2,3).stride()",
    "m.zeros(2,3).numel()",
    "m.zeros(2).element_size()",
    "m.tensor([1.0])==m.tensor([1.0])",
    "m.tensor([1])=='a'",
    "m.tensor([1])+'a'",
    "m.tensor([1])+None",
    "m.tensor([1])+np.array([1])",
    "np.float32(1)*m.tensor([1.])",
    "m.tensor([1.])*np.float64(2)",
    "round(m.tensor(2.5).item())",
    "1-m.tensor([1])",
    "2**m.tensor([1.,2.])",
    "m.tensor([1])/2",
    "7//m.tensor([2])",
    "7%m.tensor([4])",
    "-m.tensor([True])",
    "~m.tensor([True])",
    "m.tensor([1])@m.tensor([2])",
    "m.tensor([1.])<2",
    "m.tensor([[1]]).T",
    "abs(m.tensor([-1]))",
    "m.tensor([1])<<2",
    "m.tensor([5])&3",
    "True&m.tensor([True])",
    "m.tensor([1.])**2",
    "m.tensor(3)//0.5",
    "m.tensor([1])//0",
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shown(r: Any) -> Any:
    if hasattr(r, "requires_grad"):
        return str(r.dtype), tuple(r.shape), r.tolist(), r.requires_grad
    if isinstance(r, (list, tuple)):
        return [shown(i) for i in r]
    return r if isinstance(r, (bool, int, float)) else str(r)


@pytest.mark.parametrize("text", CALLS)
def test_call(text: str) -> None:
    assert_same(lambda m: shown(eval(text, {"m": m, "np": np})))


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: tracec.ones(-1), RuntimeError, "negative dimension -1"),
        (lambda: tracec.zeros(2.5), TypeError, "must be tuple of ints, not float"),
        (lambda: tracec.zeros("a"), TypeError, "must be tuple of ints, not str"),
        (lambda: tracec.tensor([1, [2]]), TypeError, "sequence"),
        (lambda: tracec.tensor(2**70), RuntimeError, "overflow"),
        (lambda: tracec.tensor([[1, 2], [3]]), ValueError, "expected sequence of length 2"),
        (lambda: tracec.zeros(1, device="bogus"), RuntimeError, "device string: bogus"),
        (lambda: tracec.from_numpy(np.array(["a"])), TypeError, "can't convert np.ndarray"),
        (lambda: tracec.ones(1, dtype=tracec.int64, requires_grad=True), RuntimeError, "floating"),
    ],
)
def test_refused(make: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_operators_with_arrays_give_tensors() -> None:
    r = np.array([1.0, 2.0]) + tracec.tensor([1.0, 1.0])
    assert isinstance(r, tracec.Tensor) and r.tolist() == [2, 3]
