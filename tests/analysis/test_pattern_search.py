"""The search for the cheapest pattern: what it counts, what it tolerates, and that nothing cheaper was allowed."""

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import sine_model
from mamlbook import GradientDescent, MetaLearner, Model, Sinusoids, fit, maml, mlp
from mamlbook.algorithms import dropgrad
from mamlbook.analysis.pattern_search import candidates, measure, restricted, search

WAVES = Sinusoids(shots=10, queries=20)
SIZES = (40, 40 * 40, 40)  # multiplications of each layer for one example


def learner(steps=2):
    return maml(Model(mlp(1, 40, 40, 1, seed=0), mse_loss), 0.01, steps)


def tasks(count=3):
    return WAVES.draw(count, torch.Generator().manual_seed(0))


def by_hand(row):
    """Forward through all; back through every layer above the lowest that adapts; and each of those for its weights."""
    lowest = row.index("1")
    pass_on = sum(SIZES[lowest + 1 :])
    return 2 * (sum(SIZES) + pass_on + sum(size for size, sign in zip(SIZES, row, strict=True) if sign == "1"))


@pytest.mark.parametrize("row", ["111", "011", "001", "110", "101", "100", "010"])
def test_the_arithmetic_of_a_step_by_hand(row):
    assert measure(learner(steps=1), (row,), tasks()).operations == 3 * 10 * by_hand(row)


def test_skipping_the_middle_layer_saves_a_third_and_everything_below_the_head_two():
    # The wide layer is nearly all of the work, a third of it each for: forward, back to its inputs, its own weights.
    full, middle, head = (measure(learner(), (row,), tasks()).operations for row in ("111", "101", "001"))
    assert middle / full == pytest.approx(2 / 3, abs=0.02)
    assert head / full == pytest.approx(1 / 3, abs=0.02)


def test_the_winner_is_the_cheapest_that_is_tolerated():
    trained = learner()
    fit(trained, WAVES, steps=200, tasks=10)
    found = search(trained, WAVES, candidates(trained.model, 2), tolerance=0.1, tasks=50)
    assert len(found.table) == 49
    assert found.best.loss <= 1.1 * found.full.loss
    assert all(m.loss > 1.1 * found.full.loss for m in found.table if m.operations < found.best.operations)
    assert found.full == measure(trained, ("111",), WAVES.draw(50, torch.Generator().manual_seed(1)))
    generous = search(trained, WAVES, candidates(trained.model, 2), tolerance=100, tasks=50)
    assert generous.best.rows == ("001", "001")
    strict = search(trained, WAVES, [("001",)], tolerance=0.0, tasks=50)
    assert strict.best == strict.full


def test_a_restricted_learner_keeps_everything_else():
    old = dropgrad(sine_model(), 0.05, 3, p=0.2)
    new = restricted(old, "001")
    assert new.model is old.model
    assert (new.solver.alpha, new.solver.steps) == (0.05, 3)
    assert new.solver.transforms[0] is old.solver.transforms[0]
    assert "LambdaPattern(001)" in str(new)


def test_candidates_are_all_combinations():
    model = sine_model()
    assert len(candidates(model, 3)) == 343
    assert candidates(model, 2, ["111", "001"]) == [("111", "111"), ("111", "001"), ("001", "111"), ("001", "001")]


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="steps: expected a whole number of at least 1"):
        candidates(sine_model(), 0)
    with pytest.raises(ValueError, match=r"rows: expected at most 1,000,000 patterns, got 7\^30; give"):
        candidates(sine_model(), 30)
    with pytest.raises(ValueError, match="tasks: expected a whole number of at least 1"):
        search(learner(), WAVES, [], tasks=0)
    with pytest.raises(ValueError, match="tolerance: expected a share of the loss"):
        search(learner(), WAVES, [], tolerance=-1.0)
    with pytest.raises(ValueError, match="rows: expected strings of 3 signs"):
        search(learner(), WAVES, [("11",)])

    class Elsewhere(GradientDescent.__base__):
        path = None

    with pytest.raises(TypeError, match="learner: expected one that takes gradient steps, got the solver Elsewhere"):
        restricted(MetaLearner(sine_model(), Elsewhere()), "111")
