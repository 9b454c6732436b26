"""What has to hold before a result is believed: pytest"""

import torch
from learner import learner, network

from mamlbook import fit, gradient_check
from mamlbook.tasks import check_tasks
from tasks import TEST, TRAINING


def test_the_tasks_are_sound_and_test_tasks_are_new():
    report = check_tasks(TRAINING, test=TEST, learner=learner(0.01))
    assert not report.problems, str(report)


def test_the_meta_gradient_is_that_of_maml():
    tasks = TRAINING.draw(3, torch.Generator().manual_seed(0)).to(torch.float64)
    own = learner(0.01).double()
    check = gradient_check(own.meta_gradient(tasks), own, tasks)
    assert check.verdict == "MAML", str(check)


def test_a_few_meta_steps_change_every_weight_and_stay_finite():
    own, before = learner(0.01), list(network().parameters())
    losses = fit(own, TRAINING, steps=3, tasks=4).losses
    assert torch.tensor(losses).isfinite().all()
    assert all((now != then).any() for now, then in zip(own.model.theta, before, strict=True))


def test_an_adapted_network_predicts_like_the_learner():
    own, tasks = learner(0.01), TEST.draw(2, torch.Generator().manual_seed(0))
    adapted = own.adapt(tasks.support)
    alone = own.network(tasks.support, task=1)(tasks.query.x[1])
    torch.testing.assert_close(alone, adapted.predict(adapted.phi, tasks.query.x)[1])
