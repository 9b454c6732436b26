"""The oracle against facts that need neither it nor the package, and against the package on the plainest networks."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from mamlbook import ALGORITHMS
from zoo.cells import SEED, TOLERANCES, build, cell, draw, expected, oracle_of, relative
from zoo.networks import ZOO
from zoo.oracle import (
    SETTINGS,
    Oracle,
    batch_norm,
    conflict_averse_weights,
    finite_difference,
    group_norm,
    instance_norm,
    layer_norm,
    learned,
    oracle,
    rms_norm,
    scaled_dot_product_attention,
    weight_norm,
)

UNSOUND = {
    "batch norm that tracks": "its state changes",
    "instance norm that tracks": "its state changes",
    "buffer that is written": "its state changes",
    "buffer that is replaced": "its state changes",
    "spectral norm": "its state changes",
    "random slopes": "it draws anew at each call",
    "spectral norm by hooks": "its state changes",
    "embedding with a largest norm": "its weights change by being used",
    "sparse embedding": "its gradient is no tensor to compute with",
    "embedding scaled by frequency": "its gradient is that of no loss",
    "object out": "it has no loss",
    "complex weights": "its gradient has two real parts",
    "script": "it cannot be called with other weights",
    "lazy layer": "it has no weights yet",
    "compiled": "it cannot be differentiated twice",
    "no weights": "there is nothing to learn",
    "all frozen": "there is nothing to learn",
}
"""Specimens that are no functions of their weights, or have none, so that there is nothing to expect but a refusal."""

SOUND = [name for name in ZOO if name not in UNSOUND]

PLAINEST = ["mlp", "classifier", "contextual"]


def flat(weights):
    return torch.cat([t.flatten() for t in weights.values()])


def ways(weights, count, seed=0):
    """Directions of length one."""
    generator = torch.Generator().manual_seed(seed)
    found = [
        {n: torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in weights.items()} for _ in range(count)
    ]
    return [{n: t / flat(way).norm() for n, t in way.items()} for way in found]


def test_every_row_has_an_oracle():
    assert set(SETTINGS) == set(ALGORITHMS)
    for row in ALGORITHMS:
        assert hasattr(Oracle, "row_" + row.replace("-", "_").replace("++", "_plus_plus"))


@pytest.mark.parametrize("name", SOUND)
def test_maml_is_the_slope_of_its_objective(name):
    net, tasks = build(name), draw(name)
    gradient = expected(name, "maml")
    directions = ways(gradient, 1)
    if name == "embedding with padding":  # whose gradient is zero by decree
        for way in directions:
            way["words.weight"][0] = 0
    slopes = finite_difference(net, ZOO[name].loss, tasks, directions, size=1e-5)  # no kink is that near
    for way, slope in zip(directions, slopes, strict=True):
        assert abs(flat(gradient) @ flat(way) - slope) < 1e-9 * flat(gradient).norm()


@pytest.mark.parametrize("name", SOUND)
def test_the_network_is_what_its_author_wrote(name):
    """Spelled out or not, it predicts the same, to rounding."""
    net, tasks = build(name), draw(name)
    x = torch.utils._pytree.tree_map(lambda leaf: leaf[0], tasks.support.x)
    theirs = net(*x) if isinstance(x, tuple) else net(x)
    ours = Oracle(net, ZOO[name].loss, tasks).predict({}, x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SOUND)
def test_the_network_is_left_as_it_was(name):
    net = build(name)
    before = {key: (p, p.detach().clone()) for key, p in net.named_parameters()}
    oracle("maml", net, ZOO[name].loss, draw(name))
    for key, p in net.named_parameters():
        assert p is before[key][0]
        assert torch.equal(p, before[key][1])


def served(name):
    """The rows that ask for no other network."""
    return [row for row in SETTINGS if {"cavia": ZOO[name].context, "protomaml": ZOO[name].classes}.get(row, True)]


@pytest.mark.parametrize(("name", "row"), [(name, row) for name in PLAINEST for row in served(name)])
def test_rows_are_those_of_the_package(name, row):
    found = cell(name, row)
    assert found.said is None, found.said
    assert found.error < TOLERANCES.get(row, 1e-11)


def test_one_entry_for_every_weight_that_is_learned():
    net = build("frozen body")
    assert list(expected("frozen body", "maml")) == ["head.weight", "head.bias"] == list(learned(net))


def test_frozen_weights_do_not_adapt():
    """A frozen body under MAML is a head that adapts alone, seen at the head."""
    frozen, free = expected("frozen body", "maml"), expected("mlp", "anil")
    assert relative(tuple(frozen.values()), tuple(free[n] for n in frozen)) < 1e-12


def test_without_a_rate_maml_is_joint_training():
    net, tasks = build("mlp"), draw("mlp")
    still = oracle("maml", net, F.mse_loss, tasks, alpha=0.0)
    assert relative(tuple(still.values()), tuple(expected("mlp", "joint").values())) < 1e-14


def test_differences_of_gradients_tend_to_maml():
    net, tasks = build("mlp"), draw("mlp")
    near = oracle("finite-difference", net, F.mse_loss, tasks, epsilon=1e-4)
    assert relative(tuple(near.values()), tuple(expected("mlp", "maml").values())) < 1e-8


def test_the_implicit_gradient_solves_its_system():
    """By a dense Hessian, and elimination."""
    world, options = oracle_of("mlp"), SETTINGS["imaml"]
    lam, damping = options["lam"], options["damping"]
    found = []
    for task in world.tasks:
        q, product = world._at_minimum(task, options["alpha"], options["steps"], lam)
        unit = torch.eye(len(flat(q)), dtype=torch.float64)
        sizes = [t.numel() for t in q.values()]
        columns = []
        for column in unit:
            pieces = column.split(sizes)
            columns.append(flat(product({n: p.view_as(t) for (n, t), p in zip(q.items(), pieces, strict=True)})))
        hessian = torch.stack(columns)
        torch.testing.assert_close(hessian, hessian.T)
        found.append(torch.linalg.solve((1 + damping) * unit + hessian / lam, flat(q)))
    torch.testing.assert_close(flat(expected("mlp", "imaml")), sum(found) / len(found), rtol=1e-11, atol=1e-13)


def test_the_neumann_series_tends_to_the_implicit_gradient():
    net, tasks = build("mlp"), draw("mlp")
    options = {"lam": 5.0, "alpha": 0.01, "steps": 2}
    exact = oracle("imaml", net, F.mse_loss, tasks, **options, damping=0.0)
    series = oracle("imaml-neumann", net, F.mse_loss, tasks, **options, rate=0.1, iterations=300)
    assert relative(tuple(series.values()), tuple(exact.values())) < 1e-10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("c", [0.1, 0.5, 2.0])
def test_conflict_averse_weights_are_those_of_the_best_step(seed, c):
    """max_d min_b <g_b, d> in a ball around the mean: no other step in the ball helps the worst task more."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    mean = rows.mean(0)
    d = torch.tensor(conflict_averse_weights(rows @ rows.T, c), dtype=torch.float64) @ rows
    radius = c * mean.norm()
    assert (d - mean).norm() <= radius * (1 + 1e-9)
    others = torch.randn(20_000, 4, generator=generator, dtype=torch.float64)
    close = d + 10 ** (-4 * torch.rand(20_000, 1, generator=generator, dtype=torch.float64)) * others - mean
    others = mean + close * (radius / close.norm(dim=1, keepdim=True))
    assert (rows @ others.T).amin(0).max() <= (rows @ d).min() + 1e-12


def test_ridge_regression_in_terms_of_functions():
    """f(x) = f_theta(x) + k(x, X) (K + lam n I)^-1 (Y - f_theta(X)), without a word of weights."""
    world, lam = oracle_of("mlp"), SETTINGS["kernel-ridge"]["lam"]
    found = []
    for task in world.tasks:
        theta = world.theta()

        def features(x, theta=theta):
            h = torch.tanh(F.linear(x, theta["linear1.weight"], theta["linear1.bias"]))
            return torch.tanh(F.linear(h, theta["linear2.weight"], theta["linear2.bias"]))

        (x, y), (others, answers) = task.support, task.query
        gram = features(x) @ features(x).T + 1
        inverse = torch.linalg.inv(gram + lam * len(x) * torch.eye(len(x), dtype=torch.float64))
        added = (features(others) @ features(x).T + 1) @ inverse @ (y - world.predict(theta, x))
        loss = F.mse_loss(world.predict(theta, others) + added, answers)
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(theta.values()))]))
    torch.testing.assert_close(flat(expected("mlp", "kernel-ridge")), sum(found) / len(found), rtol=1e-11, atol=1e-13)


def test_a_flow_for_a_long_time_is_ridge_regression_without_a_ridge():
    net, tasks = build("mlp"), draw("mlp")
    long = oracle("meta-rkhs-2", net, F.mse_loss, tasks, time=3.0)
    short = oracle("meta-rkhs-2", net, F.mse_loss, tasks, time=1e-9)
    assert relative(tuple(short.values()), tuple(expected("mlp", "joint").values())) < 1e-7
    assert relative(tuple(long.values()), tuple(short.values())) > 0.01


def test_a_line_search_ends_at_the_lowest_point_of_a_bowl():
    """On linear regression one step from theta leaves no slope along the way it took."""
    net = nn.Linear(2, 1).double()
    world = Oracle(net, F.mse_loss, ZOO["single layer"].draw(1, 0))
    (task,) = world.tasks
    theta = world.theta()
    names = list(theta)
    gradients = dict(zip(names, torch.autograd.grad(task.on_support(theta), list(theta.values())), strict=True))
    moved = world._searching(task, F.mse_loss, 0.0, 0.0)(0, theta, gradients)
    phi = {n: (theta[n] - moved[n]).detach().requires_grad_() for n in names}
    slopes = torch.autograd.grad(task.on_support(phi), list(phi.values()))
    assert abs(sum((g * gradients[n]).sum() for n, g in zip(names, slopes, strict=True))) < 1e-14


def test_evolution_is_the_gradient_of_a_bowl_on_average():
    """The loss after adaptation is quadratic for linear regression: many directions tend to MAML's gradient."""
    net, tasks = nn.Linear(2, 1).double(), ZOO["single layer"].draw(3, 0)
    exact = oracle("maml", net, F.mse_loss, tasks)
    found = oracle("es-maml", net, F.mse_loss, tasks, pairs=400, seed=SEED)
    assert relative(tuple(found.values()), tuple(exact.values())) < 0.25


def test_noise_that_drops_nothing_is_maml():
    net, tasks = build("mlp"), draw("mlp")
    still = oracle("dropgrad", net, F.mse_loss, tasks, p=0.0)
    assert relative(tuple(still.values()), tuple(expected("mlp", "maml").values())) < 1e-14


def test_a_path_without_noise_and_pull_is_maml():
    net, tasks = build("mlp"), draw("mlp")
    still = oracle("sgld", net, F.mse_loss, tasks, lam=0.0, temperature=0.0, last=1)
    assert relative(tuple(still.values()), tuple(expected("mlp", "maml").values())) < 1e-14


# The kernels that the oracle spells out: what they compute, and why.

GAIN, OFFSET = torch.tensor([0.7, -1.3, 0.4]).double(), torch.tensor([0.2, 0.5, -0.1]).double()

KERNELS = {
    "layer norm": (
        lambda x, w, b: F.layer_norm(x, (3,), w, b),
        lambda x, w, b: layer_norm(x, (3,), w, b),
    ),
    "rms norm": (
        lambda x, w, b: F.rms_norm(x, (3,), w) + b,
        lambda x, w, b: rms_norm(x, (3,), w) + b,
    ),
    "group norm": (
        lambda x, w, b: F.group_norm(x.T[None], 3, w, b),
        lambda x, w, b: group_norm(x.T[None], 3, w, b),
    ),
    "batch norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        lambda x, w, b: batch_norm(x, None, None, w, b, True),
    ),
    "instance norm": (
        lambda x, w, b: F.instance_norm(x.T[None], None, None, w, b),
        lambda x, w, b: instance_norm(x.T[None], None, None, w, b),
    ),
    "attention": (
        lambda x, w, b: F.scaled_dot_product_attention(x * w, x * b, x + w, is_causal=False),
        lambda x, w, b: scaled_dot_product_attention(x * w, x * b, x + w, is_causal=False),
    ),
    "weight norm": (
        lambda x, w, b: torch._weight_norm(x, x[:, :1].exp(), 0) * w + b,
        lambda x, w, b: weight_norm(x, x[:, :1].exp(), 0) * w + b,
    ),
}

WRONG = {"layer norm": 3, "batch norm": 3, "instance norm": 3, "weight norm": 2}
"""The lowest order of derivative that PyTorch 2.13 gets wrong, in double precision on a CPU, without a word."""


def derivatives(function):
    """The value, then the first three derivatives along fixed ways."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    inputs = [t.clone().requires_grad_() for t in (x, GAIN, OFFSET)]
    value = function(*inputs).sin()
    value = (value * torch.randn(value.shape, generator=generator, dtype=torch.float64)).sum()
    found = [value.detach()[None]]
    for _ in range(3):
        slopes = torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)
        found.append(torch.cat([s.flatten() for s in slopes]).detach())
        value = sum((s * torch.randn(s.shape, generator=generator, dtype=torch.float64)).sum() for s in slopes)
    return found


@pytest.mark.parametrize("name", list(KERNELS))
def test_kernels_spelled_out_are_the_kernels(name):
    theirs, ours = map(derivatives, KERNELS[name])
    for order, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        if order < WRONG.get(name, math.inf):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(WRONG))
def test_the_kernel_has_a_wrong_derivative(name):
    """If this fails, PyTorch has mended it, and it need not be spelled out any longer."""
    theirs, ours = map(derivatives, KERNELS[name])
    order = WRONG[name]
    assert (theirs[order] - ours[order]).norm() > 1e-3 * ours[order].norm()


def test_spelled_out_kernels_have_right_derivatives():
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    for _, plain in KERNELS.values():
        second = lambda x, plain=plain: torch.autograd.grad(plain(x, GAIN, OFFSET).sin().sum(), x, create_graph=True)  # noqa: E731
        assert torch.autograd.gradgradcheck(second, x)


def test_functional_call_forgets_to_put_the_weights_of_a_layer_with_two_names_back():
    """Why the oracle tells each place once. If this fails, PyTorch has mended it."""
    net = nn.Module()
    net.a = nn.Linear(1, 1)
    net.b = net.a
    net.forward = lambda x: net.a(x)
    before = net.a.weight
    functional_call(net, {"a.weight": torch.zeros(1, 1)}, (torch.ones(1, 1),))
    assert net.a.weight is not before


def test_vmap_leaves_the_padding_of_an_embedding_alone_for_the_first_task_only():
    """What the zoo's embedding with padding is there for. If this fails, PyTorch has mended it."""
    weights = torch.randn(2, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    words = torch.tensor([[0, 1], [0, 2]])
    vectors = vmap(lambda weight, words: F.embedding(words, weight, padding_idx=0))(weights, words)
    (gradient,) = torch.autograd.grad(vectors.square().sum(), weights)
    assert not gradient[0, 0].any()
    assert gradient[1, 0].any()


def test_gradients_made_of_nothing_lack_the_axis_of_a_batch_of_them():
    """Why a Jacobian needs care with weights that are not used. If this fails, PyTorch has mended it."""
    used, unused = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    rows = torch.autograd.grad(2 * used, (used, unused), torch.eye(3), is_grads_batched=True, materialize_grads=True)
    assert [tuple(row.shape) for row in rows] == [(3, 3), (3,)]
