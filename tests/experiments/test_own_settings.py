"""The fair comparison: every setting meets every rate, the best is followed beyond the end, fresh seeds report."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import own_settings
from experiments.own_settings import FURTHER, SEARCH_SEED, TEST, VALIDATION, Comparison, Plan
from mamlbook import Model, Sinusoids, maml, mlp

BETAS = (1e-3, 1e-2)


def build(seed, alpha=0.01):
    return maml(Model(mlp(1, 4, 1, seed=seed), mse_loss), alpha=alpha, steps=1)


def comparison(judge, seeds=2, betas=BETAS, **options):
    plan = Plan(betas, judge, {"first": lambda found: found[0]}, seeds, {"tasks": 2}, **options)
    return Comparison(build, Sinusoids(), 2, plan)


def test_the_best_of_all_settings_and_rates_is_measured_from_fresh_seeds_on_other_tasks():
    judged_on = []

    def judge(learner, seed):
        judged_on.append(seed)
        return torch.tensor([abs(learner.solver.alpha - 0.02), 7.0])

    found = comparison(judge).run([{"alpha": 0.01}, {"alpha": 0.02}])
    grid = [(entry["alpha"], entry["beta"]) for entry in found["search"]]
    assert grid[:4] == [(0.01, 1e-3), (0.01, 1e-2), (0.02, 1e-3), (0.02, 1e-2)]
    assert found["chosen"]["first"]["alpha"] == 0.02
    assert found["errors"]["first"] == [[0.0, 7.0]] * 2
    assert judged_on == [VALIDATION] * len(grid) + [TEST] * 2


def test_a_rate_at_the_end_is_followed_beyond_it_at_most_twice():
    learned = []

    def judge(learner, seed):
        learned.append(learner)
        return torch.tensor([-float(len(learned))])  # what is tried last is best

    rates = [entry["beta"] for entry in comparison(judge, seeds=1).run([{}])["search"]]
    assert rates == [*BETAS, 3e-2, 9e-2]
    assert len(rates) == len(BETAS) + FURTHER


@pytest.fixture
def untrained(monkeypatch):
    """No learner is trained: for a test whose judge looks at settings alone."""
    ended = SimpleNamespace(error=None)
    monkeypatch.setattr(own_settings, "fit_replicas", lambda learners, *given, **options: [ended] * len(learners))


def test_a_setting_at_the_end_is_followed_beyond_it_with_every_rate(untrained):
    def judge(learner, seed):
        return torch.tensor([abs(learner.solver.alpha - 0.03)])

    settings = [{"alpha": 0.003}, {"alpha": 0.01}]
    found = comparison(judge, follow=["alpha"]).run(settings)
    rates = {alpha: [e["beta"] for e in found["search"] if e["alpha"] == alpha] for alpha in (0.003, 0.01, 0.03, 0.09)}
    assert found["chosen"]["first"]["alpha"] == 0.03
    assert len(found["search"]) == sum(map(len, rates.values()))
    assert set(BETAS) <= set(rates[0.03]) & set(rates[0.09])
    assert {e["alpha"] for e in comparison(judge).run(settings)["search"]} == {0.003, 0.01}, "only what is asked for"


def test_one_bad_training_of_three_does_not_decide_which_rate_is_best(untrained):
    # By the first seed alone the small rate is best, and by the mean over the three the large one.
    judged = iter([1.0, 9.0, 9.0, 4.0, 4.0, 4.0] + [99.0] * 20)
    found = comparison(lambda learner, seed: torch.tensor([next(judged)]), search_seeds=(100, 101, 102)).run([{}])
    assert [entry["judged"] for entry in found["search"]][:2] == [[[1.0], [9.0], [9.0]], [[4.0]] * 3]
    assert found["chosen"]["first"]["beta"] == 1e-2


def test_a_training_that_comes_to_no_end_is_stored_as_such_and_never_chosen():
    found = comparison(lambda learner, seed: torch.tensor([1.0]), betas=(1e-3, 1e30)).run([{}])
    assert [entry["judged"] for entry in found["search"]][:2] == [[[1.0]], [None]]
    assert found["chosen"]["first"]["beta"] < 1
    assert SEARCH_SEED not in range(5)


def test_what_is_measured_is_what_fit_alone_trains():
    from mamlbook import evaluate, fit

    def judge(learner, seed):
        return evaluate(learner, Sinusoids(), tasks=3, seed=seed, progress=False).mean(0)

    found = comparison(judge).run([{"alpha": 0.01}])
    alone = build(1)
    fit(alone, Sinusoids(), steps=2, tasks=2, beta=found["chosen"]["first"]["beta"], seed=1, progress=False)
    assert found["errors"]["first"][1] == pytest.approx(judge(alone, TEST).tolist(), rel=1e-3)
