"""Lines, square waves and mixtures: what they draw is what they say, at the scale of the sine waves."""

import math

import pytest
import torch

from mamlbook import Sinusoids
from mamlbook.tasks import DriftingTasks, FixedTasks, Lines, Mixture, Quadratics, Signs, SquareWaves

FAMILIES = [Sinusoids, Lines, SquareWaves]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_same_domain_shape_and_scale(family):
    support, query, index = family(shots=10, queries=15).draw(8000, generator())
    assert support.x.shape == support.y.shape == (8000, 10, 1)
    assert query.x.shape == query.y.shape == (8000, 15, 1)
    assert (index == -1).all()
    assert -5 <= query.x.min() < -4.9 < 4.9 < query.x.max() <= 5
    assert query.y.square().mean().item() == pytest.approx(4.2, rel=0.06)


def test_support_and_query_lie_on_one_line():
    support, query, _ = Lines(shots=5, queries=7, slope=(-1, 2), intercept=(3, 4)).draw(500, generator())
    slope, intercept = line_through(support)
    torch.testing.assert_close(slope * query.x[..., 0] + intercept, query.y[..., 0], rtol=0, atol=1e-3)
    assert -1.001 <= slope.min() < -0.9 < 1.9 < slope.max() <= 2.001
    assert 2.999 <= intercept.min() < 3.1 < 3.9 < intercept.max() <= 4.001


def test_signs_are_the_sides_of_the_curve():
    curves, classes = (family.draw(3, generator()) for family in (Sinusoids(), Signs(Sinusoids())))
    for curve, labelled in zip(curves[:2], classes[:2], strict=True):
        assert torch.equal(curve.x, labelled.x)
        assert torch.equal(labelled.y, (curve.y[..., 0] > 0).long())
    assert repr(Signs(Sinusoids())) == f"Signs({Sinusoids()!r})"


def line_through(data):
    """The slope and intercept of each task by least squares, in double precision."""
    x, y = (t.double() for t in data)
    solved = torch.linalg.lstsq(torch.cat([x, torch.ones_like(x)], -1), y).solution
    return solved[:, :1, 0].float(), solved[:, 1:, 0].float()


def test_a_square_wave_is_the_sign_of_a_sine_wave():
    support, query, _ = SquareWaves(shots=200, queries=200, amplitude=(1, 2), phase=(0.5, 0.5)).draw(50, generator())
    for data in (support, query):
        assert torch.equal(data.y.sign(), torch.sin(data.x - 0.5).sign())
    levels = torch.cat([support.y, query.y], 1).abs()
    torch.testing.assert_close(levels, levels[:, :1].expand_as(levels))
    assert 1 <= levels.min() < 1.1 < 1.9 < levels.max() <= 2


def test_a_mixture_keeps_its_shares_and_its_tasks_whole():
    parts = [Lines(slope=(0, 0), intercept=(c, c), shots=3, queries=4) for c in (1.0, 2.0, 3.0)]
    support, query, index = Mixture(parts, [2, 1, 0]).draw(20_000, generator())
    assert support.x.shape == (20_000, 3, 1)
    assert query.y.shape == (20_000, 4, 1)
    assert (index == -1).all()
    levels = support.y[:, 0, 0]
    assert torch.equal(support.y, levels[:, None, None].expand_as(support.y))
    assert torch.equal(query.y, levels[:, None, None].expand_as(query.y))
    assert (levels == 1).double().mean().item() == pytest.approx(2 / 3, abs=0.02)
    assert not (levels == 3).any()
    # Neighbours are independent: the families are not handed out in blocks.
    both = ((levels[:-1] == 1) & (levels[1:] == 1)).double().mean().item()
    assert both == pytest.approx(4 / 9, abs=0.02)


def test_equal_shares_are_the_default_and_the_seed_decides():
    mixture = Mixture([Sinusoids(), Lines(), SquareWaves()])
    assert mixture.shares == (1, 1, 1)
    first, again, other = (mixture.draw(6, generator(seed)).query.y for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert repr(mixture).startswith("Mixture(1 Sinusoids(")


def test_a_mixture_of_one_draws_what_its_part_draws():
    drawn = Mixture([Lines()]).draw(4, generator())
    slope, intercept = line_through(drawn.support)
    torch.testing.assert_close(slope * drawn.query.x[..., 0] + intercept, drawn.query.y[..., 0], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("family", "options", "name"),
    [
        (Lines, {"shots": 0}, "shots"),
        (Lines, {"slope": (1, -1)}, "slope"),
        (Lines, {"intercept": (0, math.nan)}, "intercept"),
        (SquareWaves, {"queries": 0}, "queries"),
        (SquareWaves, {"amplitude": (2, 1)}, "amplitude"),
        (SquareWaves, {"domain": (2, 1)}, "domain"),
    ],
)
def test_bad_families(family, options, name):
    with pytest.raises(ValueError, match=f"{name}.*: expected"):
        family(**options)


@pytest.mark.parametrize(
    ("parts", "shares"), [([], None), ([Lines()], [1, 2]), ([Lines()], [-1]), ([Lines()], [0]), ([Lines()], [math.nan])]
)
def test_bad_shares(parts, shares):
    with pytest.raises(ValueError, match="shares: expected"):
        Mixture(parts, shares)


def test_a_mixture_refuses_finite_collections_and_different_shapes():
    four = FixedTasks(Sinusoids().draw(4, generator()))
    for finite in (four, Quadratics([1.0, 2.0], [0.0, 1.0])):
        with pytest.raises(ValueError, match=r"never run out of tasks, got .*a finite collection"):
            Mixture([finite]).draw(2, generator())
    with pytest.raises(ValueError, match="distributions: expected tasks of one shape"):
        Mixture([Lines(shots=3), Sinusoids(shots=5)]).draw(50, generator())


def test_every_draw_of_drifting_tasks_is_one_step_on():
    tasks = DriftingTasks(lambda t: Lines(slope=(t, t), intercept=(0, 0)))
    assert tasks.now == Lines(slope=(0, 0), intercept=(0, 0))
    for step in (1, 2, 3):
        support = tasks.draw(2, generator()).support
        assert tasks.drawn == step
        assert torch.equal(support.y, step * support.x)
        # Looking at the present moves nothing.
        assert torch.equal(tasks.now.draw(2, generator()).support.y, support.y)
    assert repr(tasks).startswith("DriftingTasks(from Lines(")
