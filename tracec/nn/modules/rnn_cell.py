"""Owns one step of the recurrences, and the cells that take it."""

from __future__ import annotations

import math
from typing import Any

import tracec

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module


def lstm_step(x: Any, h: Any, c: Any, w_hh: Any, b_hh: Any) -> tuple[Any, Any]:
    """The next (h, c), from the projected input."""
    gates = x + F.linear(h, w_hh, b_hh)
    enter, forget, new, leave = gates.chunk(4, 1)
    c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
    return leave.sigmoid() * c.tanh(), c


def gru_step(x: Any, h: Any, w_hh: Any, b_hh: Any) -> Any:
    """The next h, from the projected input."""
    x_reset, x_update, x_new = x.chunk(3, 1)
    h_reset, h_update, h_new = F.linear(h, w_hh, b_hh).chunk(3, 1)
    reset = (x_reset + h_reset).sigmoid()
    update = (x_update + h_update).sigmoid()
    new = (x_new + reset * h_new).tanh()
    return new + update * (h - new)


def rnn_step(x: Any, h: Any, w_hh: Any, b_hh: Any, relu: bool) -> Any:
    """The next h, from the projected input."""
    total = x + F.linear(h, w_hh, b_hh)
    return total.relu() if relu else total.tanh()


class RNNCellBase(Module):
    """Weights and checks of the cells."""

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"device": device, "dtype": dtype}
        rows = num_chunks * hidden_size
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self.weight_ih = Parameter(tracec.empty((rows, input_size), **options))
        self.weight_hh = Parameter(tracec.empty((rows, hidden_size), **options))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(tracec.empty(rows, **options)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        if nonlinearity != "tanh":
            text += f", nonlinearity={nonlinearity}"
        return text

    def _batched(self, input: Any, states: list[Any]) -> tuple[Any, list[Any], bool]:
        """Input and states with a batch dimension, and whether they had one."""
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        for index, state in enumerate(states):
            if state is not None and state.dim() not in (1, 2):
                label = "hidden" if len(states) == 1 else f"hx[{index}]"
                raise ValueError(
                    f"{name}: Expected {label} to be 1D or 2D, got {state.dim()}D instead"
                )
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
            states = [None if state is None else state.unsqueeze(0) for state in states]
        if input.size(1) != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {input.size(1)} expected {self.input_size}"
            )
        filled = []
        for state in states:
            if state is None:
                shape = (input.size(0), self.hidden_size)
                state = tracec.zeros(shape, dtype=input.dtype, device=input.device)
            elif state.size(0) != input.size(0):
                raise RuntimeError(
                    f"Input batch size {input.size(0)} doesn't match hidden0 batch size "
                    f"{state.size(0)}"
                )
            elif state.size(1) != self.hidden_size:
                raise RuntimeError(
                    f"hidden0 has inconsistent hidden_size: got {state.size(1)}, expected "
                    f"{self.hidden_size}"
                )
            filled.append(state)
        return input, filled, batched


class RNNCell(RNNCellBase):
    """One step of an RNN."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        input, (h,), batched = self._batched(input, [hx])
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        x = F.linear(input, self.weight_ih, self.bias_ih)
        h = rnn_step(x, h, self.weight_hh, self.bias_hh, self.nonlinearity == "relu")
        return h if batched else h.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of an LSTM."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        states = [None, None] if hx is None else list(hx)
        input, (h, c), batched = self._batched(input, states)
        x = F.linear(input, self.weight_ih, self.bias_ih)
        h, c = lstm_step(x, h, c, self.weight_hh, self.bias_hh)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        input, (h,), batched = self._batched(input, [hx])
        x = F.linear(input, self.weight_ih, self.bias_ih)
        h = gru_step(x, h, self.weight_hh, self.bias_hh)
        return h if batched else h.squeeze(0)
