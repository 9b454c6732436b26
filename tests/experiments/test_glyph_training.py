"""The training of glyphs: its command, and that it begins as the stored one did."""

import pytest
import torch

from experiments import glyph_training as experiment
from mamlbook import fit
from mamlbook.pages import recall
from mamlbook.tasks.glyph_pool import glyph_split, glyphs
from mamlbook.tasks.images import Episodes


def test_the_command_records_every_seed(tmp_path, capsys):
    words = ["--seeds", "2", "--iterations", "20", "--test_tasks", "2", "--results", str(tmp_path)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(experiment, "TASKS", 1)
        patched.setattr(experiment, "FILTERS", 2)
        experiment.main(words)
    assert str(tmp_path / "glyphs-5w1s-maml-cpu.json") in capsys.readouterr().out
    runs = recall("glyphs-5w1s-maml-cpu", folder=tmp_path)["runs"]
    assert list(runs) == ["0", "1"]
    for run in runs.values():
        assert torch.tensor(run["accuracy"]).shape == (experiment.TEST_STEPS + 1, 2)
        assert len(run["loss"]) == 1


def test_what_is_stored_is_of_this_training():
    stored = recall("glyphs-5w1s-maml-cpu")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert stored["training"]["configuration"] == str(experiment.learner(0))
    for run in stored["runs"].values():
        assert len(run["loss"]) == experiment.ITERATIONS // experiment.WINDOW
        (at_start, _), (after_one, half), *_ = run["accuracy"]
        assert at_start < 25 < 60 < after_one - half


def test_a_training_begins_as_the_stored_one_did():
    train = Episodes(glyph_split(glyphs())[0], experiment.WAYS, experiment.SHOTS, experiment.QUERIES)
    learner = experiment.learner(0)
    history = fit(learner, train, steps=experiment.WINDOW, tasks=experiment.TASKS, beta=experiment.BETA)
    stored = recall("glyphs-5w1s-maml-cpu")["runs"]["0"]["loss"][0]
    assert sum(history.losses) / experiment.WINDOW == pytest.approx(stored, rel=0.02)
