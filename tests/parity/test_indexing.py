"""`x[...]` and `x[...] = y` against PyTorch, over many index expressions."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracec
from tests.parity.same import assert_same

READS = [
    "x[0]",
    "x[-1]",
    "x[...,0]",
    "x[None]",
    "x[:,None]",
    "x[0,1]",
    "x[0,1,2]",
    "x[1:]",
    "x[:,::2]",
    "x[:,1:3,::3]",
    "x[-2:-1]",
    "x[5:]",
    "x[2:1]",
    "x[[0,1]]",
    "x[[0,1],[1,2]]",
    "x[:,[0,2]]",
    "x[...,[0,2]]",
    "x[[0,1],:,[0,1]]",
    "x[x>5]",
    "x[x[:,0,0]>5]",
    "x[:,m.tensor([True,False,True])]",
    "x[m.tensor([0,1])]",
    "x[m.tensor([[0,1],[1,0]])]",
    "x[m.tensor([0,1]),None,m.tensor([1,2])]",
    "x[0,[0,1]]",
    "x[[0,1],0]",
    "x[:, [0,1], 0]",
    "x[np.int64(1)]",
    "x[np.array([0,1])]",
    "x[True]",
    "x[False]",
    "x[None,True]",
    "x[::-1]",
    "x[3]",
    "x[0,0,0,0]",
    "x[1.0]",
    "x[()]",
    "x[m.tensor(1)]",
    "x[m.tensor(1):]",
    "x[m.tensor([3])]",
    "x[:, m.tensor([[0],[2]]), [0,1]]",
    "x[m.tensor([0,1],dtype=m.int32)]",
    "x[m.tensor([1.0])]",
    "x[[]]",
    "x[[True,False]]",
    "x[m.tensor([True])]",
    "x[range(2)]",
    "x[(0,1),]",
    "x[0][1][2].item()",
    "x[0,...,None,1]",
    "x[m.zeros(2,3,4,dtype=m.bool)]",
    "x[m.ones(2,3,dtype=m.bool)]",
    "x[m.ones(2,3,dtype=m.bool),0]",
    "x[m.ones(2,2,dtype=m.bool)]",
    "x[slice(0,1)]",
    "x[:,m.tensor(True)]",
    "x[m.tensor(True)]",
    "x[m.tensor(False)]",
    "x[np.array([True,False])]",
    "x[-3]",
    "x[[-1,-2]]",
    "x[[2]]",
    "x[np.array(1)]",
    "x[0:2:0]",
    "x[None,None,0,None]",
    "x[:,:,None,[1,2]]",
    "x[[0],:,None,[1]]",
]
WRITES = [
    "x[0]=1.5",
    "x[...]=2",
    "x[:,1]=m.arange(4.)",
    "x[0,0,0]=9",
    "x[:,::2]=m.ones(2,1,4)",
    "x[[0,1],[1,2]]=5",
    "x[x>5]=0",
    "x[x>5]=m.tensor(3.)",
    "x[x>5]=m.arange(18.)",
    "x[[0,0]]=m.ones(2,3,4)",
    "x[:,[0,2]]=m.full((2,4),7.)",
    "x[0]=m.ones(1,1,1,3,4)",
    "x[0]=m.ones(5)",
    "x[[0,1]]=m.ones(5)",
    "x[:,m.tensor([0,2]),1]=m.tensor([[1.,2.],[3.,4.]])",
    "x[None]=1",
    "x[0]=m.tensor(3)",
    "x[m.tensor([0])]=m.tensor([1])",
    "x[True]=4",
    "x[False]=4",
    "x[...,-1]+=1",
    "x[x>3]*=2",
    "x[0,1:]=x[1,1:].clone()",
    "x[1]=x[0]",
    "x[:,0]=x[:,1]",
    "x[5]=1",
    "x[0,0]=m.tensor([1,2,3,4])",
    "x[:,1:2]=-1",
    "x[0]=True",
    "x[np.array([0,1]),0]=1",
    "x[x[:,0,0]>5]=1",
    "x.T[0]=3",
    "x.transpose(0,1)[1]=3",
    "x[0][1]=7",
    "x[0].fill_(2)",
    "x.view(-1)[3]=8",
    "x.expand(3,2,3,4)[0]=1",
    "x[m.zeros(2,3,4,dtype=m.bool)]=1",
    "x[[]]=1",
    "x[m.tensor([[0,1],[1,0]]),0]=m.tensor([[1.,2],[3,4]])[...,None]",
    "x[0,0]=1j",
    "x.zero_()",
    "x[1].mul_(2)",
    "x.diagonal(0,1,2).fill_(9)",
    "x[0]=None",
    "x[:1]=x[1:]",
    "x[[1,0]]=x[[0,1]]",
    "x.copy_(m.ones(4))",
    "x[1:].copy_(x[:1])",
    "x.unfold(2,2,1).fill_(1)",
    "x[0,0,:]=x[0,0,:].flip(0)",
    "x[..., None][0]=4",
    "x.squeeze()[0,0]=5",
    "x.flatten()[0]=5",
    "x.reshape(-1)[0]=5",
    "x.permute(2,0,1).reshape(-1)[0]=5",
    "x.as_strided((2,2),(1,2),1).fill_(3)",
    "x+=m.ones(2,2,3,4)",
    "x+=1j",
    "x//=2",
    "x%=3",
    "x**=2",
    "x/=2",
    "x-=x",
    "x.clamp_(1,3)",
    "x.add_(1,alpha=2)",
    "x[:,1]=m.arange(4)",
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shown(r: Any) -> Any:
    return (tuple(r.shape), r.tolist()) if hasattr(r, "shape") else r


@pytest.mark.parametrize("text", READS)
def test_read(text: str) -> None:
    def run(m: Any) -> Any:
        x = m.arange(24).reshape(2, 3, 4)
        return shown(eval(text, {"x": x, "m": m, "np": np}))

    assert_same(run)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("text", WRITES)
def test_write(text: str, dtype: str) -> None:
    def run(m: Any) -> Any:
        names = {"x": m.arange(24, dtype=getattr(m, dtype)).reshape(2, 3, 4), "m": m, "np": np}
        exec(text, names)
        return str(names["x"].dtype), names["x"].tolist()

    assert_same(run)


@pytest.mark.parametrize("text", ["x['a']", "x['a'] = 1", "x[0, ..., ..., 1]", "x[1.5:]"])
def test_refused(text: str) -> None:
    names = {"x": tracec.zeros(2, 3, 4)}
    with pytest.raises((IndexError, TypeError)):
        exec(text, names)


def test_lists_and_arrays_can_be_assigned() -> None:
    x = tracec.zeros(2, 3)
    x[0] = [1, 2, 3]
    x[1] = np.arange(3)
    assert x.tolist() == [[1, 2, 3], [0, 1, 2]]
