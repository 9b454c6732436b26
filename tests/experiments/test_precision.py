"""Shorter formats: the command, errors against other ways to compute them, and what is stored."""

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


def test_what_is_stored_belongs_to_the_fields():
    stored = recall("precision")
    assert stored["steps"] == {"waves": WAVES.steps, "trained waves": WAVES.steps, "glyphs": GLYPHS.steps}
    for name, field in (("waves", WAVES), ("glyphs", GLYPHS)):
        assert stored["training"][name] == {n: getattr(field, n) for n in ("seeds", "iterations", "tasks")}
        for rows in stored["trained"][name].values():
            assert torch.tensor(rows).shape == (field.seeds, experiment.TEST_STEPS + 1)
    assert list(stored["trained"]["waves"]) == list(stored["trained"]["glyphs"]) == list(FORMATS)


@pytest.mark.parametrize("order", experiment.ORDERS)
def test_stored_errors_are_found_again(order):
    generator = torch.Generator().manual_seed(0)
    draws = [Sinusoids(shots=10).draw(WAVES.tasks, generator) for _ in range(experiment.DRAWS)]
    field = WAVES._replace(steps=[1])
    found = errors(lambda: field.network(0), field, draws)[order]
    for name in ("TF32", "bfloat16 products"):
        assert found[name][0] == pytest.approx(recall("precision")["errors"]["waves"][order][name][1], rel=0.3)
