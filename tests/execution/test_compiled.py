"""Compiled meta-steps: the same numbers as the ones that Python runs, row by row, and made once for each form."""

import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from battery import model_for, relative, seeded, sine_model, sine_tasks, tasks_for
from mamlbook import (
    ALGORITHMS,
    Exact,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    conv4,
    distance,
    fit,
    maml,
    mlp,
)
from mamlbook.execution import tracing
from mamlbook.execution.compiled import Compiled
from mamlbook.execution.tracing import NotTraceable
from mamlbook.metagradient import Checkpointed, TaskChunks
from mamlbook.tasks.glyph_pool import glyphs
from mamlbook.tasks.images import Episodes


def build(name, steps=2):
    return ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=steps)


@pytest.fixture
def interpreted(monkeypatch):
    """Trace, but let Python walk the trace: for what does not depend on the compiler."""
    made = []

    def walk(graph, tensors):
        made.append(graph)
        return graph

    monkeypatch.setattr(tracing, "_compiled", walk)
    return made


def test_a_trace_is_made_once_for_each_shape(interpreted):
    learner = maml(sine_model(), 0.03, 2)
    fast, told = Compiled(learner, announce=lambda text: told.append(text)), []
    for tasks in (5, 5, 4, 5, 4):
        fast(sine_tasks(tasks))
    assert len(interpreted) == len(told) == 2
    assert told[0] == "tracing and compiling the meta-step"
    before = fast.seconds
    fast(sine_tasks(5))
    assert fast.seconds == before > 0


def test_it_follows_the_weights(interpreted):
    learner, tasks = maml(sine_model(), 0.03, 2), sine_tasks()
    fast = Compiled(learner)
    fast(tasks)
    with torch.no_grad():
        for weight in learner.parameters():
            weight.mul_(1.1)
    assert relative(fast(tasks)[0], learner.meta_gradient(tasks)) < 1e-12
    assert len(interpreted) == 1


def test_another_precision_is_another_trace(interpreted):
    learner, tasks = maml(sine_model(), 0.03, 2), sine_tasks()
    fast = Compiled(learner)
    fast(tasks)
    learner.float()
    got, _ = fast(tasks.to(torch.float32))
    assert got[0].dtype == torch.float32
    assert len(interpreted) == 2


def test_training_and_testing_are_two_traces(interpreted):
    learner, tasks = build("dropgrad"), tasks_for("dropgrad")
    fast = Compiled(learner)
    noisy, _ = fast(tasks)
    with learner.testing():
        still, _ = fast(tasks)
        assert relative(still, learner.meta_gradient(tasks)) < 1e-12
    assert relative(noisy, still) > 1e-3


def test_a_phase_that_python_chooses_by_is_a_trace_of_its_own(interpreted):
    row, tasks = ALGORITHMS["annealed"], tasks_for("annealed")
    learner = row.offer(model_for("annealed"), alpha=0.03, steps=2, after=2)
    fast = Compiled(learner)
    for _ in range(4):
        assert relative(fast(tasks)[0], learner.meta_gradient(tasks)) < 1e-12
        learner.advance()
    assert len(interpreted) == 2


def test_tracing_draws_nothing(interpreted):
    learner, tasks = build("dropgrad"), tasks_for("dropgrad")
    fast = Compiled(learner)
    torch.manual_seed(7)
    first, _ = fast(tasks)
    torch.manual_seed(7)
    assert distance(first, fast(tasks)[0]) == 0
    assert distance(first, seeded(learner, tasks)) < 1e-12


def test_what_asks_for_a_number_cannot_be_traced():
    model = sine_model()

    def branching(y_hat, y):
        losses = model.losses(y_hat, y)
        return losses * 2 if losses.sum() > 1e9 else losses

    learner = MetaLearner(model, GradientDescent(0.01, 1, loss=branching))
    with pytest.raises(NotTraceable, match=r"^compiled: expected a meta-step that .* torch\.where"):
        Compiled(learner)(sine_tasks())


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch):
    import torch._inductor.compile_fx

    class InvalidCxxCompiler(RuntimeError):
        pass

    def refuse(*_):
        raise InvalidCxxCompiler("no g++")

    monkeypatch.setattr(torch._inductor.compile_fx, "compile_fx", refuse)
    with pytest.raises(RuntimeError, match=r"^compiled: expected a C\+\+ compiler, .* or take execution='eager'"):
        Compiled(maml(sine_model(), 0.03, 1))(sine_tasks())


def glyph_learner(metagradient=None):
    model = Model(conv4(3, filters=4, pooling="max", seed=0), cross_entropy).double()
    return MetaLearner(model, GradientDescent(0.4, 1), metagradient)


def glyph_tasks(tasks=3):
    return Episodes(glyphs(), ways=3).draw(tasks, torch.Generator().manual_seed(0)).to(torch.float64)


def test_chunks_of_one_task_have_ungrouped_convolutions(interpreted):
    learner, tasks = glyph_learner(TaskChunks(Exact(), 1)), glyph_tasks()
    fast = Compiled(learner)
    gradients, losses = fast(tasks)
    wanted, wanted_losses = glyph_learner().gradients(tasks)
    assert relative(gradients, wanted) < 1e-10
    assert distance([losses], [wanted_losses]) < 1e-10
    fast(glyph_tasks(5))  # as many times the same piece
    (chunk,) = interpreted
    convolutions = [n for n in chunk.graph.nodes if n.target is torch.ops.aten.convolution.default]
    assert convolutions
    assert all(node.args[8] == 1 for node in convolutions)


@pytest.mark.parametrize("rows", ["maml", "lslr", "conflict-averse"])
@pytest.mark.parametrize(
    "metagradient", [lambda: TaskChunks(Exact(), 1), lambda: Checkpointed(2)], ids=["chunks", "walk"]
)
def test_pieces_are_traced_one_by_one(rows, metagradient, interpreted):
    given, tasks = build(rows, steps=5), tasks_for(rows)
    learner = MetaLearner(given.model, given.solver, metagradient(), given.weighting)
    got, losses = Compiled(learner)(tasks)
    wanted, wanted_losses = given.gradients(tasks)
    assert relative(got, wanted) < 1e-10
    assert distance([losses], [wanted_losses]) < 1e-10
    assert len(interpreted) > 1 or isinstance(learner.metagradient, TaskChunks)


def test_one_segment_serves_for_all_that_are_as_long(interpreted):
    model, tasks = sine_model(), sine_tasks()
    for steps in (8, 16):
        Compiled(MetaLearner(model, GradientDescent(0.03, steps), Checkpointed(4)))(tasks)
    # Segment and query, forward and backward, for each of the two learners, whatever the number of segments.
    assert len(interpreted) == 8


def test_training_compiled_is_training():
    def train(**options):
        learner = maml(Model(mlp(1, 8, 8, 1, activation=nn.Tanh), mse_loss).double(), 0.03, 2)
        return fit(learner, Sinusoids(), steps=6, tasks=3, every=4, **options), learner

    (eager, one), (compiled, other) = train(), train(execution="compiled")
    assert compiled.losses == pytest.approx(eager.losses, rel=1e-9)
    assert distance(one.model.theta, other.model.theta) < 1e-9
    assert 0 < compiled.compiling < compiled.seconds
    assert eager.compiling == 0


def test_the_choice_to_compile_may_change_between_a_checkpoint_and_its_resumption(tmp_path, interpreted):
    def train(steps, **options):
        learner = maml(sine_model(), 0.03, 2)
        return fit(learner, Sinusoids(), steps=steps, tasks=3, every=2, checkpoint=tmp_path / "run.pt", **options)

    train(4)
    history = train(8, resume=True, execution="compiled")
    assert len(history.losses) == 8
    assert history.compiling > 0


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["maml", "reptile", "dropgrad"])
def test_replayed_on_a_gpu_it_is_the_same(name):
    learner, tasks = build(name).to("cuda"), tasks_for(name).to("cuda")
    fast = Compiled(learner)
    for _ in range(4):  # the first replays record the graph
        gradients, losses = fast(tasks)
        if not ALGORITHMS[name].noisy:
            wanted, wanted_losses = learner.gradients(tasks)
            assert relative(gradients, wanted) < 1e-8
            assert distance([losses], [wanted_losses]) < 1e-8
    assert all(g.isfinite().all() for g in gradients)


def test_tensors_that_the_loss_holds_are_part_of_the_trace():
    loss = functools.partial(cross_entropy, weight=torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64))
    learner = maml(Model(model_for("protomaml").net, loss), 0.05, 2)
    tasks = tasks_for("protomaml")
    assert relative(Compiled(learner)(tasks)[0], learner.meta_gradient(tasks)) < 1e-12
