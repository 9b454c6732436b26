"""Meta-training that can be stopped and resumed, and its errors."""

import itertools

import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import Model, Sinusoids, fit, linear, maml, mlp
from mamlbook.execution.process_group import Group
from mamlbook.tasks.quadratic import Quadratics, half_squared_error
from mamlbook.training import History, NonFiniteLoss, pick_device

WAVES = Sinusoids(shots=5, queries=5)


def learner(alpha=0.01, seed=0):
    return maml(Model(mlp(1, 8, 1, seed=seed), mse_loss), alpha, 2)


class Interrupted(Exception):
    pass


class BreaksAfter:
    """A distribution that fails in the middle of a run, as a power cut would."""

    def __init__(self, draws):
        self.left = draws

    def draw(self, tasks, generator):
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        return WAVES.draw(tasks, generator)

    def __repr__(self):
        return repr(WAVES)


def test_resuming_continues_bit_for_bit(tmp_path):
    whole = learner()
    expected = fit(whole, WAVES, steps=25, tasks=3, every=5)
    stopped, checkpoint = learner(), tmp_path / "folder" / "run.pt"
    with pytest.raises(Interrupted):
        fit(stopped, BreaksAfter(13), steps=25, tasks=3, every=5, checkpoint=checkpoint)
    fresh = learner(seed=9)
    history = fit(fresh, WAVES, steps=25, tasks=3, every=5, checkpoint=checkpoint, resume=True)
    assert history.losses == expected.losses
    assert all(torch.equal(a, b) for a, b in zip(whole.model.theta, fresh.model.theta, strict=True))
    assert [file.name for file in checkpoint.parent.iterdir()] == ["run.pt"]


def test_resuming_with_dropout_and_a_schedule_continues_bit_for_bit(tmp_path):
    def build():
        net = torch.nn.Sequential(mlp(1, 8, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
        torch.nn.init.constant_(net[2].weight, 0.1)
        torch.nn.init.zeros_(net[2].bias)
        return maml(Model(net, mse_loss), 0.01, 1)

    rate = lambda step: 1e-3 * (1 - step / 20)  # noqa: E731
    torch.manual_seed(0)
    expected = fit(build(), WAVES, steps=20, tasks=3, beta=rate, every=5)
    torch.manual_seed(0)
    with pytest.raises(Interrupted):
        fit(build(), BreaksAfter(11), steps=20, tasks=3, beta=rate, every=5, checkpoint=tmp_path / "run.pt")
    torch.manual_seed(77)
    got = fit(build(), WAVES, steps=20, tasks=3, beta=rate, every=5, checkpoint=tmp_path / "run.pt", resume=True)
    assert got.losses == expected.losses


def test_a_longer_run_goes_on_from_a_finished_one(tmp_path):
    checkpoint = tmp_path / "run.pt"
    fit(learner(), WAVES, steps=7, tasks=3, every=5, checkpoint=checkpoint)
    got = fit(learner(), WAVES, steps=12, tasks=3, every=5, checkpoint=checkpoint, resume=True)
    assert got.losses == fit(learner(), WAVES, steps=12, tasks=3, every=5).losses


def test_each_process_takes_its_own_noise_from_a_checkpoint_and_a_new_one_begins_anew(tmp_path):
    checkpoint = tmp_path / "run.pt"
    expected = fit(learner(), WAVES, steps=9, tasks=3, every=5).losses
    fit(learner(), WAVES, steps=7, tasks=3, every=5, checkpoint=checkpoint)
    of = lambda seed: torch.Generator().manual_seed(seed)  # noqa: E731
    state = torch.load(checkpoint)
    torch.save(state | {"random": [[of(4).get_state()], [of(5).get_state()]]}, checkpoint)
    for rank, seed in ((2, 8), (1, 5), (0, 4)):
        torch.manual_seed(8)
        options = {"checkpoint": checkpoint, "resume": True, "group": Group(rank)}
        assert fit(learner(), WAVES, steps=9, tasks=3, every=5, **options).losses == expected
        assert torch.equal(torch.rand(3), torch.rand(3, generator=of(seed)))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    checkpoint = tmp_path / "run.pt"
    fit(learner(), WAVES, steps=5, tasks=3, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(learner(alpha=0.02), WAVES, steps=9, tasks=3, checkpoint=checkpoint, resume=True)
    with pytest.raises(ValueError, match="already done 5 meta-steps"):
        fit(learner(), WAVES, steps=4, tasks=3, checkpoint=checkpoint, resume=True)
    with pytest.raises(ValueError, match="there is no checkpoint at"):
        fit(learner(), WAVES, steps=4, checkpoint=tmp_path / "other.pt", resume=True)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    checkpoint = tmp_path / "run.pt"
    fit(learner(), WAVES, steps=5, tasks=3, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot be read"):
        fit(learner(), WAVES, steps=9, tasks=3, checkpoint=checkpoint, resume=True)


def test_a_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    checkpoint = tmp_path / "run.pt"
    bowl = Quadratics([1.0], [0.0])
    options = {"tasks": 1, "beta": 30.0, "optimizer": torch.optim.SGD, "every": 10, "checkpoint": checkpoint}
    fit(maml(Model(linear([1.0]), half_squared_error), 0.1, 1), bowl, steps=10, **options)
    kept = checkpoint.read_bytes()
    with pytest.raises(
        NonFiniteLoss, match=r"the query loss became (inf|nan) at meta-step \d+; .* go back to the checkpoint"
    ):
        fit(maml(Model(linear([1.0]), half_squared_error), 0.1, 1), bowl, steps=1000, resume=True, **options)
    assert 10 < len(torch.load(checkpoint)["losses"]) < 1000
    assert torch.load(checkpoint)["learner"]["model.net.weight"].isfinite().all()
    assert kept != checkpoint.read_bytes()


def test_an_unwritable_checkpoint_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        fit(learner(), WAVES, steps=2, tasks=2, checkpoint=tmp_path / "file" / "run.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_the_seed_decides_the_tasks_and_every_does_not():
    first = fit(learner(), WAVES, steps=12, tasks=3, seed=4, every=5).losses
    assert first == fit(learner(), WAVES, steps=12, tasks=3, seed=4, every=100).losses
    assert first != fit(learner(), WAVES, steps=12, tasks=3, seed=5, every=5).losses


def test_the_outer_step_is_the_meta_gradient():
    one, other = learner(), learner()
    batch = WAVES.draw(3, torch.Generator().manual_seed(0))
    gradient = other.meta_gradient(batch)
    fit(one, WAVES, steps=1, tasks=3, beta=0.1, optimizer=torch.optim.SGD, seed=0)
    for moved, start, g in zip(one.model.theta, other.model.theta, gradient, strict=True):
        torch.testing.assert_close(moved, start - 0.1 * g)


def test_progress_is_shown_when_asked_for(capsys):
    fit(learner(), WAVES, steps=3, tasks=2, progress=True)
    assert "3/3" in capsys.readouterr().err
    fit(learner(), WAVES, steps=3, tasks=2)
    assert capsys.readouterr().err == ""


def test_running_mean():
    assert History("", [1.0, 3.0, 5.0]).smoothed(2).tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("device", ["gpu0", "cuda:99", "graphics"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match=f"device: expected 'auto', .* got '{device}'"):
        pick_device(device)


def test_the_automatic_device_is_the_gpu_if_there_is_one():
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(("name", "value"), list(itertools.product(["steps", "tasks", "every"], [0, -1])))
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match="expected at least 1"):
        fit(learner(), WAVES, **({"steps": 2} | {name: value}))


@pytest.mark.gpu
def test_training_on_a_gpu_sees_the_same_tasks():
    on_cpu = fit(learner(), WAVES, steps=20, tasks=3, device="cpu").losses
    on_gpu = fit(learner(), WAVES, steps=20, tasks=3, device="cuda").losses
    assert on_cpu == pytest.approx(on_gpu, rel=1e-3)
