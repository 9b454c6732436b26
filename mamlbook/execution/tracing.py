"""Functions of a module's weights, traced once and compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from mamlbook.devices import noise_kept
from mamlbook.exact.weights import standing_for
from mamlbook.execution.draws import separate_draws
from mamlbook.execution.products import rewrite_products
from mamlbook.parts import Part
from mamlbook.torch_compiler import compile_graph
from mamlbook.torch_internals import (
    TreeSpec,
    place_of,
    trace,
    tree_flatten,
    tree_unflatten,
    with_values,
)


class NotTraceable(TypeError):
    """The function reads a tensor's value back into Python, so that one trace of it does not stand for all."""


class _Code(NamedTuple):
    """What came out of the compiler, and the form that its outputs are to be given."""

    function: Callable
    spec: TreeSpec


class Tracer:
    """A runner of pieces that traces each with ``make_fx``, ``higher`` included, and compiles it by inductor.

    One trace is one straight line of tensor operations: no Python is left in it, and no optimiser. The weights and
    buffers of ``module`` are inputs of the trace; what its parts stage for ``advance()`` (an attribute ``staged``) is
    an output. A new trace is made when shapes change, when the module goes to training or testing, when autocast begins
    or ends, or when a part says by another ``phase`` that Python would go another way. Whatever else the module holds,
    such as its numbers of steps, is taken for constant.

    Random draws are those of the uncompiled function. On a GPU the kernels are replayed as one graph.
    """

    def __init__(self, module: nn.Module, announce: Callable[[str], None] | None = None):
        self.module = module
        self.announce = announce
        self.seconds = 0.0
        """The time spent on tracing and compiling so far."""
        self._parts = list(module.modules())
        self._stages = [part for part in self._parts if isinstance(part, Part) and part.remembers]
        self._phases = [part for part in self._parts if isinstance(part, Part)]
        named = dict(module.named_parameters()) | dict(module.named_buffers())
        self._names = tuple(named)
        self._places = [place_of(module, name) for name in named]
        self._codes: dict[tuple, _Code] = {}

    def run(self, name: str, function: Callable, *inputs: Any) -> Any:
        """``function(*inputs)``, whose tensors may be nested in tuples, lists and dictionaries.

        Raises:
            NotTraceable: the function asks for a tensor's value.
            RuntimeError: there is no C++ compiler that inductor could use.
        """
        tensors = [place[key] for place, key in self._places]
        key = (name, _structure(inputs, tensors), *map(_form, tensors), *self._mode(tensors[0].device.type))
        code = self._codes.get(key)
        with torch.no_grad():
            if code is None:
                code = self._codes[key] = self._make(name, function, inputs, tensors)
            outputs = code.function(*tensors)
        if tensors[0].is_cuda:
            outputs = [output.clone() for output in outputs]  # the graph's own memory is written again next time
        result, staged = tree_unflatten(outputs, code.spec)
        for part, value in zip(self._stages, staged, strict=True):
            part.staged = value
        return result

    def _mode(self, device: str) -> tuple:
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        return (precision, *(part.training for part in self._parts), *(part.phase for part in self._phases))

    def _make(self, name: str, function: Callable, inputs: tuple, tensors: list[Tensor]) -> _Code:
        if self.announce is not None:
            self.announce(f"tracing and compiling the {name}")
        begun = time.perf_counter()
        graph, form = self.trace(function, inputs, tensors)
        code = _Code(_compiled(graph, tensors), form)
        self.seconds += time.perf_counter() - begun
        return code

    def trace(self, function: Callable, inputs: tuple, tensors: list[Tensor]) -> tuple[fx.GraphModule, TreeSpec]:
        """The operations of ``function(*inputs)``, from the module's tensors and those of the inputs to a list.

        What the list is to be given as is a pair: the result, and what the module's parts stage.

        Raises:
            NotTraceable: the function asks for a tensor's value.
        """
        holder, form = _Holder(self.module, function), []
        leaves, spec = tree_flatten(inputs)
        learned = {name for name, p in self.module.named_parameters() if p.requires_grad}
        own = [id(place[key]) for place, key in self._places]

        def flat(*tensors: Tensor) -> list[Tensor]:
            values = dict(zip(self._names, tensors, strict=False))
            state = {f"module.{n}": t.detach().requires_grad_() if n in learned else t for n, t in values.items()}
            given = iter(tensors[len(values) :])
            inputs = tree_unflatten([next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)
            with torch.enable_grad(), standing_for(dict(zip(own, map(id, state.values()), strict=True))):
                result = functional_call(holder, state, inputs)
            outputs, shape = tree_flatten((result, [part.staged for part in self._stages]))
            form.append(shape)
            return outputs

        with noise_kept():
            try:
                return trace(flat, *tensors), form[0]
            except RuntimeError as error:
                if "tracing tensor" not in str(error) and "data-dependent" not in str(error):
                    raise
                raise NotTraceable(
                    "compiled: expected a meta-step that is the same tensor operations whatever the numbers are, but "
                    f"it reads a value back into Python ({str(error).splitlines()[0]}); choose with torch.where "
                    "instead, or take execution='eager'"
                ) from error


class _Holder(nn.Module):
    """A function of a module's weights in the form of a module, so that the weights can be exchanged for a call."""

    def __init__(self, module: nn.Module, function: Callable):
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def _compiled(graph: fx.GraphModule, tensors: list[Tensor]) -> Callable:
    draws, constants = without_draws(graph, tensors)
    code = finished(graph, constants, compiled=True)
    return (lambda *given: code(*given, *draws(*given))) if len(constants) > len(tensors) else code


def without_draws(graph: fx.GraphModule, tensors: list[Tensor]) -> tuple[fx.GraphModule, list[Tensor]]:
    """Take the draws out of a trace: the function that makes them, and inputs of what is left, drawn numbers last."""
    constants = [t.detach() for t in tensors]
    with_values(graph, *constants)
    draws = separate_draws(graph)
    with noise_kept():
        return draws, constants + draws(*constants)


def finished(graph: fx.GraphModule, constants: list[Tensor], *, compiled: bool) -> Callable:
    """A trace without draws, its products rewritten, as code of the compiler or for Python to walk.

    Raises:
        RuntimeError: there is no C++ compiler that inductor could use.
    """
    rewrite_products(graph)
    graph.graph.set_codegen(fx.graph.CodeGen())
    graph.recompile()
    if not compiled:
        return graph
    try:
        return compile_graph(graph, constants)
    except Exception as error:
        if "CxxCompiler" not in f"{type(error).__name__} {error}":
            raise
        raise RuntimeError(
            "compiled: expected a C++ compiler, such as g++, which PyTorch's compiler needs, and found none; "
            "install one, or take execution='eager'"
        ) from error


def _structure(value: Any, tensors: list[Tensor]) -> Hashable:
    """What a tree is but for its tensors, which are appended to a list in the order of ``tree_flatten``.

    The same as that function's own description of a tree, in a quarter of the time: it is made at every call.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return Tensor
    if isinstance(value, tuple | list):
        return type(value), *[_structure(part, tensors) for part in value]
    if isinstance(value, dict):
        return type(value), *value, *[_structure(part, tensors) for part in value.values()]
    return value


def _form(tensor: Tensor) -> tuple:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device
