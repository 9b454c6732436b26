"""The Bayesian questions on waves: the command, its tasks and its variances, and what is stored measured again."""

import json
import math

import numpy as np
import pytest
import torch

from experiments import bayes
from mamlbook import Model, Sinusoids, maml
from mamlbook.pages import recall
from mamlbook.tasks import Data, Tasks


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small(monkeypatch):
    """Few tasks, sizes and settings."""
    few = {"CHOICE_TASKS": 4, "TEST_TASKS": 5, "SIZES": (2, 3), "WIDTHS": (1.0, 2.0), "SPREADS": (0.0, 0.1)}
    for name, value in few.items():
        monkeypatch.setattr(bayes, name, value)


def test_the_command_records_every_part(tmp_path, capsys, small):
    words = ["--seeds", "2", "--sure", "5", "--split", "2", "--codes", "2", "--execution", "eager"]
    bayes.main([*words, "--results", str(tmp_path)])
    assert str(tmp_path / "bayes.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "bayes.json").read_text())
    assert {method: len(runs) for method, runs in stored["sure"].items()} == dict.fromkeys(
        ("exact", "point", "laplace", "ensemble"), 2
    )
    for name in ("split", "not split"):
        assert set(stored["tasks"][name]) == {"2", "3"}
        assert all(len(runs["error"]) == 2 == len(runs["rate"]) for runs in stored["tasks"][name].values())
    assert set(stored["codes"]) == set(bayes.KINDS)
    assert all(len(errors) == 6 for runs in stored["codes"].values() for row in runs.values() for errors in row)


def test_few_waves_are_the_beginning_of_more_and_the_same_points_split_or_not():
    drawn = {}
    for split in (True, False):
        waves = bayes.FewWaves(split)
        drawn[split] = [waves.draw(200, generator(bayes.APART * size + 3)) for size in (0, 1)]
    small, large = ({tuple(row) for row in tasks.support.x[..., 0].tolist()} for tasks in drawn[True])
    assert len(small) == bayes.SIZES[0] < len(large) <= bayes.SIZES[1]
    assert small < large
    halves, whole = drawn[True][0], drawn[False][0]
    torch.testing.assert_close(torch.cat([halves.support.y, halves.query.y], 1), whole.support.y)
    assert torch.equal(whole.support.x, whole.query.x)


def test_codes_tell_the_wave_nothing_or_a_random_number():
    waves, drawn = bayes.CodedWaves(), {}
    for setting, kind in enumerate(bayes.KINDS):
        tasks = waves.draw(400, generator(bayes.APART * setting + 1))
        code, point = tasks.support.x[:, 0, 1:], tasks.support.x[..., :1]
        drawn[kind] = code
        # y = a sin x + b cos x, whatever the code says.
        basis = torch.cat([point.sin(), point.cos()], 2)
        wave = torch.linalg.lstsq(basis, tasks.support.y).solution[..., 0]
        kinds = {tuple(row) for row in (10 * wave).round().int().tolist()}
        assert 15 <= len(kinds) <= bayes.CODES
        if kind == "own code":
            number = code.argmax(1)
            for n in range(bayes.CODES):
                torch.testing.assert_close(wave[number == n], wave[number == n][:1].expand((number == n).sum(), 2))
    assert not drawn["no code"].any()
    assert (drawn["shuffled code"].sum(1) == 1).all()
    new = bayes.CodedWaves(new="own code").draw(50, generator(0))
    assert len({tuple(row) for row in new.support.y[..., 0].tolist()}) == 50


def test_the_laplace_variance_is_that_of_a_linear_regression():
    # For a linear network the approximation is exact: NumPy's posterior covariance of its two weights.
    x, xq = torch.randn(1, 4, 2, generator=generator(0)), torch.randn(1, 3, 2, generator=generator(1))
    tasks = Tasks(Data(x, x[..., :1]), Data(xq, xq[..., :1]))
    spread, width = 0.7, 0.4
    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Identity())
    one, two = x[0].numpy(), xq[0].numpy()
    one, two = (np.concatenate([points, np.ones((len(points), 1))], 1) for points in (one, two))
    covariance = np.linalg.inv(one.T @ one / width**2 + np.eye(3) / spread)
    expected = np.einsum("ki,ij,kj->k", two, covariance, two)
    learner = maml(Model(net, torch.nn.functional.mse_loss), 0.01, 1)
    found = bayes.laplace_variance(bayes.kernels(learner, tasks), spread, width)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert not bayes.laplace_variance(bayes.kernels(learner, tasks), 0.0, width).any()


def test_the_exact_posterior_finds_the_wave_and_covers_what_it_promises():
    waves = bayes.NoisyWaves(Sinusoids(shots=80, queries=20), bayes.NOISE)
    nll, place = bayes.exact_scores(waves.draw(100, generator(0)))
    # With 80 points the wave is known, and what is left is the entropy of the noise.
    assert nll.mean().item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e * bayes.NOISE**2), abs=0.06)
    assert ((place - 0.5).abs() < 0.475).double().mean().item() == pytest.approx(0.95, abs=0.015)


def test_the_stored_numbers_of_the_exact_posterior_are_measured_again():
    stored = recall("bayes")
    waves = bayes.NoisyWaves(Sinusoids(shots=bayes.SHOTS, queries=bayes.QUERIES), bayes.NOISE)
    for seed in stored["seeds"][:2]:
        test = waves.draw(bayes.TEST_TASKS, generator(40_000 + seed))
        again = bayes.summary(bayes.exact_scores(test), test)
        assert again == pytest.approx(stored["sure"]["exact"][seed], rel=1e-3)


def test_what_is_stored_is_the_full_protocol():
    stored = recall("bayes")
    assert stored["seeds"] == list(range(bayes.SEEDS))
    steps = {"one start": bayes.SURE_STEPS, "member": bayes.SURE_STEPS // bayes.MEMBERS}
    assert stored["training"]["meta-steps"] == steps | {"tasks": bayes.SPLIT_STEPS, "codes": bayes.CODE_STEPS}
    # The exact posterior cannot be beaten on average.
    nll = {method: np.mean([run["nll"] for run in runs]) for method, runs in stored["sure"].items()}
    assert min(nll, key=nll.get) == "exact"
