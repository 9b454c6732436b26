"""Families made to share features, or not: what they draw is what they say, and how many features they span."""

import pytest
import torch

from mamlbook.tasks.features import OwnFeatures, SharedFeatures


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", [SharedFeatures, OwnFeatures])
def test_shapes_domain_and_scale(family):
    support, query, index = family(shots=6, queries=9).draw(4000, generator())
    assert support.x.shape == (4000, 6, 3)
    assert query.x.shape == (4000, 9, 3)
    assert support.y.shape == (4000, 6, 1)
    assert (index == -1).all()
    assert -1 <= query.x.min() < -0.99 < 0.99 < query.x.max() <= 1
    assert query.y.square().mean().item() == pytest.approx(4.5, rel=0.15)


def test_shared_features_span_as_many_dimensions_as_there_are_features():
    # Whatever the task, y is a head on cos(3 <v_j, x>) with the same v_j: four columns explain it exactly.
    family = SharedFeatures(shots=40, queries=1)
    directions = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator()), dim=1).double()
    support = family.draw(20, generator(3)).support
    features = torch.cos(3 * support.x.double() @ directions.T)
    solved = torch.linalg.lstsq(features, support.y.double())
    assert (features @ solved.solution - support.y).abs().max() < 1e-5


def test_own_features_are_ridges_along_unit_directions():
    family = OwnFeatures(shots=3000, queries=1)
    support = family.draw(2, generator()).support
    for x, y in zip(support.x, support.y, strict=True):
        candidates = torch.nn.functional.normalize(torch.randn(20_000, 3, generator=generator(1)), dim=1)
        errors = (3 * torch.cos(3 * x[:300] @ candidates.T) - y[:300]).square().mean(0)
        assert errors.min() < 0.05 < errors.median()


def test_no_four_features_serve_all_tasks_of_the_second_family():
    """At the same points, 200 tasks span four dimensions in the first family and many in the second."""
    x = 2 * torch.rand(100, 3, generator=generator(), dtype=torch.float64) - 1
    own = torch.nn.functional.normalize(torch.randn(200, 3, generator=generator(2), dtype=torch.float64), dim=1)
    spread = torch.linalg.svdvals(3 * torch.cos(3 * x @ own.T))
    assert (spread > 0.05 * spread[0]).sum() > 8


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="shots: expected a whole number of at least 1, got 0"):
        OwnFeatures(shots=0)
    with pytest.raises(ValueError, match="dimension: expected a whole number of at least 1, got 0"):
        OwnFeatures(dimension=0)
    with pytest.raises(ValueError, match="features: expected a whole number of at least 1, got 0"):
        SharedFeatures(features=0)
