"""Curvature and alignment against explicit Hessians and hand-made gradients."""

import pytest
import torch
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

from mamlbook import Data, GradientDescent, MetaLearner, Model, Sinusoids, distance, linear, maml, mlp
from mamlbook.analysis.diagnostics import (
    agreement,
    alignment,
    gauss_newton_product,
    hessian_product,
    largest_curvature,
    meta_gradients,
    task_gradients,
    unsolved,
)
from mamlbook.metagradient import EvolutionStrategies
from mamlbook.tasks.quadratic import Quadratics, half_squared_error


def waves(tasks=3):
    return Sinusoids(shots=6).draw(tasks, torch.Generator().manual_seed(0)).to(torch.float64).support


def small():
    return Model(mlp(1, 5, 1, activation=torch.nn.Tanh), mse_loss).double()


def explicit(model, x, y):
    """Build the whole Hessian of one task's loss and the gradient, both by plain autograd on a flat vector."""
    sizes = [t.numel() for t in model.theta]

    def loss(flat):
        named = zip(model.names, flat.split(sizes), strict=True)
        phi = {name: part.view_as(t) for (name, part), t in zip(named, model.theta, strict=True)}
        return mse_loss(functional_call(model.net, phi, x), y)

    flat = torch.cat([t.detach().flatten() for t in model.theta])
    return hessian(loss, flat), torch.func.grad(loss)(flat)


def test_the_largest_curvature_is_the_largest_eigenvalue_of_the_explicit_hessian():
    model, data = small(), waves()
    found = largest_curvature(model, data, iterations=400)
    for value, x, y in zip(found, data.x, data.y, strict=True):
        eigenvalues = torch.linalg.eigvalsh(explicit(model, x, y)[0])
        assert value.item() == pytest.approx(eigenvalues[eigenvalues.abs().argmax()].item(), rel=1e-6)


def test_the_curvature_of_bowls_is_theirs():
    bowls = Quadratics([1.0, 3.0, 0.25], [0.0, 1.0, 2.0]).all().support
    found = largest_curvature(Model(linear([0.5]), half_squared_error), bowls, iterations=1)
    assert found.tolist() == pytest.approx([1.0, 3.0, 0.25])


def test_a_task_without_curvature_has_none():
    flat = Model(linear([0.5]), lambda y_hat, y: (0 * y_hat**2).sum())
    assert largest_curvature(flat, Quadratics([1.0], [0.0]).all().support, iterations=5).tolist() == [0.0]


def test_the_gradients_are_those_of_single_tasks():
    model, data = small(), waves()
    found = torch.cat([g.flatten(1) for g in task_gradients(model, data)], 1)
    for gradient, x, y in zip(found, data.x, data.y, strict=True):
        assert (gradient - explicit(model, x, y)[1]).abs().max() < 1e-12


def test_alignment_runs_from_cancelling_to_alike():
    up = torch.tensor([[1.0, 0.0]])
    assert alignment([torch.cat([up, up]), torch.zeros(2, 1)]).item() == 1
    assert alignment([torch.cat([up, -up])]).item() == 0
    assert alignment([torch.eye(4)]).item() == pytest.approx(1 / 4)


def random_vector(model, tasks, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(tasks, *t.shape, generator=generator, dtype=t.dtype) for t in model.theta)


def flat(params):
    return torch.cat([p.flatten(1) for p in params], 1)


def test_the_hessian_product_is_that_of_the_explicit_hessian():
    model, data = small(), waves()
    v = random_vector(model, 3)
    found = flat(hessian_product(model, data, v))
    for product, vector, x, y in zip(found, flat(v), data.x, data.y, strict=True):
        assert (product - explicit(model, x, y)[0] @ vector).abs().max() < 1e-12


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_gauss_newton_product_is_that_of_the_explicit_matrix(outputs):
    """J^T l'' J with an explicit Jacobian: l'' is 2 / K for the mean of squares, diag(p) - p p^T / K for classes."""
    model = Model(mlp(1, 5, outputs, activation=torch.nn.Tanh), mse_loss if outputs == 1 else cross_entropy).double()
    data = waves()
    if outputs == 3:
        labels = torch.randint(3, data.y.shape[:2], generator=torch.Generator().manual_seed(1))
        data = data._replace(y=labels)
    v = random_vector(model, 3)
    found = flat(gauss_newton_product(model, data, v))
    for product, vector, x in zip(found, flat(v), data.x, strict=True):
        named = dict(model.net.named_parameters())
        jacobian = torch.func.jacrev(lambda phi, x=x: functional_call(model.net, phi, x))(named)
        J = torch.cat([part.flatten(2) for part in jacobian.values()], 2)  # (K, outputs, weights)
        if outputs == 1:
            second = 2 * torch.ones(len(x), 1, 1, dtype=torch.float64) / len(x)
        else:
            p = model.net(x).softmax(1)
            second = (torch.diag_embed(p) - p[:, :, None] * p[:, None]) / len(x)
        expected = torch.einsum("kop,koq,kqr,r->p", J, second, J, vector)
        assert (product - expected).abs().max() < 1e-12


def test_a_linear_network_has_no_curvature_of_its_own():
    model = Model(linear([0.5, -1.0]), mse_loss).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 2, generator=generator, dtype=torch.float64)
    data, v = Data(x, x.sum(2, keepdim=True)), random_vector(model, 2)
    assert distance(gauss_newton_product(model, data, v), hessian_product(model, data, v)) < 1e-12


def test_agreement_runs_from_opposite_to_alike():
    u, v = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    assert agreement([u], [u]).item() == 1
    assert agreement([u], [-u]).item() == -1
    assert agreement([u], [v]).item() == 0
    # Of two samples that share a mean, the share of the mean: 4 in 4 + 1.
    generator = torch.Generator().manual_seed(0)
    common = 2 * torch.ones(20_000, 1)
    one, other = (common + torch.randn(20_000, 1, generator=generator) for _ in range(2))
    assert agreement([one], [other]).item() == pytest.approx(4 / 5, abs=0.01)


class WithIdle(torch.nn.Module):
    """A network with a weight that nothing uses."""

    def __init__(self):
        super().__init__()
        self.net, self.idle = mlp(1, 5, 1, activation=torch.nn.Tanh), torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.net(x)


def test_an_unused_weight_has_no_curvature_and_changes_none():
    plain, data = small(), waves()
    model = Model(WithIdle(), mse_loss).double()
    order = [name.removeprefix("net.") for name in model.names]
    assert order[0] == "idle"
    v = random_vector(model, 3)
    for product in (hessian_product, gauss_newton_product):
        found, expected = product(model, data, v), product(plain, data, v[1:])
        assert not found[0].any()
        assert distance(found[1:], expected) < 1e-13
    assert torch.isfinite(largest_curvature(model, data)).all()


def test_a_linear_loss_has_no_curvature_in_its_outputs():
    model = Model(linear([0.5]), lambda y_hat, y: y_hat.mean())
    data, v = Quadratics([1.0], [0.0]).all().support, (torch.ones(1, 1, 1).double(),)
    assert not gauss_newton_product(model, data, v)[0].any()
    assert not hessian_product(model, data, v)[0].any()


def test_rows_and_tuples_of_gradients_are_alike():
    parts = (torch.arange(6.0).view(3, 2), torch.arange(12.0).view(3, 2, 2))
    rows = torch.cat([part.flatten(1) for part in parts], 1)
    assert alignment(rows) == alignment(parts)
    assert agreement(rows, rows.flip(0)) == agreement(parts, tuple(part.flip(0) for part in parts))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="v: expected a vector for each task"):
        hessian_product(small(), waves(), ())
    with pytest.raises(TypeError, match="tasks: expected one batch of Tasks, got Data"):
        meta_gradients(maml(small()), waves())
    with pytest.raises(ValueError, match="iterations: expected a whole number of at least 1, got 0"):
        largest_curvature(small(), waves(), iterations=0)


def test_a_row_of_meta_gradients_is_that_of_the_task_alone():
    learner = maml(small(), alpha=0.1, steps=2)
    tasks = Sinusoids(shots=6).draw(3, torch.Generator().manual_seed(0)).to(torch.float64)
    rows = meta_gradients(learner, tasks)
    for b in range(3):
        alone = torch.cat([g.flatten() for g in learner.meta_gradient(tasks.pick([b]))])
        torch.testing.assert_close(rows[b], alone, rtol=0, atol=1e-13)


def test_random_meta_gradients_are_seeded_and_leave_the_generator_alone():
    learner = MetaLearner(small(), GradientDescent(0.1, 2), EvolutionStrategies(2, 0.1))
    tasks = Sinusoids(shots=6).draw(3, torch.Generator().manual_seed(0)).to(torch.float64)
    before = torch.get_rng_state()
    rows = meta_gradients(learner, tasks, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(meta_gradients(learner, tasks, seed=1), rows)
    assert not torch.equal(meta_gradients(learner, tasks), rows)


def test_what_a_bowl_leaves_of_its_inner_gradient():
    """Each pulled step leaves 1 - alpha (h + lam) of it."""
    model, bowls = Model(linear([0.5]), half_squared_error), Quadratics([1.0, 3.0], optima=[0.0, 1.0])
    left = unsolved(MetaLearner(model, GradientDescent(0.1, 4, lam=2.0)), bowls.all())
    # At theta itself the pull has no gradient; it begins with the first step.
    expected = [abs(_pulled(h, c, 4)) / abs(h * (0.5 - c)) for h, c in ((1.0, 0.0), (3.0, 1.0))]
    torch.testing.assert_close(left, torch.tensor(expected, dtype=left.dtype), rtol=1e-5, atol=0)
    assert unsolved(MetaLearner(model, GradientDescent(0.1, 400, lam=2.0)), bowls.all()).max() < 1e-5


def _pulled(h, c, steps, alpha=0.1, lam=2.0, theta=0.5):
    phi = theta
    for _ in range(steps):
        phi -= alpha * (h * (phi - c) + lam * (phi - theta))
    return h * (phi - c) + lam * (phi - theta)
