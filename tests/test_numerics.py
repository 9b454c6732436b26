"""Conjugate gradients for many tasks at once, against a direct solver."""

import math

import pytest
import torch

from mamlbook.numerics import conjugate_gradient, distance


def matrices(eigenvalues, seed=0):
    """Symmetric matrices with given eigenvalues, (B, n) to (B, n, n), in random directions."""
    values = torch.tensor(eigenvalues, dtype=torch.float64)
    noise = torch.randn(
        *values.shape, values.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    q, _ = torch.linalg.qr(noise)
    return q @ torch.diag_embed(values) @ q.mT


def right_side(tasks, n, seed=1):
    """The same numbers as two tensors of different shapes, as the weights of a layer have them, and as one vector."""
    b = torch.randn(tasks, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (b[:, : n - 4].reshape(tasks, -1), b[:, n - 4 :].reshape(tasks, 2, 2)), b


def product(a):
    n = a.shape[-1]

    def multiply(v):
        turned = (a @ torch.cat([part.flatten(1) for part in v], 1)[..., None])[..., 0]
        return turned[:, : n - 4], turned[:, n - 4 :].reshape(-1, 2, 2)

    return multiply


def flat(x):
    return torch.cat([part.flatten(1) for part in x], 1)


def test_it_solves_what_a_direct_solver_solves():
    a = matrices([[1, 2, 3, 4, 5, 6], [0.1, 0.1, 2, 2, 50, 50]])
    b, vector = right_side(2, 6)
    solution = conjugate_gradient(product(a), b, 6)
    torch.testing.assert_close(flat(solution.x), torch.linalg.solve(a, vector), rtol=0, atol=1e-10)
    assert not solution.indefinite.any()


def test_it_is_exact_after_as_many_iterations_as_there_are_eigenvalues():
    a = matrices([[1, 1, 1, 7, 7, 7], [3, 3, 3, 3, 9, 9]])
    b, vector = right_side(2, 6)
    torch.testing.assert_close(
        flat(conjugate_gradient(product(a), b, 2).x), torch.linalg.solve(a, vector), rtol=0, atol=1e-12
    )
    assert distance([flat(conjugate_gradient(product(a), b, 1).x)], [torch.linalg.solve(a, vector)]) > 1e-3


def test_more_iterations_than_needed_do_no_harm():
    a = matrices([[1, 1, 1, 7, 7, 7]])
    b, vector = right_side(1, 6)
    for iterations in (3, 20, 100):
        x = flat(conjugate_gradient(product(a), b, iterations).x)
        torch.testing.assert_close(x, torch.linalg.solve(a, vector), rtol=0, atol=1e-12)


def test_negative_curvature_stops_that_task_alone_and_is_reported():
    a = matrices([[1, 2, 3, 4, 5, 6], [-1, 2, 3, 4, 5, 6], [-1, -2, -3, -4, -5, -6]])
    b, vector = right_side(3, 6)
    solution = conjugate_gradient(product(a), b, 12)
    assert solution.indefinite.tolist() == [False, True, True]
    torch.testing.assert_close(flat(solution.x)[0], torch.linalg.solve(a[0], vector[0]), rtol=0, atol=1e-10)
    assert flat(solution.x)[2].abs().max() == 0  # the very first direction bends down: x is still where it began
    assert flat(solution.x).isfinite().all()


def test_up_to_the_stop_it_is_the_textbook_iteration():
    a = matrices([[-1, 2, 3, 4, 5, 6]])
    b, vector = right_side(1, 6)
    x, r, p = torch.zeros(6, dtype=torch.float64), vector[0], vector[0]
    while p @ a[0] @ p > 0:  # one task, plain loops
        step = r @ r / (p @ a[0] @ p)
        x, r, before = x + step * p, r - step * a[0] @ p, r @ r
        p = r + r @ r / before * p
    assert x.abs().max() > 0
    torch.testing.assert_close(flat(conjugate_gradient(product(a), b, 30).x)[0], x, rtol=0, atol=1e-12)


def test_a_batch_equals_its_tasks_one_by_one():
    a = matrices([[1, 2, 3, 4, 5, 6], [-1, 2, 3, 4, 5, 6], [0.1, 1, 1, 1, 1, 100]])
    b, _ = right_side(3, 6)
    together = conjugate_gradient(product(a), b, 4)
    for task in range(3):
        alone = conjugate_gradient(product(a[task : task + 1]), tuple(part[task : task + 1] for part in b), 4)
        assert distance([flat(alone.x)[0]], [flat(together.x)[task]]) < 1e-13
        assert alone.indefinite[0] == together.indefinite[task]


def test_nothing_to_solve():
    a = matrices([[1, 2, 3, 4, 5, 6]])
    zero = (torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, 2, 2, dtype=torch.float64))
    solution = conjugate_gradient(product(a), zero, 3)
    assert flat(solution.x).abs().max() == 0
    assert not solution.indefinite.any()


@pytest.mark.parametrize("iterations", [0, -1, 2.5, True])
def test_bad_iterations(iterations):
    with pytest.raises(ValueError, match="iterations: expected a whole number of at least 1"):
        conjugate_gradient(lambda v: v, (torch.ones(1, 2),), iterations)


def test_a_distance_to_nan_is_nan_wherever_it_stands():
    one, nothing = torch.ones(2), torch.tensor([0.0, torch.nan])
    for u in ((one, nothing), (nothing, one)):
        assert math.isnan(distance(u, (0 * one, 0 * one)))
    assert distance((one, torch.ones(0)), (3 * one, torch.ones(0))) == 2
    with pytest.raises(ValueError, match=r"^u, v: expected tuples.*got \(2,\) and \(2, 1\), of which"):
        distance((one,), (one[:, None],))
