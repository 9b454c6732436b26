"""Every network of the zoo under every row: the meta-gradient is exact, or the package says why there is none.

A cell that is neither fails, and so does a refusal that is listed here and no longer made.
"""

import functools
import re

import pytest
import torch

from zoo.cells import SEED, TASKS, cell, draw, drawn_in_order, expected, learner, relative, tolerance
from zoo.networks import ZOO
from zoo.oracle import SETTINGS

REFUSED: dict[str, str] = {
    "batch norm that tracks": r"'norm'.*running statistics.*net\.eval\(\)",
    "instance norm that tracks": r"'norm'.*running statistics.*net\.eval\(\)",
    "buffer that is written": r"calls.*(instead|compute|eval)",
    "buffer that is replaced": r"scale.*(instead|compute|eval)",
    "boolean mask": r"mask.*torch\.where",
    "packed sequences": r"pack_padded_sequence.*gather",
    "random slopes": r"rrelu.*write it otherwise.*torch\.where",
    "LSTM, projected": r"recurrent.*without proj_size, with a linear layer behind it",
    "spectral norm": r"'linear1.*spectral.*net\.eval\(\)",
    "spectral norm by hooks": r"'linear1.*spectral.*net\.eval\(\)",
    "embedding with a largest norm": r"'words'.*max_norm.*without",
    "sparse embedding": r"'words'.*sparse.*sparse=False",
    "embedding scaled by frequency": r"'words'.*scale_grad_by_freq=False",
    "own generator": r"randn.*generator.*buffer",
    "object out": r"SimpleNamespace.*return",
    "numpy inside": r"numpy",
    "derivative by hand": r"autograd\.Function.*(setup_context|generate_vmap_rule)",
    "gradient by autograd": r"requires_grad_.*torch\.func",
    "complex weights": r"'w'.*complex.*view_as_complex",
    "script": r"script.*pass the nn\.Module",
    "part in script": r"'body'.*script.*pass the nn\.Module",
    "lazy layer": r"'body'.*shape.*call the network once",
    "compiled": r"torch\.compile.*pass the nn\.Module",
    "reads a value": r"torch\.where",
    "no weights": r"weights",
    "all frozen": r"weights.*require a gradient",
}
"""Networks that no row takes: what the message has to name, which is the layer, the reason and the cure."""

HEAD_ROWS = ["kernel-ridge", "fiml", "protomaml", "anil", "boil"]
"""Rows that have to know which layer is the last."""

REFUSED_BY_ROW: dict[tuple[str, str], str] = {
    # What the head puts out is not yet the prediction, so that a head cannot be computed.
    ("scalars", "kernel-ridge"): r"head.*name the last linear layer",
    ("hooks", "kernel-ridge"): r"head.*name the last linear layer",
    # All that would adapt is frozen.
    ("frozen body", "boil"): r"body.*none of head.*require a gradient",
    # A kernel is between examples, each of which has one row of outputs.
    **{
        (name, row): r"predictions.*outputs.*(nn\.Flatten\(\)|in one tensor)"
        for name in ("dictionary out", "tuple out", "one number out", "transposed convolution", "upsampling")
        for row in ("ntk-ridge", "meta-rkhs-2")
    },
    # A line search needs to know how the predictions move along a step.
    **{(name, "line-search"): r"predictions.*one tensor" for name in ("dictionary out", "tuple out")},
}
"""Single cells that are refused, for reasons of their own."""


def refusal(name: str, row: str) -> str | None:
    """What the package has to say to a network under a row, as a pattern; None where it has to compute."""
    specimen, reasons = ZOO[name], []
    if name in REFUSED:
        reasons.append(REFUSED[name])
    if (name, row) in REFUSED_BY_ROW:
        reasons.append(REFUSED_BY_ROW[name, row])
    if row == "cavia" and not specimen.context:
        reasons.append(r"'context'.*layers\.Context")
    if row in HEAD_ROWS and specimen.head is None:
        reasons.append(r"head")
    if row == "protomaml" and not specimen.classes:
        reasons.append(r"classes.*choose maml|a head with a bias")
    return "|".join(f"(?:{reason})" for reason in reasons) or None


# Every row on a few networks, and on every network the rows of which each has a derivative of its own kind.
EVERY_ROW_ON = ["classifier", "film", "layer norm", "attention without its weights", "frozen bias", "scalars"]
ON_EVERY_NETWORK = ["maml", "imaml", "forward-mode", "kernel-ridge", "ntk-ridge", "line-search", "anil", "dropgrad"]
ON_EVERY_NETWORK += ["fiml", "protomaml", "cavia", "es-maml"]


def cells():
    """All cells; those that add least are slow."""
    for name in ZOO:
        for row in SETTINGS:
            often = name in EVERY_ROW_ON or row in ON_EVERY_NETWORK
            yield pytest.param(name, row, marks=[] if often else pytest.mark.slow)


@pytest.mark.parametrize(("name", "row"), list(cells()))
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_network_under_a_row_is_exact_or_refused(name, row):
    found, pattern = cell(name, row), refusal(name, row)
    if pattern is None:
        if found.said is not None:
            raise found.said
        assert found.error < tolerance(row)
    else:
        assert found.said is not None, f"expected a refusal that says {pattern!r}, got a gradient"
        assert found.refused, f"expected a ValueError or a TypeError, got {found.said!r}"
        assert re.search(pattern, str(found.said), re.DOTALL), f"expected a refusal that says {pattern!r}: {found.said}"


def test_lists_of_refusals_are_about_the_zoo():
    assert set(REFUSED) <= set(ZOO)
    assert {name for name, _ in REFUSED_BY_ROW} <= set(ZOO)
    assert {row for _, row in REFUSED_BY_ROW} <= set(SETTINGS)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in REFUSED])
def test_the_network_is_left_as_it_was(name):
    """Its weights are the same objects with the same values, its buffers too, and its hooks are as many."""
    built = learner(name, "maml")
    net = built.model.net
    state = {key: (t, t.detach().clone()) for key, t in [*net.named_parameters(), *net.named_buffers()]}
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()]
    built.meta_gradient(draw(name))
    now = dict([*net.named_parameters(), *net.named_buffers()])
    assert list(now) == list(state)
    for key, (tensor, value) in state.items():
        assert now[key] is tensor
        assert torch.equal(now[key], value)
    assert hooks == [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()]


@pytest.mark.parametrize("name", [name for name in ZOO if name not in REFUSED])
def test_the_tasks_do_not_meet(name):
    """The losses after adaptation are those of each task by itself."""
    built = learner(name, "maml")
    tasks = draw(name)
    together = built(tasks)[1]
    alone = torch.cat([built(_pick(tasks, b))[1] for b in range(TASKS)])
    torch.testing.assert_close(together, alone, rtol=1e-11, atol=1e-12)


def _pick(tasks, b):
    def only(data):
        return type(data)(*torch.utils._pytree.tree_map(lambda leaf: leaf[b : b + 1], (data.x, data.y)))

    return type(tasks)(only(tasks.support), only(tasks.query), tasks.index[b : b + 1])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", ["encoder with padding", "transformer", "decoder", "attention without its weights"])
def test_what_is_fused_in_evaluation_is_the_same(name):
    """Without gradients PyTorch runs whole layers as one kernel, and drops padding: the network called by itself."""
    model, x = learner(name, "maml").model, draw(name).query.x
    model.net.eval()
    theta = tuple(t.detach().clone() for t in model.theta)
    phi = tuple(torch.stack([(1 + 0.1 * b) * t for b in range(TASKS)]) for t in theta)
    with torch.no_grad():
        together = model(phi, x)
        for b in range(TASKS):
            for weight, start in zip(model.theta, theta, strict=True):
                weight.copy_((1 + 0.1 * b) * start)
            torch.testing.assert_close(together[b], model.net(x[b]), rtol=1e-10, atol=1e-12)
            for weight, start in zip(model.theta, theta, strict=True):
                weight.copy_(start)
    assert torch.backends.mha.get_fastpath_enabled()


def test_dropout_in_training_draws_from_the_generator():
    built = learner("dropout, off", "maml")
    tasks = draw("dropout, off")
    built.model.net.train()

    def gradient(seed):
        torch.manual_seed(seed)
        return built.meta_gradient(tasks)

    assert relative(gradient(0), gradient(0)) == 0
    assert relative(gradient(0), gradient(1)) > 0.01
    same = type(tasks)(*(_first_everywhere(data) for data in tasks[:2]), tasks.index)
    torch.manual_seed(0)
    losses = built(same)[1]
    assert len(losses.unique()) == TASKS, "each task has a dropout of its own"
    built.model.net.eval()
    assert relative(built.meta_gradient(tasks), tuple(expected("dropout, off", "maml").values())) < 1e-9


def _first_everywhere(data):
    return type(data)(*(t[:1].expand_as(t).contiguous() for t in data))


# The same numbers from compiled code.

COMPILED = [
    ("batch norm 2d", "maml"),
    ("layer norm", "line-search"),
    ("attention without its weights", "maml"),
    ("embedding with padding", "maml"),
    ("tuple out", "maml"),
    ("frozen bias", "anil"),
]
"""What no test of the rows compiles; a cell takes from seconds to a minute, on one core and the first time."""

ALSO_COMPILED = ["maml", "imaml", "line-search", "ntk-ridge", "anil", "meta-sgd"]


def compiled_cells():
    """The cells above, and the sound networks under a handful of rows, which are slow."""
    for name, row in COMPILED:
        yield pytest.param(name, row)
    for name in ZOO:
        for row in ALSO_COMPILED:
            if refusal(name, row) is None and (name, row) not in COMPILED:
                yield pytest.param(name, row, marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "row"), list(compiled_cells()))
@pytest.mark.filterwarnings("default")  # what the compiler says of itself
def test_compiled_gradients_are_the_same(name, row):
    from mamlbook import Compiled

    with drawn_in_order():
        built = learner(name, row)
        torch.manual_seed(SEED)
        gradients, losses = Compiled(built)(draw(name))
    right = tuple(expected(name, row).values())
    assert relative(gradients[: len(right)], right) < tolerance(row)
    assert losses.shape == (TASKS,)
    assert losses.isfinite().all()


@functools.cache
def table() -> str:
    """All cells as Markdown, for a note: see ``zoo.table``."""
    from zoo import table as written

    return written.table() + "\n\n" + written.worst()
