"""PyTorch's compiler for a graph of tensor operations: nothing of it is promised to stay, as in ``torch_internals``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast
from unittest import mock

import torch
from torch import Tensor, fx

from mamlbook.torch_internals import exists


def compile_graph(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., list[Tensor]]:
    """Compile a graph without draws by inductor, whose import alone takes seconds."""
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx

    # Channels last costs more than it gains on images this small. On a processor the calls between the kernels are C++
    # as well: less time at each call, and all of them are one file to compile instead of one for each kernel.
    options: dict[str, Any] = {
        "layout_optimization": False,
        "triton.cudagraphs": inputs[0].is_cuda,
        "cpp_wrapper": inputs[0].device.type == "cpu",
    }
    tag: AbstractContextManager[None] = nullcontext()
    if exists("torch.compiler.config.cache_key_tag"):
        # What the compiler keeps on disk is known by its graph, which does not show the guard below.
        tag = cast(Any, torch.compiler.config).patch(cache_key_tag="mamlbook: whole vectors")
    try:
        from torch._inductor.codegen.cpp import TilingSelect

        guard: AbstractContextManager[None] = _whole_vectors(TilingSelect)
    except ImportError:
        options["cpp.simdlen"] = 1  # no vectors at all
        guard = nullcontext()
    known = {name: value for name, value in options.items() if exists(f"torch._inductor.config.{name}")}
    with tag, guard, config.patch(known):
        code: Any = compile_fx(graph, inputs)  # typed as all that its other modes give as well
    return code


def generated_kernels() -> int:
    """How many kernels the compiler has written since the process began, calls of libraries left out."""
    from torch._inductor import metrics

    return metrics.generated_kernel_count


@contextmanager
def _whole_vectors(chooser: Any) -> Iterator[None]:
    """Keep the compiler from vectors over an axis that does not fill them, where a sum is stored across it.

    As of torch 2.14, inductor's C++ writes whole vectors there, past the end of the axis and at last of the
    memory: three numbers too many with 5 tasks and vectors of 8. Such a loop goes without vectors, and no other.

    References: https://github.com/pytorch/pytorch/issues/196681 and 181691.
    """
    chosen = chooser.select_tiling

    def select_tiling(self, bodies, sizes):
        factors, axes, *rest = chosen(self, bodies, sizes)
        kept, summed = max(sizes, key=lambda pair: len(pair[1]))
        if axes and summed:
            axis = axes[0] % (len(kept) + len(summed))
            # Next to the sum the compiler stores parts of vectors as it should.
            if axis < len(kept) - 1 and kept[axis] % factors[0] != 0:
                return [], [], *rest
        return factors, axes, *rest

    with mock.patch.object(chooser, "select_tiling", select_tiling):
        yield
