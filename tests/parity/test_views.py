"""Views against PyTorch: values, strides, offsets, contiguity, errors."""

from typing import Any

import numpy as np
import pytest

import tracec
from tests.parity.same import assert_same
from tracec_runtime.events import counts

CALLS = [
    "x.view(6,4)",
    "x.view(-1)",
    "x.view(-1,6)",
    "x.view(5)",
    "x.view(-1,-1)",
    "x.view(-1,5)",
    "x.t()",
    "x[0].t()",
    "x.T",
    "x[0].mT",
    "x.transpose(0,2)",
    "x.transpose(0,3)",
    "x.permute(2,0,1)",
    "x.permute(0,1)",
    "x.permute(0,0,1)",
    "x.permute(2,0,1).view(24)",
    "x.permute(2,0,1).reshape(24)",
    "x.permute(2,0,1).contiguous()",
    "x.unsqueeze(0)",
    "x.unsqueeze(-1)",
    "x.unsqueeze(1)",
    "x.unsqueeze(5)",
    "x.view(1,2,1,12).squeeze()",
    "x.view(1,2,1,12).squeeze(0)",
    "x.view(1,2,1,12).squeeze(1)",
    "x.view(1,2,1,12).squeeze((0,2))",
    "x.expand(2,2,3,4)",
    "x.expand(-1,3,4)",
    "x.expand(3,3,4)",
    "x.expand(3,4)",
    "x[:,:1].expand(2,5,4)",
    "x.expand(-1,2,3,4)",
    "x.narrow(1,1,2)",
    "x.narrow(1,2,2)",
    "x.narrow(1,-1,1)",
    "x.select(1,0)",
    "x.select(1,3)",
    "x.split(2,1)",
    "x.split([1,2],1)",
    "x.split([1,1],1)",
    "x.chunk(2,2)",
    "x.chunk(3,2)",
    "x.tensor_split(3,2)",
    "x.tensor_split((1,3),2)",
    "x.unbind(1)",
    "x.diagonal(0,1,2)",
    "x.diagonal(1,1,2)",
    "x.diagonal(-1,1,2)",
    "x.diagonal(7,1,2)",
    "x.unfold(2,2,1)",
    "x.unfold(2,5,1)",
    "x.flatten()",
    "x.flatten(1)",
    "x.flatten(0,1)",
    "x.flatten(2,1)",
    "x.unflatten(2,(2,2))",
    "x.unflatten(2,(3,2))",
    "x.unflatten(2,(-1,2))",
    "x.as_strided((2,2),(1,2))",
    "x.as_strided((2,2),(1,2),3)",
    "x.as_strided((20,20),(1,2),3)",
    "x.swapaxes(0,1)",
    "x.movedim(0,2)",
    "x.movedim((0,1),(2,0))",
    "x.movedim((0,0),(2,0))",
    "x.ravel()",
    "x.reshape(2,-1)",
    "x.reshape(7)",
    "x[:,:,::2].view(12)",
    "x[:,:,::2].reshape(12)",
    "x[:,1:].view(2,8)",
    "x[:,1:].view(2,2,2,2)",
    "x[:,1:].flatten(1)",
    "x.view(x.shape)",
    "x.view_as(x)",
    "x.broadcast_to((2,2,3,4))",
    "x[0,0].expand(3,4).contiguous()",
    "x[:0].view(-1)",
    "x[:0].view(0,5)",
    "x[:0].reshape(-1,5)",
    "x[0,0,0].view(1)",
    "x[0,0,0].view(1,1)",
    "x[0,0,0].unsqueeze(0)",
    "x[0,0,0].expand(3)",
    "x[0,0,0].squeeze()",
    "x[0,0,0].flatten()",
    "x.hsplit(2)",
    "x.vsplit(2)",
    "x.dsplit(2)",
    "m.stack([x[0],x[1]]).stride()",
    "x.clone().stride()",
    "x.is_contiguous()",
    "x.data_ptr()==x[0].data_ptr()",
    "x[0,1].data_ptr()-x.data_ptr()",
    "x.view(m.float64).shape",
    "x.float().view(m.int32)",
    "x.numpy().strides",
    "x.T.numpy().flags.c_contiguous",
    "x.squeeze(-1).shape",
    "x[0]._base is x",
    "x.storage_offset()",
    "x.unsqueeze(0).expand(2,-1,-1,-1)",
    "x.repeat(2,1,1)",
    "x.tile((2,))",
    "x.repeat_interleave(2,0)",
    "x.flip(0)",
    "x.roll(1,0)",
    "m.atleast_2d(m.tensor(1))",
    "x.permute(dims=(2,1,0))",
    "x.transpose(dim0=0,dim1=1)",
    "x.unsqueeze(dim=0)",
    "x.squeeze(dim=0)",
    "x.view(size=(24,))",
    "x.reshape(shape=(24,))",
    "x.flatten(start_dim=1)",
    "x.size(dim=1)",
    "m.split(x,2,dim=2)",
    "x.chunk(chunks=2,dim=1)",
    "x.select(dim=0,index=1)",
    "x.narrow(dim=0,start=0,length=1)",
    "x.adjoint().shape",
    "x[0].H",
    "x.detach().stride()",
    "x.contiguous() is x",
    "x.reshape(2,3,4) is x",
    "m.squeeze(x[:1]).shape",
    "m.flatten(x,1).shape",
    "m.movedim(x,0,1).shape",
    "m.broadcast_tensors(x,x[0])",
    "x.diag_embed().shape",
    "x.select_scatter(x[0]*0,0,1)",
    "x.unbind()[0]._base is x",
    "x.expand_as(x[None])",
]


def shown(r: Any) -> Any:
    if isinstance(r, (tuple, list)):
        return [shown(i) for i in r]
    if hasattr(r, "stride"):
        return tuple(r.shape), r.stride(), r.storage_offset(), r.is_contiguous(), r.tolist()
    return r


@pytest.mark.parametrize("text", CALLS)
def test_view(text: str) -> None:
    def run(m: Any) -> Any:
        x = m.arange(24).reshape(2, 3, 4)
        return shown(eval(text, {"x": x, "m": m, "np": np}))

    assert_same(run)


def test_results_are_contiguous_whatever_their_operands_are() -> None:
    x = tracec.arange(6.0).view(2, 3).t()
    for result in (x.clone(), x + 1, x.exp(), tracec.zeros_like(x)):
        assert result.is_contiguous() and result.shape == (3, 2)


def test_views_record_nothing() -> None:
    x = tracec.arange(6.0)
    x.tolist()
    with counts() as c:
        x.view(2, 3).t()[1:].unsqueeze(0).expand(4, 2, 2)
    assert c.trie_misses == c.flushes == 0
