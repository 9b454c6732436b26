"""Kernels and the solvers on them: against plain linear algebra, task by task, and in their limits."""

import math

import pytest
import torch
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy, mse_loss

from battery import Blobs, sine_model, sine_tasks
from mamlbook import (
    ALGORITHMS,
    ALL,
    Data,
    GradientDescent,
    MetaLearner,
    Model,
    NonFiniteLoss,
    Sinusoids,
    Tasks,
    conv4,
    distance,
    fit,
    head,
    keep,
    linear,
    mlp,
)
from mamlbook.inner import FeatureKernel, KernelFlow, KernelRidge, TangentKernel, jacobian
from mamlbook.inner.head_weights import numeric_targets
from mamlbook.metagradient import FirstOrder
from mamlbook.numerics import expand_over_tasks

KERNELS = [FeatureKernel(), TangentKernel()]
SOLVERS = [lambda kernel: KernelRidge(kernel, 0.1), lambda kernel: KernelFlow(kernel, 2.0)]


def classes_model():
    return Model(mlp(2, 8, 3, activation=torch.nn.Tanh, seed=0), cross_entropy).double()


def classes():
    return Blobs().draw(4, torch.Generator().manual_seed(0)).to(torch.float64)


def rows_of(model, theta, x):
    """The Jacobian of one task's predictions, (K C, P), by functional_call and jacrev."""
    named = dict(zip(model.names, theta, strict=True))
    parts = jacrev(lambda w: functional_call(model.net, w, x).flatten())(named)
    return torch.cat([part.flatten(1) for part in parts.values()], 1)


@pytest.mark.parametrize(("model", "tasks"), [(sine_model(), sine_tasks()), (classes_model(), classes())])
def test_the_tangent_is_the_jacobian_of_every_output(model, tasks):
    x = tasks.support.x
    theta = tuple(t.detach() + 0.1 * torch.randn(len(x), *t.shape, dtype=t.dtype) for t in model.theta)
    gram, _ = TangentKernel().gram(model, theta, x)
    for b in range(len(x)):
        rows = rows_of(model, [t[b] for t in theta], x[b])
        found = torch.cat([r[b].flatten(1) for r in jacobian(model, theta, x)], 1)
        assert distance([found, gram[b]], [rows, rows @ rows.T]) < 1e-12


def test_the_tangent_of_the_head_is_the_kernel_of_the_features():
    model, x = sine_model(), sine_tasks().support.x
    theta = expand_over_tasks(model.theta, len(x))
    rows = jacobian(model, theta, x)[-2:]
    flat = torch.cat([r.flatten(2) for r in rows], 2)
    assert distance([flat @ flat.mT], [FeatureKernel().gram(model, theta, x)[0]]) < 1e-12


def test_a_head_without_a_bias_has_no_constant():
    body = torch.nn.Sequential()
    body.add_module("linear1", torch.nn.Linear(1, 4))
    body.add_module("head", torch.nn.Linear(4, 1, bias=False))
    model, tasks = Model(body.double(), mse_loss), sine_tasks()
    theta = expand_over_tasks(model.theta, 5)
    h = model.features(theta, tasks.support.x)
    assert distance([FeatureKernel().gram(model, theta, tasks.support.x)[0]], [h @ h.mT]) == 0
    solved = KernelRidge(FeatureKernel(), 0.1)(model, tasks.support, unroll=ALL)
    assert solved.phi[-1].shape == (5, 1, 4)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_predictions_are_those_of_the_kernel(kernel):
    """f_theta(x) + k(x, X) (K + lam n I)^-1 (Y - f_theta(X)), with k from one Gram matrix of old and new points."""
    model, (support, query, _) = sine_model(), sine_tasks()
    solved = KernelRidge(kernel, 0.1)(model, support, unroll=0)
    theta = expand_over_tasks(model.theta, 5)
    gram, _ = kernel.gram(model, theta, torch.cat([support.x, query.x], 1))
    a = torch.linalg.solve(gram[:, :10, :10] + 0.1 * 10 * torch.eye(10).double(), support.y - model(theta, support.x))
    expected = model(theta, query.x) + gram[:, 10:, :10] @ a
    assert distance([solved.predict(solved.phi, query.x)], [expected]) < 1e-10


class Turned(FeatureKernel):
    """A kernel of the wrong sign."""

    def gram(self, model, theta, x):
        gram, weights = super().gram(model, theta, x)
        return -gram, weights


def test_what_is_no_kernel_is_found_with_the_losses():
    # Looking at every factor, as torch.linalg.cholesky does, would make a GPU wait in each meta-step.
    learner = MetaLearner(sine_model(), KernelRidge(Turned(), 1e-3))
    assert learner(sine_tasks())[1].isnan().all()
    with pytest.raises(
        NonFiniteLoss, match=r"the query loss became nan at meta-step 1; .*positive definite any more: try a larger lam"
    ):
        fit(learner, Sinusoids(), steps=2, tasks=3)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_the_ridge_solution_makes_its_objective_stationary(kernel):
    model, tasks = classes_model(), classes()
    solved = KernelRidge(kernel, 0.1)(model, tasks.support, unroll=0)
    phi = tuple(p.requires_grad_() for p in solved.phi)
    gradient = torch.autograd.grad(solved.inner(solved.start, phi).sum(), phi)
    adapted = gradient[-2:] if isinstance(kernel, FeatureKernel) else gradient
    assert max(g.abs().max() for g in adapted) < 1e-10


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_limits_of_the_ridge(kernel):
    model, tasks = sine_model(), sine_tasks(shots=4)
    start = model(expand_over_tasks(model.theta, 5), tasks.support.x)
    near = KernelRidge(kernel, 1e-12)(model, tasks.support, unroll=0)
    assert (near.predict(near.phi, tasks.support.x) - tasks.support.y).abs().max() < 1e-3
    far = KernelRidge(kernel, 1e12)(model, tasks.support, unroll=0)
    assert (far.predict(far.phi, tasks.support.x) - start).abs().max() < 1e-9


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_the_flow_is_that_of_the_eigenvalues(kernel):
    model, tasks, time = sine_model(), sine_tasks(), 3.0
    theta = expand_over_tasks(model.theta, 5)
    values, vectors = torch.linalg.eigh(kernel.gram(model, theta, tasks.support.x)[0])
    residual = tasks.support.y - model(theta, tasks.support.x)
    left = vectors @ (torch.exp(-time / 10 * values)[..., None] * (vectors.mT @ residual))
    flow = KernelFlow(kernel, time)(model, tasks.support, unroll=0)
    assert distance([tasks.support.y - flow.predict(flow.phi, tasks.support.x)], [left]) < 1e-10


def test_the_flow_on_a_linear_model_is_many_tiny_steps():
    tasks = sine_tasks()
    data = Data(torch.cat([tasks.support.x, torch.ones_like(tasks.support.x)], 2), tasks.support.y)
    model = Model(linear([0.5, 0.1]), mse_loss)
    flow = KernelFlow(TangentKernel(), 0.2)(model, data, unroll=0)
    apart = []
    for steps in (100, 1000):
        # The loss of the flow has a factor 1/2 that the mean squared error lacks.
        apart.append(distance(GradientDescent(0.1 / steps, steps)(model, data, unroll=0).phi, flow.phi))
    assert apart[0] / apart[1] == pytest.approx(10, rel=0.1)


def test_the_flow_ends_at_the_interpolation_and_begins_at_theta():
    model, tasks = sine_model(), sine_tasks(shots=4)
    end = KernelFlow(TangentKernel(), 1e6)(model, tasks.support, unroll=0)
    assert (end.predict(end.phi, tasks.support.x) - tasks.support.y).abs().max() < 1e-4
    assert (
        distance(
            KernelFlow(TangentKernel(), 0.0)(model, tasks.support, unroll=0).phi, expand_over_tasks(model.theta, 5)
        )
        == 0
    )


def test_ridge_on_the_features_is_descent_of_the_head():
    model, tasks = sine_model(), sine_tasks()
    solved = KernelRidge(FeatureKernel(), 0.5)(model, tasks.support, unroll=0)
    slow = GradientDescent(0.05, 400, keep(head), lam=1.0)(model, tasks.support, unroll=0)
    assert distance(slow.phi, solved.phi) < 1e-8


def test_classes_are_ones_and_zeros():
    y = torch.tensor([[2, 0]])
    expected = torch.tensor([[[0.0, 0, 1], [1, 0, 0]]])
    assert torch.equal(numeric_targets(torch.zeros(1, 2, 3), y), expected)
    assert numeric_targets(torch.zeros(1, 2, 3), expected) is expected


def test_examples_that_share_a_batch_norm_are_one_function():
    model = Model(conv4(2, filters=2, seed=0).double(), cross_entropy)
    x = torch.rand(1, 3, 1, 28, 28, generator=torch.Generator().manual_seed(0)).double()
    rows = rows_of(model, model.theta, x[0])
    theta = tuple(t.detach()[None] for t in model.theta)
    assert distance([TangentKernel().gram(model, theta, x)[0][0]], [rows @ rows.T]) < 1e-9


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_path_is_the_start_and_then_the_solution(solver, kernel):
    model, tasks = sine_model(), sine_tasks()
    solve = solver(kernel)
    path = list(solve.path(model, tasks.support, unroll=0, steps=3))
    assert len(path) == 4
    assert distance(path[0].phi, path[0].start) == 0
    assert distance(path[1].phi, path[3].phi) == 0
    assert distance(path[1].phi, path[0].phi) > 1e-2
    assert not any(p.requires_grad for at in path for p in at.phi)
    assert distance(solve(model, tasks.support, unroll=0, steps=0).phi, path[0].phi) == 0
    learner = MetaLearner(model, solve, FirstOrder())
    assert all(g.isfinite().all() for g in learner.meta_gradient(tasks))


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_task_may_start_elsewhere(solver):
    model, tasks = sine_model(), sine_tasks()
    theta = tuple(t.detach() + 0.1 * torch.randn(5, *t.shape, dtype=t.dtype) for t in model.theta)
    together = solver(TangentKernel())(model, tasks.support, unroll=0, theta=theta)
    one = solver(TangentKernel())(model, tasks.support.pick([2]), unroll=0, theta=tuple(t[[2]] for t in theta))
    assert distance([p[[2]] for p in together.phi], one.phi) < 1e-10


def test_single_precision_stays_close_to_double():
    model, tasks = sine_model(), sine_tasks()
    exact = KernelRidge(TangentKernel(), 0.01)(model, tasks.support, unroll=0)
    expected = exact.predict(exact.phi, tasks.query.x)
    single = KernelRidge(TangentKernel(), 0.01)(model.float(), tasks.to(torch.float32).support, unroll=0)
    found = single.predict(single.phi, tasks.query.x.float())
    assert distance([found.double()], [expected]) < 1e-3


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_refusals(value):
    with pytest.raises(ValueError, match="lam: expected a finite ridge above 0"):
        KernelRidge(FeatureKernel(), value)
    with pytest.raises(ValueError, match="time: expected a finite time of at least 0"):
        KernelFlow(FeatureKernel(), value)


def test_features_need_a_head():
    with pytest.raises(ValueError, match="net: expected a network with a head"):
        KernelRidge(FeatureKernel(), 0.1)(Model(linear([1.0]), mse_loss), sine_tasks().support, unroll=0)


@pytest.mark.parametrize("label", [3, -100, -1])
@pytest.mark.parametrize("row", ["kernel-ridge", "ntk-ridge", "meta-rkhs-2", "fiml"])
def test_a_label_that_is_no_class_is_no_example_of_none(row, label):
    x, y = torch.rand(2, 6, 2), torch.tensor([0, 1, 2, 0, 1, 2]).repeat(2, 1)
    learner = ALGORITHMS[row].offer(Model(mlp(2, 8, 3, seed=0), cross_entropy))
    assert learner.meta_gradient(Tasks(Data(x, y), Data(x, y)))
    padded = y.clone()
    padded[1, 5] = label
    with pytest.raises(RuntimeError, match="y: expected classes from 0 to 2 in every support set"):
        learner.meta_gradient(Tasks(Data(x, padded), Data(x, y)))
