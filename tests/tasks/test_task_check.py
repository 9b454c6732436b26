"""Every mistake that is planted in tasks is found, with its number, and sound tasks pass without a word."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from mamlbook import BatchNorm, GradientDescent, MetaLearner, Model, conv4, maml, mlp
from mamlbook.inner import SupportFirst
from mamlbook.tasks import (
    Data,
    DriftingTasks,
    Episodes,
    LinearRegression,
    Lines,
    Mixture,
    Pool,
    Quadratics,
    Sinusoids,
    SquareWaves,
    SupportAsQuery,
    Tasks,
    WaveCollection,
    batches_by_size,
    check_tasks,
    class_split,
    glyph_split,
    glyphs,
)


def noise_pool(classes=20, drawings=10, seed=0, channels=None):
    shape = (classes, drawings, 8, 8) if channels is None else (classes, drawings, channels, 8, 8)
    pictures = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Pool(pictures, [f"{seed}-{c}" for c in range(classes)])


class Changed:
    """Another distribution's tasks after ``change``."""

    def __init__(self, distribution, change):
        self.distribution, self.change = distribution, change

    def draw(self, tasks, generator):
        return self.change(self.distribution.draw(tasks, generator))


def changed(change, distribution=None, **options):
    return check_tasks(Changed(distribution or Episodes(noise_pool(), queries=3), change), **options)


def found(report):
    return {verdict.name for verdict in report.problems + report.warnings}


@pytest.mark.parametrize(
    "distribution",
    [
        Sinusoids(),
        Lines(),
        SquareWaves(),
        LinearRegression(),
        Mixture([Sinusoids(), Lines()]),
        DriftingTasks(lambda step: Sinusoids()),
        WaveCollection(),
        Episodes(noise_pool()),
        Episodes(noise_pool(channels=3), ways=3, shots=2, queries=4, rotate=True),
        Episodes(noise_pool(classes=5, drawings=2)),
        Changed(Episodes(noise_pool()), lambda tasks: Tasks((tasks.support.x.numpy(), tasks.support.y), tasks.query)),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
def test_sound_tasks_pass_without_a_word(distribution):
    assert found(check_tasks(distribution)) == set()


def test_sound_letters_pass_whatever_the_seed():
    train, test = glyph_split(glyphs(4))
    for seed in range(5):
        assert found(check_tasks(Episodes(train), test=Episodes(test), seed=seed)) == set()
    train, test = class_split(noise_pool(), (0.5, 0.5))
    assert found(check_tasks(Episodes(train), test=Episodes(test))) == set()
    assert found(check_tasks(Sinusoids(), test=Sinusoids())) == set()


def test_query_examples_that_the_support_set_has_shown():
    def leak(tasks):
        x = tasks.query.x.clone()
        x[:, 0] = tasks.support.x[:, 0]
        return tasks._replace(query=Data(x, tasks.query.y))

    report = changed(leak)
    assert found(report) == {"query unseen"}
    assert report["query unseen"].number == pytest.approx(1 / 15)
    waves = check_tasks(SupportAsQuery(Sinusoids()))
    assert found(waves) == {"query unseen"}
    assert waves["query unseen"].number == 1


def test_the_same_points_of_other_noise_are_no_leak():
    def grid(tasks):
        x = torch.linspace(-5, 5, 10).view(1, 10, 1).expand_as(tasks.support.x)
        return Tasks(Data(x, tasks.support.y), Data(x, tasks.query.y))

    assert found(changed(grid, Sinusoids())) == set()


def test_classes_that_are_trained_on_and_tested_with():
    pool = noise_pool()
    report = check_tasks(Episodes(pool[:12]), test=Episodes(pool[10:]))
    assert found(report) == {"test unseen"}
    assert report["test unseen"].number == pytest.approx(2 / 10)
    assert "such as 0-10; split the classes" in report["test unseen"].sentence
    halves = [Pool(pool.images[:, part], pool.names) for part in (slice(5), slice(5, 10))]
    assert found(check_tasks(Episodes(halves[0]), test=Episodes(halves[1]))) == {"test unseen"}, (
        "other drawings of them"
    )
    nameless = [Pool(half.images) for half in (noise_pool(seed=1), noise_pool(seed=2))]
    assert found(check_tasks(Episodes(nameless[0]), test=Episodes(nameless[1]))) == set()


def test_examples_that_are_trained_on_and_tested_with():
    pool = noise_pool()
    report = check_tasks(Changed(Episodes(pool), lambda t: t), test=Changed(Episodes(pool[10:]), lambda t: t))
    assert found(report) == {"test unseen"}
    assert report["test unseen"].number > 0.9


class FixedMeaning:
    """Five of the classes, each with a label that goes with the class: its number, or its rank in the task."""

    def __init__(self, ranked):
        self.ranked, self.pool = ranked, noise_pool()

    def draw(self, tasks, generator):
        classes = torch.rand(tasks, 20, generator=generator).argsort(1)[:, :5]
        if self.ranked:
            classes = classes.sort(1).values
        else:
            classes = torch.randint(4, (tasks, 5), generator=generator) + 4 * torch.arange(5)
        drawings = torch.rand(tasks, 5, 10, generator=generator).argsort(2)[..., :2]
        pictures = self.pool.images[classes[..., None], drawings].float() / 255
        y = torch.arange(5).expand(tasks, 5)
        return Tasks(Data(pictures[:, :, 0], y), Data(pictures[:, :, 1], y))


@pytest.mark.parametrize("ranked", [False, True])
def test_labels_that_mean_the_same_in_every_task(ranked):
    report = check_tasks(FixedMeaning(ranked))
    assert found(report) == {"meaning"}
    assert report["meaning"].number == 1 if not ranked else 0.4 < report["meaning"].number < 0.9


def test_targets_that_are_the_same_in_every_task():
    def one_wave(tasks):
        x = tasks.support.x.round()
        return Tasks(Data(x, x.sin()), Data(x + 0.5, (x + 0.5).sin()))

    assert "meaning" in found(changed(one_wave, Sinusoids()))


def test_labels_out_of_range():
    report = changed(lambda t: Tasks(Data(t.support.x, t.support.y + 1), Data(t.query.x, t.query.y + 1)))
    assert found(report) == {"labels"}
    assert report["labels"].number == 5
    assert "number the classes of each task from 0 to 4" in report["labels"].sentence
    report = changed(lambda t: Tasks(Data(t.support.x, t.support.y - 1), Data(t.query.x, t.query.y - 1)))
    assert found(report) == {"labels"}


def test_labels_that_are_passed_over_are_none():
    def pad(tasks):
        x, y = torch.rand(len(tasks.query.x), 4, 1, 8, 8), torch.full((len(tasks.query.x), 4), -100)
        padded = torch.cat([tasks.query.x, x], 1), torch.cat([tasks.query.y, y], 1)
        return tasks._replace(query=Data(*padded))

    assert not changed(pad).problems


def test_a_class_that_is_asked_about_and_not_shown():
    report = changed(lambda t: t._replace(support=Data(t.support.x[:, 1:], t.support.y[:, 1:])))
    assert report["presence"].level == "problem"
    assert report["presence"].number == 1


def test_classes_of_unequal_numbers():
    report = changed(lambda t: t._replace(query=Data(t.query.x[:, 1:], t.query.y[:, 1:])))
    assert found(report) == {"balance"}
    assert report["balance"].number == 1
    assert report["chance"].number == pytest.approx(3 / 14)
    missing = changed(lambda t: t._replace(query=Data(t.query.x[:, 3:], t.query.y[:, 3:])))
    assert found(missing) == {"balance"}


def test_numbers_that_are_none_or_large():
    def spoil(tasks):
        tasks.query.x[0, 0] = float("nan")
        return tasks

    report = changed(spoil, Sinusoids(), tasks=25)
    assert report["values"].level == "problem"
    assert report["values"].number == pytest.approx(1 / (25 * 40))
    assert report["values"].name in found(report)
    large = changed(lambda t: Tasks(*(Data(d.x * 255, d.y) for d in t[:2])))
    assert found(large) == {"values"}
    assert "x / 255" in large["values"].sentence


def test_tasks_that_do_not_follow_the_generator():
    class Same:
        def draw(self, tasks, generator):
            return Sinusoids().draw(tasks, torch.Generator().manual_seed(0))

    class Elsewhere:
        def draw(self, tasks, generator):
            return Sinusoids().draw(tasks, self.generator)

    report = check_tasks(Same())
    assert (report["fresh tasks"].level, report["fresh tasks"].number) == ("problem", 1)
    elsewhere = Elsewhere()
    elsewhere.generator = torch.Generator().manual_seed(0)
    assert found(check_tasks(elsewhere)) == {"fresh tasks"}
    fixed = check_tasks(Sinusoids().draw(5, torch.Generator()))
    assert [verdict.name for verdict in fixed.warnings] == ["fresh tasks"], "which may be meant"


def test_few_tasks_that_come_again():
    class Few:
        tasks = Episodes(noise_pool()).draw(6, torch.Generator().manual_seed(0))

        def draw(self, tasks, generator):
            return self.tasks.pick(torch.randint(6, (tasks,), generator=generator))

    report = check_tasks(Few())
    assert found(report) == {"fresh tasks"}
    assert report["fresh tasks"].number == pytest.approx(0.94)


def test_predictions_that_depend_on_the_other_query_examples():
    episodes = Episodes(noise_pool(), ways=3, queries=3)
    blind = Model(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), cross_entropy)
    assert check_tasks(episodes, learner=maml(blind, 0.1, 1))["independence"].number < 1e-6
    seeing = Model(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), BatchNorm(8), nn.Linear(8, 3)), cross_entropy)
    report = check_tasks(episodes, learner=maml(seeing, 0.1, 1))
    assert found(report) == {"independence"}
    assert report["independence"].number > 0.01
    cured = Model(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), BatchNorm(8, first=3), nn.Linear(8, 3)), cross_entropy)
    learner = MetaLearner(cured, SupportFirst(GradientDescent(0.1, 1)))
    assert found(check_tasks(episodes, learner=learner)) == set()
    assert found(check_tasks(Sinusoids().draw(1, torch.Generator()), learner=maml(Model(mlp(1, 4, 1), mse_loss)))) == {
        "fresh tasks"
    }


def test_the_original_network_is_known_to_see_its_query_batch():
    learner = maml(Model(conv4(5, filters=4), cross_entropy), 0.1, 1)
    report = check_tasks(Episodes(glyphs(4), queries=3), learner=learner)
    assert [verdict.name for verdict in report.warnings] == ["independence"]
    assert not report.problems


def test_what_guessing_achieves():
    report = check_tasks(Episodes(noise_pool(), ways=4))
    assert report["chance"].number == pytest.approx(0.25)
    assert "1.386 the cross-entropy" in report["chance"].sentence
    # E A^2 sin^2 for A uniform in [0.1, 5], less the square of the mean, which is small.
    assert check_tasks(Sinusoids(), tasks=2000)["chance"].number == pytest.approx(4.2, rel=0.05)


def test_tasks_that_cannot_be_read_are_one_problem():
    report = changed(lambda t: Tasks(*(Data((d.x * 255).byte(), d.y) for d in t[:2])))
    (verdict,) = report.verdicts
    assert verdict.name == "form"
    assert "got uint8 pictures; divide them by 255" in verdict.sentence
    short = check_tasks(Sinusoids(), test=Changed(Sinusoids(), lambda t: t._replace(support=t.support.pick([0]))))
    assert "tasks of test can be read: query: expected as many tasks" in short.problems[0].sentence


def test_trees_and_unequal_sizes():
    def tree(tasks):
        return Tasks(*(Data({"a": d.x, "b": [d.x]}, (d.y, d.y)) for d in tasks[:2]))

    def sizes(tasks):
        cut = [Data(*(t[b : b + 1, : 1 + b % 3] for t in tasks.support)) for b in range(tasks.size)]
        return batches_by_size([tasks.pick([b])._replace(support=support) for b, support in enumerate(cut)])

    assert found(changed(tree, Sinusoids())) == set()
    report = changed(sizes, Sinusoids())
    assert found(report) == set()
    assert report["form"].number == 3


def test_finite_collections_are_taken_whole():
    bowls = check_tasks(Quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]))
    assert [verdict.name for verdict in bowls.problems] == ["query unseen"], "support and query are the same, by design"
    assert "of 25 tasks" in check_tasks(WaveCollection())["fresh tasks"].sentence


def test_a_report_is_read_line_by_line():
    report = check_tasks(SupportAsQuery(Sinusoids()))
    lines = str(report).splitlines()
    assert lines[0] == "ok       form          1         kind of task: 10 + 10 examples with x (1,) and y (1,)"
    assert lines[3].startswith(
        "problem  query unseen  1         of the query examples are in their task's support set;"
    )
    assert lines[-1] == "1 problems, 0 warnings"
    with pytest.raises(KeyError, match=r"expected one of form, values, .*, got 'leak'"):
        report["leak"]


@pytest.mark.parametrize(
    ("distribution", "options", "error", "message"),
    [
        (Sinusoids, {}, TypeError, "distribution: expected a distribution with draw.*, got the class Sinusoids"),
        (torch.zeros(3), {}, TypeError, "distribution: .* got Tensor"),
        (Sinusoids(), {"test": 5}, TypeError, "test: .* got int"),
        (Sinusoids(), {"tasks": 1}, ValueError, "tasks: expected a whole number of at least 2, got 1"),
    ],
)
def test_what_cannot_be_checked_is_refused(distribution, options, error, message):
    with pytest.raises(error, match=message):
        check_tasks(distribution, **options)
