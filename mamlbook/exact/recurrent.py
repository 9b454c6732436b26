"""PyTorch's recurrent kernels as plain arithmetic, one time step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout, linear

from mamlbook.torch_internals import PACKING

State = tuple[Tensor, ...]
"""What a cell remembers: (h,), or (h, c) for an LSTM, (K, width) each."""

Cell = Callable[[Tensor, Tensor, State], State]
"""(what the input adds, what the last h adds, both before any activation; the last state) to the next state."""


def _lstm(from_input: Tensor, from_state: Tensor, state: State) -> State:
    let_in, forget, new, let_out = (from_input + from_state).chunk(4, -1)
    c = forget.sigmoid() * state[1] + let_in.sigmoid() * new.tanh()
    return let_out.sigmoid() * c.tanh(), c


def _gru(from_input: Tensor, from_state: Tensor, state: State) -> State:
    (reset, keep, new), (reset_h, keep_h, new_h) = from_input.chunk(3, -1), from_state.chunk(3, -1)
    new = (new + (reset + reset_h).sigmoid() * new_h).tanh()
    keep = (keep + keep_h).sigmoid()
    return (keep * state[0] + (1 - keep) * new,)


def _tanh(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return ((from_input + from_state).tanh(),)


def _relu(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return ((from_input + from_state).relu(),)


def _one_step(cell: Cell) -> Callable:
    """``torch.lstm_cell`` and its like."""

    def step(input: Tensor, hx: Tensor | Sequence[Tensor], w_ih, w_hh, b_ih=None, b_hh=None) -> Tensor | State:
        state = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        new = cell(linear(input, w_ih, b_ih), linear(state[0], w_hh, b_hh), state)
        return new if len(new) > 1 else new[0]

    return step


def _layers(cell: Cell) -> Callable:
    """``torch.lstm`` and its like: (input, hx, weights, ...) to (the outputs of all time steps, the last states)."""

    def run(
        input: Tensor,
        hx: Tensor | Sequence[Tensor],
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout_p: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        ways, each = 1 + bidirectional, 2 + 2 * has_biases
        _refuse_more_than_plain(hx, params, num_layers * ways * each)
        x, ends = input.transpose(0, 1) if batch_first else input, []
        for layer in range(num_layers):
            outputs = []
            for number in range(layer * ways, (layer + 1) * ways):
                weights, begin = params[number * each : (number + 1) * each], tuple(s[number] for s in states)
                output, end = _along(cell, x, begin, weights, backwards=number % ways == 1)
                outputs.append(output)
                ends.append(end)
            x = torch.cat(outputs, -1)
            if dropout_p and train and layer < num_layers - 1:
                x = dropout(x, dropout_p)
        last = [torch.stack(part) for part in zip(*ends, strict=True)]
        return x.transpose(0, 1) if batch_first else x, *last

    return run


def _along(cell: Cell, x: Tensor, state: State, weights: Sequence[Tensor], *, backwards: bool) -> tuple[Tensor, State]:
    """One layer in one direction over the time steps of x, (T, K, d)."""
    w_ih, w_hh, *biases = weights
    b_ih, b_hh = biases or (None, None)
    steps = list(linear(x, w_ih, b_ih))
    outputs = []
    for from_input in reversed(steps) if backwards else steps:
        state = cell(from_input, linear(state[0], w_hh, b_hh), state)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backwards else outputs), state


def _refuse_more_than_plain(hx: object, params: object, expected: int) -> None:
    if isinstance(params, Tensor) or not isinstance(params, Sequence) or len(params) != expected:
        raise ValueError(
            "net: expected a recurrent layer on a plain tensor, (K, T, d) or (T, K, d), and without projections; make "
            "it without proj_size, with a linear layer behind it, and pad sequences that were packed"
        )


def _refuse_packing(*_: object, **__: object) -> None:
    raise ValueError(
        "net: expected padded sequences, got one that packs them by pack_padded_sequence, which reads their lengths as "
        "numbers; run the recurrent layer over all of a padded sequence and pick the output at its end by gather"
    )


EXACT: dict[Any, Callable] = {
    torch.lstm: _layers(_lstm),
    torch.gru: _layers(_gru),
    torch.rnn_tanh: _layers(_tanh),
    torch.rnn_relu: _layers(_relu),
    torch.lstm_cell: _one_step(_lstm),
    torch.gru_cell: _one_step(_gru),
    torch.rnn_tanh_cell: _one_step(_tanh),
    torch.rnn_relu_cell: _one_step(_relu),
    PACKING: _refuse_packing,
}
"""The exact way of each kernel."""
