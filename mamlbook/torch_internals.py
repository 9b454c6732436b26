"""All that the package takes from PyTorch without a promise that it stays: in one place, each with its way out.

No other module but ``torch_compiler`` imports from, or reads, what PyTorch's names begin with an underscore or its
documentation leaves out. ``missing()`` says what an upgrade has taken away, and what goes without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode
from torch.utils._pytree import TreeSpec as TreeSpec
from torch.utils._pytree import tree_flatten as tree_flatten
from torch.utils._pytree import tree_leaves as tree_leaves
from torch.utils._pytree import tree_map as tree_map
from torch.utils._pytree import tree_unflatten as tree_unflatten

if TYPE_CHECKING:
    from torch._ops import OpOverload

_CHECKPOINTS = "networks that call torch.utils.checkpoint"
_COMPILED, _COSTS, _TREES = "compiled execution", "counting costs", "examples that are trees, and compiled execution"
_USED = {
    "torch._weight_norm": "exact second derivatives of weight norms",
    "torch._pack_padded_sequence": "nothing; but what is said of packed sequences helps less",
    "torch.utils.checkpoint._checkpoint_without_reentrant_generator": _CHECKPOINTS,
    "torch.utils.checkpoint.CheckpointFunction.apply": _CHECKPOINTS,
    "torch.nn.utils.parametrize._cache_enabled": "parametrised networks inside of parametrize.cached()",
    "torch._assert_async": "nothing; but a GPU then waits where task numbers are checked",
    **{f"torch.ops.aten.add.Tensor.{name}": _COMPILED for name in ("overloadpacket", "tags", "_schema")},
    "torch.Tag.nondeterministic_seeded": _COMPILED,
    **{f"torch.fx.experimental.proxy_tensor.{name}": _COMPILED for name in ("make_fx", "get_proxy_mode")},
    "torch.fx.passes.fake_tensor_prop.FakeTensorProp": _COMPILED,
    "torch._subclasses.fake_tensor.FakeTensorMode": _COMPILED,
    "torch.fx.experimental.symbolic_shapes.ShapeEnv": _COMPILED,
    "torch._inductor.compile_fx.compile_fx": _COMPILED,
    "torch._inductor.config.patch": _COMPILED,
    "torch._inductor.metrics.generated_kernel_count": "counting the kernels of compiled code",
    "torch._inductor.config.layout_optimization": "nothing; but compiled convolutions are slower",
    "torch._inductor.config.triton.cudagraphs": "nothing; but compiled code on a GPU is slower",
    "torch._inductor.config.cpp_wrapper": "nothing; but compiled code on a processor is slower, as is the compiler",
    "torch.compiler.config.cache_key_tag": "nothing; but code that an older version of this file made may be taken",
    "torch._inductor.config.cpp.simdlen": "compiled execution on a processor, if the next is gone as well",
    "torch._inductor.codegen.cpp.TilingSelect.select_tiling": "nothing; but compiled code has no vectors",
    "torch.utils._python_dispatch.TorchDispatchMode": _COSTS,
    "torch.utils.flop_counter.flop_registry": _COSTS,
    **{f"torch.utils._pytree.{name}": _TREES for name in ("TreeSpec", "tree_flatten", "tree_unflatten")},
    **{f"torch.utils._pytree.{name}": _TREES for name in ("tree_leaves", "tree_map")},
    "torch._C._functorch.get_unwrapped": "nothing; but a network is told that none of its weights requires a gradient",
    "torch._C._functorch.is_batchedtensor": "nothing but the same",
    "torch.nn.Module._parameters": _COMPILED,
    "torch.nn.Module._buffers": _COMPILED,
}


def missing() -> list[str]:
    """What of all this the PyTorch at hand does not have, and what goes without it."""
    return [f"{path}: without it goes {use}" for path, use in _USED.items() if not exists(path)]


def exists(path: str) -> bool:
    """Whether the PyTorch at hand has what is called by that dotted name."""
    names = path.split(".")
    for end in range(len(names) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(names[:end]))
        except ImportError:
            continue
        for name in names[end:]:
            if isinstance(found, type) and issubclass(found, nn.Module):
                found = found()  # attributes of a module are made with it
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


# Eager

BATCH_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
"""The norms that may keep running statistics: what is a ``_NormBase``."""

WEIGHT_NORM = getattr(torch, "_weight_norm", None)
"""What both weight norms of ``torch.nn.utils`` call."""

PACKING = getattr(torch, "_pack_padded_sequence", None)
"""What ``torch.nn.utils.rnn.pack_padded_sequence`` calls."""


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Let ``torch.utils.checkpoint`` inside a network call its function and keep what it computes.

    Computing it again, when an inner step is differentiated, would be outside of the ``vmap`` that it belongs to.
    """
    from torch.utils import checkpoint

    # The whole of the first way, under its older and newer name, is around the call of the function; that of the
    # second is instead of it.
    around, instead = (lambda *_, **__: iter((None,))), staticmethod(lambda function, _, *inputs: function(*inputs))
    generator = "_checkpoint_without_reentrant_generator"
    ways: list[tuple[Any, str, Any]] = [(checkpoint, generator, around), (checkpoint, f"{generator}_impl", around)]
    ways = [way for way in (*ways, (checkpoint.CheckpointFunction, "apply", instead)) if hasattr(*way[:2])]
    before = [vars(place).get(name) for place, name, _ in ways]
    for place, name, way in ways:
        setattr(place, name, way)
    try:
        yield
    finally:
        for (place, name, _), value in zip(ways, before, strict=True):
            delattr(place, name) if value is None else setattr(place, name, value)


def check_on_device(condition: Tensor, message: str) -> None:
    """Raise a RuntimeError where the condition does not hold; on a GPU some time later, so that nothing waits."""
    check = getattr(torch, "_assert_async", None)
    if check is not None:
        check(condition, message)
    elif not condition.item():
        raise RuntimeError(message)


def has_step_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether functions are to be called before or after each step of this optimizer."""
    places = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    return any(getattr(optimizer, place, None) for place in places)


@contextmanager
def without_cached_parametrizations() -> Iterator[None]:
    """Compute parametrised weights anew at every call, whatever ``parametrize.cached()`` has kept of other weights."""
    from torch.nn.utils import parametrize

    before = getattr(parametrize, "_cache_enabled", 0)
    parametrize._cache_enabled = 0
    try:
        yield
    finally:
        parametrize._cache_enabled = before


def requires_gradient(tensor: Tensor) -> bool:
    """Whether it does; of a task's, which inside of ``vmap`` seem not to, whether those of all tasks do."""
    functorch: Any = getattr(torch._C, "_functorch", None)
    while hasattr(functorch, "get_unwrapped") and functorch.is_batchedtensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.requires_grad


def operation_formula(function: Any) -> Callable[..., int] | None:
    """PyTorch's formula for the floating-point operations of what a ``TorchDispatchMode`` sees.

    Raises:
        ImportError: there are none.
    """
    from torch.utils.flop_counter import flop_registry

    return flop_registry.get(function.overloadpacket)


def place_of(module: nn.Module, name: str) -> tuple[dict, str]:
    """The dictionary in which a weight or buffer of that name stands, and its key there: quicker than attributes."""
    owner, _, last = name.rpartition(".")
    part = module.get_submodule(owner)
    return (part._parameters if last in part._parameters else part._buffers), last


# Traces


def trace(function: Callable, *inputs: Tensor) -> fx.GraphModule:
    """The tensor operations of one run of the function, as a graph."""
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(function)(*inputs)


def being_traced() -> bool:
    """Whether what runs now is recorded by ``trace``: its tensors are those of an example."""
    from torch.fx.experimental.proxy_tensor import get_proxy_mode

    return get_proxy_mode() is not None


def with_values(graph: fx.GraphModule, *inputs: Tensor) -> None:
    """Give every node the form of its value, in ``meta["val"]``, without computing it.

    What nobody uses is let go first, with what it holds of the program; draws stay.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv
    from torch.fx.passes.fake_tensor_prop import FakeTensorProp

    graph.graph.eliminate_dead_code(lambda node: draws_numbers(node) or node.is_impure())
    graph.recompile()
    # A tensor that the program holds, such as a loss's weights of classes, is taken as it is. What the compiler made
    # of a graph is kept on disk only if there is an environment for shapes that vary, though none does.
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True)
    FakeTensorProp(graph, mode).propagate(*inputs)


def draws_numbers(node: fx.Node) -> bool:
    """Whether a node of a graph moves a random generator on."""
    return _is_operation(node.target) and torch.Tag.nondeterministic_seeded in node.target.tags


def writes(node: fx.Node) -> bool:
    """Whether a node of a graph writes into what it is given."""
    return _is_operation(node.target) and node.target._schema.is_mutable


def only_looks_at_form(node: fx.Node) -> bool:
    """Whether a node of a graph asks a tensor for its shape and type, and not for its numbers."""
    return _is_operation(node.target) and node.target.overloadpacket in _LIKE


_aten = torch.ops.aten
_LIKE = {
    *(_aten.empty_like, _aten.zeros_like, _aten.ones_like, _aten.full_like),
    *(_aten.new_empty, _aten.new_zeros, _aten.new_ones, _aten.new_full, _aten.new_empty_strided),
    *(_aten.rand_like, _aten.randn_like, _aten.randint_like),
}


def _is_operation(target: object) -> TypeGuard[OpOverload]:
    return isinstance(target, type(_aten.add.Tensor))
