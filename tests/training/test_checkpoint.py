"""A run on disk: resumed bit for bit, as the same run or not at all."""

import functools
import resource
import signal

import pytest
import torch
from torch.nn.functional import huber_loss, mse_loss
from torch.optim import SGD, Adam, AdamW

from mamlbook import DriftingTasks, Mixture, Model, Sinusoids, SupportAsQuery, fit, maml, mlp
from mamlbook.execution.process_group import Group
from training_cases import WAVES, BreaksAfter, PowerCut, learner, same_weights, with_dropout


def test_resuming_continues_bit_for_bit(tmp_path):
    whole = learner()
    expected = fit(whole, WAVES, steps=25, tasks=3, every=5)
    stopped, checkpoint = learner(), tmp_path / "folder" / "run.pt"
    with pytest.raises(PowerCut):
        fit(stopped, BreaksAfter(13), steps=25, tasks=3, every=5, checkpoint=checkpoint)
    fresh = learner(seed=9)
    history = fit(fresh, WAVES, steps=25, tasks=3, every=5, checkpoint=checkpoint, resume=True)
    assert history.losses == expected.losses
    assert all(torch.equal(a, b) for a, b in zip(whole.model.theta, fresh.model.theta, strict=True))
    assert [file.name for file in checkpoint.parent.iterdir()] == ["run.pt"]


def test_resuming_with_dropout_and_a_schedule_continues_bit_for_bit(tmp_path):
    rate = lambda step: 1e-3 * (1 - step / 20)  # noqa: E731
    torch.manual_seed(0)
    expected = fit(with_dropout(), WAVES, steps=20, tasks=3, beta=rate, every=5)
    torch.manual_seed(0)
    with pytest.raises(PowerCut):
        fit(with_dropout(), BreaksAfter(11), steps=20, tasks=3, beta=rate, every=5, checkpoint=tmp_path / "run.pt")
    torch.manual_seed(77)
    got = fit(with_dropout(), WAVES, steps=20, tasks=3, beta=rate, every=5, checkpoint=tmp_path / "run.pt", resume=True)
    assert got.losses == expected.losses


def test_a_longer_run_goes_on_from_a_finished_one(tmp_path):
    checkpoint = tmp_path / "run.pt"
    fit(learner(), WAVES, steps=7, tasks=3, every=5, checkpoint=checkpoint)
    got = fit(learner(), WAVES, steps=12, tasks=3, every=5, checkpoint=checkpoint, resume=True)
    assert got.losses == fit(learner(), WAVES, steps=12, tasks=3, every=5).losses


def drifting():
    return DriftingTasks(lambda draw: Sinusoids(amplitude=(draw, draw + 1), shots=5, queries=5))


@pytest.mark.parametrize("moving", [drifting, lambda: SupportAsQuery(Mixture([drifting(), WAVES]))])
def test_what_drawing_changes_in_the_tasks_is_resumed(tmp_path, moving):
    checkpoint = tmp_path / "run.pt"
    expected = fit(learner(), moving(), steps=12, tasks=3, every=5).losses
    fit(learner(), moving(), steps=7, tasks=3, every=5, checkpoint=checkpoint)
    got = fit(learner(), moving(), steps=12, tasks=3, every=5, checkpoint=checkpoint, resume=True).losses
    assert got == expected


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
    whole = checkpoint.read_bytes()
    for content in (whole[:500], whole[: len(whole) // 2], whole[:-1], b"", b"hello world"):
        checkpoint.write_bytes(content)
        with pytest.raises(ValueError, match=r"^resume: the checkpoint .* cannot be read \(.+\); start anew$"):
            fit(learner(), WAVES, steps=9, tasks=3, checkpoint=checkpoint, resume=True)


def test_a_number_that_has_changed_on_the_disk_is_no_checkpoint(tmp_path):
    checkpoint = tmp_path / "run.pt"
    fit(one := learner(), WAVES, steps=5, tasks=3, checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    weights = one.model.theta[0].detach().numpy().tobytes()
    place = content.index(weights)
    checkpoint.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert torch.load(checkpoint, weights_only=True)  # which torch does not notice
    with pytest.raises(ValueError, match=r"cannot be read \(.*data/.* in it is damaged\); start anew"):
        fit(learner(), WAVES, steps=9, tasks=3, checkpoint=checkpoint, resume=True)


def test_a_disk_that_is_full_costs_neither_the_learner_nor_the_last_checkpoint(tmp_path):
    checkpoint = tmp_path / "run.pt"
    history = fit(one := learner(), WAVES, steps=2, tasks=2, checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    too_large = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"^checkpoint: .*run.pt cannot be written after meta-step 3.*want of room"):
            fit(one, WAVES, steps=1, tasks=2, checkpoint=checkpoint, after=history)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, too_large)
    assert one.meta_steps == 3
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


@pytest.mark.parametrize("name", ["a" * 250, "a\0b"], ids=["long", "nul"])
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path, name):
    one = learner()
    with pytest.raises(OSError, match=r"^checkpoint: expected a file that can be written, got .*choose another path"):
        fit(one, WAVES, steps=2, tasks=2, checkpoint=tmp_path / name)
    assert one.meta_steps == 0


def test_a_checkpoint_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fit(learner(), WAVES, steps=2, tasks=2, checkpoint="~/run.pt")
    assert (tmp_path / "run.pt").is_file()


def test_an_unwritable_checkpoint_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        fit(learner(), WAVES, steps=2, tasks=2, checkpoint=tmp_path / "file" / "run.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="checkpoint: expected the path of a file, got the folder"):
        fit(learner(), WAVES, steps=2, checkpoint=tmp_path)


@pytest.mark.parametrize("content", [{"model.net.head.weight": torch.zeros(1)}, torch.zeros(2)])
def test_another_kind_of_file_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"expected .* to be written by fit"):
        fit(learner(), WAVES, steps=2, checkpoint=tmp_path / "run.pt", resume=True)


def test_resuming_needs_a_file_and_one_beginning(tmp_path):
    with pytest.raises(ValueError, match="resume: expected checkpoint= to name the file"):
        fit(learner(), WAVES, steps=2, resume=True)
    first = fit(one := learner(), WAVES, steps=2, tasks=2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="after: expected None with resume=True"):
        fit(one, WAVES, steps=2, tasks=2, checkpoint=tmp_path / "run.pt", resume=True, after=first)


# ---------------------------------------------------------------- what has to be the same

momentum = functools.partial(SGD, momentum=0.9)


def decays(**settings):
    return functools.partial(AdamW, **settings)


def grouped(params, lr):
    return Adam([{"params": params[:2], "lr": lr / 10}, {"params": params[2:]}], lr=lr)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"tasks": 3}, {"tasks": 4}, "tasks: the checkpoint has 3, this run 4"),
        ({"seed": 0}, {"seed": 1}, "seed: the checkpoint has 0, this run 1"),
        ({}, {"optimizer": SGD}, "optimizer: the checkpoint has Adam, this run SGD"),
        ({"optimizer": momentum}, {"optimizer": SGD}, r"momentum: the checkpoint has 0\.9, this run 0;"),
        (
            {"optimizer": decays(weight_decay=0.0)},
            {"optimizer": decays(weight_decay=0.1)},
            r"weight_decay: the checkpoint has 0, this run 0\.1",
        ),
        (
            {"optimizer": decays(betas=(0.9, 0.999))},
            {"optimizer": decays(betas=(0.9, 0.99))},
            r"betas: the checkpoint has \(0\.9, 0\.999\), this run \(0\.9, 0\.99\)",
        ),
        ({}, {"optimizer": grouped}, "parameter groups: the checkpoint has 1, this run 2"),
        ({"beta": 1e-3}, {"beta": 1e-4}, r"beta: the checkpoint has 0\.001 at meta-step 1, this run 0\.0001"),
        (
            {"beta": lambda step: 0.01 / (step + 1)},
            {"beta": lambda step: 0.01 / (step + 1) if step < 3 else 0.1},
            r"beta: the checkpoint has 0\.0025 at meta-step 4, this run 0\.1",
        ),
    ],
)
def test_a_changed_setting_is_refused_by_name_and_value(tmp_path, first, second, message):
    options = {"tasks": 3, "checkpoint": tmp_path / "run.pt"}
    fit(learner(), WAVES, steps=5, **options | first)
    kept = (tmp_path / "run.pt").read_bytes()
    one = learner(seed=3)
    with pytest.raises(ValueError, match=f"belongs to another run: .*{message}"):
        fit(one, WAVES, steps=8, resume=True, **options | second)
    assert same_weights(one, learner(seed=3))
    assert (tmp_path / "run.pt").read_bytes() == kept


@pytest.mark.parametrize(
    ("other", "distribution", "message"),
    [
        (learner(alpha=0.02), WAVES, r"learner: the checkpoint has .*0\.01.*, this run .*0\.02"),
        (learner().double(), WAVES, r"weights: the checkpoint has .*float32 .*, this run .*float64"),
        (learner(), Sinusoids(shots=6, queries=5), "distribution: the checkpoint has .*shots=5.* this run .*shots=6"),
    ],
)
def test_another_learner_or_distribution_is_refused(tmp_path, other, distribution, message):
    fit(learner(), WAVES, steps=2, tasks=2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=message):
        fit(other, distribution, steps=4, tasks=2, checkpoint=tmp_path / "run.pt", resume=True)


class Bare(torch.nn.Module):
    """A network whose ``repr`` does not tell its width."""

    def __init__(self, width):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1, width))

    def forward(self, x):
        return (x @ self.w).mean(-1, keepdim=True)


def test_another_width_is_refused_even_where_repr_does_not_show_it(tmp_path):
    fit(maml(Model(Bare(3), mse_loss)), WAVES, steps=2, tasks=2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(
        ValueError, match=r"weights: the checkpoint has model\.net\.w: torch.float32 \(1, 3\), this run"
    ):
        fit(maml(Model(Bare(4), mse_loss)), WAVES, steps=4, tasks=2, checkpoint=tmp_path / "run.pt", resume=True)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"every": 2}, {"every": 3}),
        ({"device": None}, {"device": "cpu"}),
        ({"progress": False}, {"progress": True}),
        ({"optimizer": decays(foreach=True)}, {"optimizer": decays(foreach=False)}),
        ({"beta": 1e-3}, {"beta": lambda step: 1e-3}),
        ({"optimizer": Adam}, {"optimizer": lambda params, lr: Adam(params, lr=lr)}),
    ],
)
def test_what_does_not_decide_the_run_may_change(tmp_path, first, second):
    options = {"tasks": 3, "checkpoint": tmp_path / "run.pt"}
    fit(learner(), WAVES, steps=5, **options | first)
    got = fit(learner(), WAVES, steps=8, resume=True, **options | second).losses
    assert got == fit(learner(), WAVES, steps=8, tasks=3, **second).losses


def test_a_rate_may_change_from_where_the_checkpoint_ends(tmp_path):
    later = lambda step: 1e-3 if step < 5 else 1e-2  # noqa: E731
    fit(learner(), WAVES, steps=5, tasks=3, beta=1e-3, checkpoint=tmp_path / "run.pt")
    got = fit(learner(), WAVES, steps=9, tasks=3, beta=later, checkpoint=tmp_path / "run.pt", resume=True).losses
    assert got == fit(learner(), WAVES, steps=9, tasks=3, beta=later).losses


# ---------------------------------------------------------------- what repr cannot show


class OnlyDraws:
    """The contract of a distribution and nothing else, so that ``repr`` shows an address."""

    def draw(self, tasks, generator):
        return WAVES.draw(tasks, generator)


PLACES = {
    "distribution": lambda: (Model(mlp(1, 8, 1), mse_loss), OnlyDraws()),
    "partial": lambda: (Model(mlp(1, 8, 1), functools.partial(huber_loss, delta=2.0)), WAVES),
    "lambda": lambda: (Model(mlp(1, 8, 1), lambda y_hat, y: (y_hat - y).square().mean()), WAVES),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_object_is_known_by_what_it_is_and_not_by_its_address(tmp_path, place):
    model, distribution = PLACES[place]()
    fit(maml(model), distribution, steps=2, tasks=2, checkpoint=tmp_path / "run.pt")
    kept = model, distribution  # so that its place in memory is not given to the next one
    model, distribution = PLACES[place]()
    got = fit(maml(model), distribution, steps=4, tasks=2, checkpoint=tmp_path / "run.pt", resume=True)
    assert len(got.losses) == 4
    assert "0x" not in got.configuration
    assert kept


def test_another_setting_of_a_partial_loss_is_another_run(tmp_path):
    of = lambda delta: maml(Model(mlp(1, 8, 1), functools.partial(huber_loss, delta=delta)))  # noqa: E731
    fit(of(2.0), WAVES, steps=2, tasks=2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"delta=2\.0.* this run .*delta=3\.0"):
        fit(of(3.0), WAVES, steps=4, tasks=2, checkpoint=tmp_path / "run.pt", resume=True)
