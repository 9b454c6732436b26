"""Shorter formats: the command, errors against other ways to compute them, and what is stored."""

import math

import pytest
import torch

from experiments import precision as experiment
from experiments.precision import DOUBLE, FORMATS, GLYPHS, WAVES, Format, errors, gradient
from mamlbook import Sinusoids, maml
from mamlbook.model import Model
from mamlbook.pages import recall


def waves(tasks=3):
    return Sinusoids(shots=10).draw(tasks, torch.Generator().manual_seed(0))


def test_the_gradient_of_a_format_is_the_learners():
    found = gradient(WAVES.network(0), WAVES, "maml", 2, waves(), DOUBLE)
    learner = maml(Model(WAVES.network(0).double(), WAVES.loss), WAVES.alpha, 2)
    expected = torch.cat([g.flatten() for g in learner.meta_gradient(waves().to(torch.float64))])
    assert torch.equal(found, expected)


def test_without_inner_steps_both_orders_are_the_plain_gradient():
    one, other = (gradient(WAVES.network(0), WAVES, order, 0, waves(), Format()) for order in experiment.ORDERS)
    assert torch.equal(one, other)


def test_errors_grow_from_format_to_format():
    field = WAVES._replace(steps=[0, 1])
    found = errors(lambda: field.network(0), field, [waves()])
    for table in found.values():
        assert list(table) == list(FORMATS)
        for step in range(2):
            exact, tensor_core, seven, whole = (table[name][step] for name in FORMATS)
            assert exact < 1e-5 < tensor_core < min(seven, whole)


def test_the_command_records_every_format(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 2)
    for name in ("WAVES", "GLYPHS"):
        small = getattr(experiment, name)._replace(steps=[0], tasks=2)
        monkeypatch.setattr(experiment, name, small)
    experiment.main(["--draws", "1", "--seeds", "2", "--iterations", "1", "--results", str(tmp_path)])
    assert str(tmp_path / "precision.json") in capsys.readouterr().out
    stored = recall("precision", folder=tmp_path)
    for table in stored["trained"].values():
        assert {name: torch.tensor(rows).shape for name, rows in table.items()} == dict.fromkeys(FORMATS, (2, 6))
    assert set(stored["best rates"]) == set(experiment.SEARCHED)
    # The parts that are not asked for stay as they are.
    experiment.main(["--parts", "trained", "--seeds", "1", "--iterations", "1", "--results", str(tmp_path)])
    again = recall("precision", folder=tmp_path)
    assert {part: again[part] == stored[part] for part in ("errors", "trained", "best rates")} == {
        "errors": True,
        "trained": False,
        "best rates": True,
    }


def test_the_best_rate_is_chosen_from_other_seeds_on_other_tasks(monkeypatch):
    asked = []

    def trained(*given, betas, tested=1):
        seeds = given[4]
        asked.append((list(seeds), tested))
        return torch.tensor([[9.0, abs(beta - 3e-3)] for beta in betas])

    monkeypatch.setattr(experiment, "trained", trained)
    found = experiment.at_best_rates((WAVES, None, None), 2, 1)
    for run in found.values():
        assert run["beta"] == 3e-3
        assert run["errors"] == [[9.0, 0.0]] * 2
        assert torch.tensor(run["search"]).shape == (len(experiment.BETAS), len(experiment.SEARCH_SEEDS))
    (searched, other), (reported, own) = asked[:2]
    assert not set(searched) & set(reported)
    assert own != other


def test_what_is_stored_belongs_to_the_fields():
    stored = recall("precision")
    assert stored["steps"] == {"waves": WAVES.steps, "trained waves": WAVES.steps, "glyphs": GLYPHS.steps}
    for name, field in (("waves", WAVES), ("glyphs", GLYPHS)):
        assert stored["training"][name] == {n: getattr(field, n) for n in ("seeds", "iterations", "tasks")}
        for rows in stored["trained"][name].values():
            assert torch.tensor(rows).shape == (field.seeds, experiment.TEST_STEPS + 1)
    assert list(stored["trained"]["waves"]) == list(stored["trained"]["glyphs"]) == list(FORMATS)
    assert list(stored["best rates"]) == list(experiment.SEARCHED)
    for run in stored["best rates"].values():
        lost = torch.tensor([[math.inf if error is None else error for error in tried] for tried in run["search"]])
        best = lost.mean(1).argmin()
        assert run["beta"] == experiment.BETAS[best]
        assert 0 < best < len(experiment.BETAS) - 1, "the best rate is at an end"
        assert torch.tensor(run["errors"]).shape == (WAVES.seeds, experiment.TEST_STEPS + 1)


@pytest.mark.parametrize("order", experiment.ORDERS)
def test_stored_errors_are_found_again(order):
    generator = torch.Generator().manual_seed(0)
    draws = [Sinusoids(shots=10).draw(WAVES.tasks, generator) for _ in range(experiment.DRAWS)]
    field = WAVES._replace(steps=[1])
    found = errors(lambda: field.network(0), field, draws)[order]
    for name in ("TF32", "bfloat16 products"):
        assert found[name][0] == pytest.approx(recall("precision")["errors"]["waves"][order][name][1], rel=0.3)
