"""The alignment experiment: its command, what it measures, and the stored beginning measured again."""

import json

import pytest
import torch

from experiments import alignment as experiment
from mamlbook.pages import recall


def test_the_command_follows_every_seed(tmp_path, capsys):
    experiment.main(["--seeds", "2", "--checkpoints", "0", "2", "5", "--results", str(tmp_path)])
    assert str(tmp_path / "alignment.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "alignment.json").read_text())
    assert stored["checkpoints"] == [0, 2, 5]
    assert stored["seeds"] == [0, 1]
    for run in stored["runs"].values():
        assert set(run) == {"between", "within", "product", "loss_0", "loss_1"}
        assert all(len(rows) == 2 and {len(row) for row in rows} == {3} for rows in run.values())
    # Before training there is nothing to tell the algorithms apart, afterwards there is.
    maml, joint = (torch.tensor(stored["runs"][name]["within"]) for name in ("maml", "joint"))
    assert torch.equal(maml[:, 0], joint[:, 0])
    assert not torch.equal(maml[:, 2], joint[:, 2])


def test_checkpoints_on_the_way_change_nothing():
    device = torch.device("cpu")
    assert experiment.follow("maml", 0, (2, 5), device)[1] == experiment.follow("maml", 0, (5,), device)[0]


@pytest.mark.parametrize("name", experiment.ALGORITHM_NAMES)
def test_what_is_stored_is_measured_again(name):
    stored = recall("alignment")
    assert tuple(stored["checkpoints"]) == experiment.CHECKPOINTS
    assert stored["seeds"] == list(range(experiment.SEEDS))
    assert stored["training"]["configuration"][name] == str(experiment.untrained(name, 0))
    fresh = experiment.follow(name, 4, experiment.CHECKPOINTS[:3], torch.device("cpu"))
    for quantity, rows in stored["runs"][name].items():
        assert [point[quantity] for point in fresh] == pytest.approx(rows[4][:3], rel=2e-3)
