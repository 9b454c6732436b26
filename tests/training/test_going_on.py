"""``fit`` called again: tasks of its own, or the same run going on; and what an interrupt leaves."""

import copy
import functools
import os
import pickle
import signal

import pytest
import torch
from torch.optim import SGD, Adam

from mamlbook import DriftingTasks, Sinusoids, fit
from mamlbook.training import History
from training_cases import WAVES, BreaksAfter, Seen, learner, same_weights, with_dropout

OPTIONS = {"tasks": 3, "every": 4}


def test_a_second_call_draws_tasks_of_its_own():
    one, seen = learner(), Seen()
    for _ in range(3):
        fit(one, seen, steps=4, **OPTIONS)
    assert len(set(seen.points)) == 12
    assert one.meta_steps == 12


def test_the_same_calls_give_the_same_numbers():
    def calls():
        one = learner()
        return [fit(one, WAVES, steps=steps, seed=seed, **OPTIONS).losses for steps, seed in ((3, 0), (4, 0), (2, 5))]

    assert calls() == calls()


def test_a_new_learner_and_a_copy_see_what_the_first_saw():
    one, seen = learner(), [Seen(), Seen(), Seen()]
    fit(one, seen[0], steps=4, **OPTIONS)
    fit(learner(), seen[1], steps=4, **OPTIONS)
    assert seen[0].points == seen[1].points
    again = copy.deepcopy(one)
    fit(again, seen[2], steps=4, **OPTIONS)
    assert not set(seen[2].points) & set(seen[0].points)
    assert fit(one, WAVES, steps=3, **OPTIONS).losses != fit(learner(), WAVES, steps=3, **OPTIONS).losses


def test_the_count_of_steps_is_not_among_the_stored_weights():
    one = learner()
    names = set(one.state_dict())
    fit(one, WAVES, steps=2, tasks=2)
    assert set(one.state_dict()) == names


def grouped(params, lr):
    return Adam([{"params": params[:2], "lr": 1e-3}, {"params": params[2:]}], lr=lr)


def rate(step):
    return 1e-2 / (1 + step)


@pytest.mark.parametrize("optimizer", [Adam, SGD, grouped])
def test_two_calls_are_one_longer_run_bit_for_bit(optimizer):
    whole, one, options = learner(), learner(), OPTIONS | {"beta": rate, "optimizer": optimizer, "seed": 3}
    expected = fit(whole, WAVES, steps=11, **options)
    first = fit(one, WAVES, steps=5, **options)
    second = fit(one, WAVES, steps=6, after=first, **options)
    assert second.losses == expected.losses
    assert first.losses == expected.losses[:5]
    assert second.seconds > first.seconds
    assert same_weights(one, whole)


def test_another_seed_draws_anew_and_keeps_the_optimizer():
    one, other = learner(), learner()
    first, also = (fit(x, WAVES, steps=5, **OPTIONS) for x in (one, other))
    with_memory = fit(one, WAVES, steps=4, seed=7, after=first, **OPTIONS).losses
    assert with_memory[:5] == first.losses
    anew = fit(other, WAVES, steps=4, seed=7, **OPTIONS).losses
    assert with_memory[5] == anew[0]  # the same tasks at the same weights
    assert with_memory[6] != anew[1]  # moved by another optimizer
    assert also.losses == first.losses


def test_other_settings_may_follow_a_history():
    one = learner()
    first = fit(one, WAVES, steps=5, **OPTIONS)
    second = fit(one, Seen(), steps=3, tasks=2, beta=lambda step: 0.0 if step < 5 else 1e-4, after=first)
    assert len(second.losses) == 8


def test_a_run_after_a_history_can_be_resumed(tmp_path):
    one, file = learner(), tmp_path / "run.pt"
    first = fit(one, WAVES, steps=5, **OPTIONS)
    fit(one, WAVES, steps=3, after=first, checkpoint=file, **OPTIONS)
    got = fit(learner(), WAVES, steps=12, checkpoint=file, resume=True, **OPTIONS)
    assert got.losses == fit(learner(), WAVES, steps=12, **OPTIONS).losses


def test_a_history_of_another_learner_or_time_is_refused():
    one, other = learner(), learner()
    first = fit(one, WAVES, steps=5, **OPTIONS)
    with pytest.raises(ValueError, match="has done 0 outer steps, got one that ended after 5 outer steps"):
        fit(other, WAVES, steps=2, after=first)
    fit(one, WAVES, steps=2, **OPTIONS)
    with pytest.raises(ValueError, match="has done 7 outer steps, got one that ended after 5 outer steps"):
        fit(one, WAVES, steps=2, after=first)
    with pytest.raises(ValueError, match=r"this learner's last fit, .* got one of no run"):
        fit(one, WAVES, steps=2, after=History("", [1.0]))
    with pytest.raises(TypeError, match="after: expected the History that fit returned, got list"):
        fit(one, WAVES, steps=2, after=first.losses)


def test_the_memory_of_another_optimizer_is_refused():
    one = learner()
    first = fit(one, WAVES, steps=5, **OPTIONS)
    with pytest.raises(
        ValueError, match="after: expected the optimizer of that run, Adam, whose memory goes on, got SGD"
    ):
        fit(one, WAVES, steps=2, optimizer=SGD, after=first)


def test_going_on_leaves_the_history_as_it_was():
    one = learner()
    first = fit(one, WAVES, steps=5, **OPTIONS)
    kept, losses = copy.deepcopy(first.continuation.optimizer_state), list(first.losses)
    fit(one, WAVES, steps=3, after=first, **OPTIONS)
    assert first.losses == losses
    for number, memory in first.continuation.optimizer_state.items():
        assert all(torch.equal(value, kept[number][key]) for key, value in memory.items())
    assert pickle.loads(pickle.dumps(first)) == first


# ---------------------------------------------------------------- an interrupt


@pytest.mark.parametrize("progress", [True, False, None])
def test_an_interrupted_run_returns_its_history(progress, capsys):
    one, whole = learner(), learner()
    history = fit(one, BreaksAfter(6, KeyboardInterrupt), steps=10, progress=progress, **OPTIONS)
    expected = fit(whole, WAVES, steps=6, **OPTIONS)
    assert history.interrupted
    assert not expected.interrupted
    assert history.losses == expected.losses
    assert same_weights(one, whole)
    assert "fit: interrupted after 6 of 10 meta-steps" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_as_if_nothing_had_been():
    one, whole = with_dropout(), with_dropout()
    torch.manual_seed(3)
    expected = fit(whole, WAVES, steps=10, **OPTIONS)
    torch.manual_seed(3)
    history = fit(one, BreaksAfter(6, KeyboardInterrupt), steps=10, **OPTIONS)
    history = fit(one, WAVES, steps=4, after=history, **OPTIONS)
    assert history.losses == expected.losses
    assert same_weights(one, whole)
    assert not history.interrupted


def test_an_interrupted_draw_counts_for_nothing():
    def growing(draw, stops):
        if draw in stops:
            stops.remove(draw)
            raise KeyboardInterrupt
        return Sinusoids(amplitude=(draw, draw + 1), shots=5, queries=5)

    one, tasks = learner(), DriftingTasks(functools.partial(growing, stops=[7]))
    history = fit(one, tasks, steps=10, **OPTIONS)
    history = fit(one, tasks, steps=4, after=history, **OPTIONS)
    expected = fit(learner(), DriftingTasks(functools.partial(growing, stops=[])), steps=10, **OPTIONS)
    assert history.losses == expected.losses


def test_a_state_that_drawing_changes_in_place_is_put_back():
    class Numbered:
        def __init__(self):
            self.seen = []

        def draw(self, tasks, generator):
            self.seen.append(len(self.seen))
            if len(self.seen) == 7:
                raise KeyboardInterrupt
            return WAVES.draw(tasks, generator)

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state_dict):
            self.seen = state_dict["seen"]

    tasks = Numbered()
    fit(learner(), tasks, steps=10, **OPTIONS)
    assert tasks.seen == [0, 1, 2, 3, 4, 5]


def test_an_interrupted_run_writes_its_checkpoint(tmp_path, capsys):
    file = tmp_path / "run.pt"
    fit(learner(), BreaksAfter(6, KeyboardInterrupt), steps=10, checkpoint=file, **OPTIONS)
    assert f"resume=True goes on from {file}" in capsys.readouterr().err
    assert len(torch.load(file)["losses"]) == 6
    got = fit(learner(), WAVES, steps=10, checkpoint=file, resume=True, **OPTIONS)
    assert got.losses == fit(learner(), WAVES, steps=10, **OPTIONS).losses
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_an_interrupt_before_the_first_step_writes_nothing(tmp_path):
    history = fit(learner(), BreaksAfter(0, KeyboardInterrupt), steps=10, checkpoint=tmp_path / "run.pt")
    assert history.interrupted
    assert history.losses == []
    assert not list(tmp_path.iterdir())


class InTheStep(SGD):
    """An optimizer in the middle of whose third step the user presses Ctrl-C."""

    count = 0

    def step(self, closure=None):
        self.count += 1
        first, *rest = self.param_groups[0]["params"]
        first.data -= self.param_groups[0]["lr"] * first.grad
        if self.count == 3:
            os.kill(os.getpid(), signal.SIGINT)
        for weight in rest:
            weight.data -= self.param_groups[0]["lr"] * weight.grad


def test_an_interrupt_does_not_cut_an_outer_step_in_two():
    one, whole = learner(), learner()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    before = signal.getsignal(signal.SIGINT)
    history = fit(one, WAVES, steps=10, optimizer=InTheStep, **OPTIONS)
    assert signal.getsignal(signal.SIGINT) is before
    assert history.interrupted
    assert history.losses == fit(whole, WAVES, steps=3, optimizer=SGD, **OPTIONS).losses
    for a, b in zip(one.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a, b)


# ---------------------------------------------------------------- a limit


def test_a_run_out_of_time_ends_at_a_checkpoint_and_goes_on(tmp_path, capsys):
    file, one, whole = tmp_path / "run.pt", learner(), learner()
    history = fit(one, WAVES, steps=10, minutes=1e-9, checkpoint=file, **OPTIONS)
    assert "fit: out of time after 4 of 10 meta-steps" in capsys.readouterr().err
    assert not history.interrupted
    expected = fit(whole, WAVES, steps=10, minutes=60, **OPTIONS).losses
    assert capsys.readouterr().err == ""
    assert history.losses == expected[:4]
    resumed = learner()
    assert fit(resumed, WAVES, steps=10, checkpoint=file, resume=True, **OPTIONS).losses == expected
    assert fit(one, WAVES, steps=6, after=history, **OPTIONS).losses == expected
    assert same_weights(one, whole)
    assert same_weights(resumed, whole)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), "2"])
def test_minutes_are_a_number_above_zero(minutes):
    with pytest.raises(ValueError, match="minutes: expected a finite number of minutes above 0, got"):
        fit(learner(), WAVES, steps=2, minutes=minutes)


class Slower(torch.optim.Optimizer):
    """Gradient descent at lr / k in step k, which it counts in its groups as some optimizers do."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "k": 0})

    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] += 1
            for weight in group["params"]:
                weight.data.sub_(weight.grad, alpha=group["lr"] / group["k"])


def test_what_an_optimizer_counts_in_its_groups_goes_on(tmp_path):
    run = functools.partial(fit, distribution=WAVES, optimizer=Slower, beta=0.1, **OPTIONS)
    whole, after, resumed = learner(), learner(), learner()
    run(whole, steps=8)
    history = run(after, steps=4)
    run(after, steps=4, after=history)
    run(learner(), steps=4, checkpoint=tmp_path / "run.pt")
    run(resumed, steps=8, checkpoint=tmp_path / "run.pt", resume=True)
    assert same_weights(whole, after)
    assert same_weights(whole, resumed)


def test_a_rate_is_told_once():
    with pytest.raises(TypeError, match=r"^optimizer: .*lr=0.5.* with a rate of its own; the rate is beta"):
        fit(learner(), WAVES, steps=1, optimizer=functools.partial(SGD, lr=0.5))
