"""Parameters by name: PyTorch's, and NumPy's where PyTorch takes those too."""

import numpy as np
import pytest
import torch

import tracec

CALLS = """
torch.sum(x, axis=0)|x.sum(axis=1, keepdims=True)|torch.sum(a=x, axis=0)|x.max(axis=1).values
torch.mean(x, axis=(0, 1))|x.argmax(axis=0)|torch.softmax(x, axis=0)|torch.stack([x], axis=1)
torch.cat([x, x], axis=1)|torch.concatenate([x, x], 1)|torch.unsqueeze(input=x, axis=0)
x.unsqueeze(axis=0)|torch.squeeze(input=x[None], axis=0)|torch.cumsum(x, axis=1)|x.std(axis=0)
torch.sort(x, axis=0).values|torch.all(x > 0, axis=0)|torch.linalg.norm(x, dim=0)
torch.amax(x, axis=0, keepdims=True)|torch.topk(x, 1, axis=0).values|torch.unbind(x, axis=1)[0]
torch.tensor_split(x, 2, axis=1)[1]|x.chunk(2, axis=1)[0]|torch.logsumexp(x, axis=0)
torch.index_select(x, axis=0, index=torch.tensor([1]))|torch.flip(x, dims=(0,))
torch.split(tensor=x, split_size_or_sections=1, dim=0)[1]|x.split(split_size=1)[0]
torch.mm(x, mat2=x.t())|torch.mv(x, vec=x[0])|torch.dot(x[0], tensor=x[1])
torch.outer(input=x[0], vec2=x[1])|torch.bmm(x[None], mat2=x.t()[None])
torch.addmm(y, mat1=x, mat2=x.t(), beta=2)|torch.addmv(x[:, 0], mat=x, vec=x[0])
torch.addr(y, vec1=y[0], vec2=y[1])|torch.baddbmm(y[None], batch1=y[None], batch2=y[None])
torch.det(input=y)|torch.linalg.det(A=y)|torch.inverse(input=y)|torch.clone(input=x)
torch.flatten(input=x, start_dim=0)|torch.transpose(input=x, dim0=0, dim1=1)|torch.t(input=x)
torch.permute(input=x, dims=(1, 0))|torch.reshape(input=x, shape=(3, 2))|torch.ravel(input=x)
torch.narrow(input=x, dim=1, start=0, length=2)|torch.select(input=x, dim=0, index=1)
torch.chunk(input=x, chunks=2, dim=1)[0]|torch.diagonal(input=x, offset=1)
torch.movedim(input=x, source=0, destination=1)|torch.swapaxes(input=x, axis0=0, axis1=1)
torch.as_strided(input=x, size=(2,), stride=(1,))|torch.heaviside(x, values=x)
torch.gather(x, axis=0, index=torch.zeros(1, 3, dtype=torch.long))|torch.diff(x, axis=0)
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_by_name(call: str) -> None:
    array = np.array([[0.5, 2.0, 1.0], [3.0, 0.25, 4.0]])
    found = []
    for lib in (tracec, torch):
        x, y = lib.from_numpy(array.copy()), lib.from_numpy(array[:, :2].copy())
        found.append(eval(call, {"torch": lib, "x": x, "y": y}).numpy())
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_unknown_names_are_refused() -> None:
    x = tracec.ones(2, 3)
    for call in (lambda: x.sum(axes=0), lambda: x.unsqueeze(axs=0), lambda: x.abs(axis=0)):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            call()
