"""Networks, losses and habits that readers bring, against differences between runs of the network itself."""

import copy
import threading
from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import mse_loss

from mamlbook import GradientDescent, MetaLearner, Model, Sinusoids, distance, evaluate, fit, maml
from mamlbook.analysis.similarity import activations
from mamlbook.exact import exact_operations
from mamlbook.execution import tracing
from mamlbook.execution.replicas import Replicas
from mamlbook.execution.tracing import Tracer
from mamlbook.execution.ways import EAGER
from mamlbook.network_calls import buffers_kept
from mamlbook.torch_internals import tree_map

WAVES = Sinusoids(shots=4, queries=5)


def waves():
    return WAVES.draw(3, torch.Generator().manual_seed(0)).to(torch.float64)


def slope(net, loss, tasks, way, rule, alpha=0.05, steps=2, step=1e-5):
    """How fast the mean query loss after steps on copies of the network changes along a way of its weights."""

    def after(size):
        total = 0.0
        for b in range(tasks.size):
            own = copy.deepcopy(net)
            weights = list(own.parameters())
            with torch.no_grad():
                for weight, away in zip(weights, way, strict=True):
                    weight.add_(away, alpha=size)
            optimizer = rule(weights, lr=alpha)
            for _ in range(steps):
                optimizer.zero_grad()
                loss(own(tasks.support.x[b]), tasks.support.y[b]).backward()
                optimizer.step()
            with torch.no_grad():
                total += loss(own(tasks.query.x[b]), tasks.query.y[b]).item()
        return total / tasks.size

    def difference(size):
        return (after(size) - after(-size)) / (2 * size)

    return (4 * difference(step) - difference(2 * step)) / 3


def require_exact(net, loss=mse_loss, times=1, rule=torch.optim.SGD):
    tasks, generator = waves(), torch.Generator().manual_seed(1)
    way = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in net.parameters()]
    wanted = slope(net, loss, tasks, way, rule)
    for _ in range(times):
        found = MetaLearner(Model(net, loss), GradientDescent(0.05, 2, rule=rule)).meta_gradient(tasks)
        along = sum((g * away).sum() for g, away in zip(found, way, strict=True)).item()
        assert along == pytest.approx(wanted, rel=1e-7, abs=1e-9)


class Holding(nn.Module):
    """A network that reads its weights, or keeps what it has computed, in a way of its own."""

    def __init__(self, hold, read):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(1, 4).double(), nn.Linear(4, 1).double()
        self.read = read
        hold(self)

    def forward(self, x):
        return self.last(torch.tanh(self.read(self, x)))


class Plain:
    """An object without anything."""


def hold_list(net):
    net.kept = [net.first.weight, net.first.bias]


def hold_dictionary(net):
    net.kept = {"a": {"weight": net.first.weight}}


def hold_function(net):
    net.kept = partial(F.linear, weight=net.first.weight, bias=net.first.bias)


def hold_object(net):
    net.kept = Plain()
    net.kept.weight = net.first.weight


HELD = {
    "a list": (hold_list, lambda net, x: F.linear(x, *net.kept)),
    "a dictionary": (hold_dictionary, lambda net, x: x @ net.kept["a"]["weight"].T + net.first.bias),
    "a function": (hold_function, lambda net, x: net.kept(x)),
    "an object": (hold_object, lambda net, x: x * net.kept.weight.flatten() + net.first.bias),
    "stacked": (hold_list, lambda net, x: net.first(x) + torch.cat([net.kept[0].T, net.kept[1][None]]).square().sum(0)),
}


@pytest.mark.parametrize("held", HELD)
def test_weights_that_a_network_holds_besides_its_layers_are_those_of_the_task(held):
    require_exact(Holding(*HELD[held]))


def test_so_they_are_in_a_trace():
    ones, tasks = [maml(Model(Holding(*HELD["a list"]), mse_loss), 0.05, 2) for _ in range(2)], waves()
    expected = ones[0].meta_gradient(tasks)
    replicas = Replicas(ones, EAGER)
    for gradients, _ in replicas([tasks, tasks]):
        assert distance(gradients, expected) < 1e-12
    replicas.release()


@pytest.mark.parametrize(
    ("hold", "read"),
    [
        (
            lambda net: setattr(net, "kept", net.first.weight.flatten()),
            lambda net, x: x * net.kept + net.first.bias,
        ),
        (
            lambda net: setattr(net, "kept", {"twice": 2 * net.first.weight}),
            lambda net, x: F.linear(x, weight=net.kept["twice"]),
        ),
    ],
    ids=["a view", "a product in a dictionary"],
)
def test_what_was_computed_from_theta_before_is_refused(hold, read):
    one = maml(Model(Holding(hold, read), mse_loss), 0.05, 2)
    for use in (lambda: one.meta_gradient(waves()), lambda: one.adapt(waves().support)):
        with pytest.raises(ValueError, match=r"^net: expected a network that computes from its weights in every call"):
            use()


def test_the_form_of_what_was_computed_before_may_be_asked_for():
    def read(net, x):
        assert net.kept.shape == (4,)
        assert net.kept.requires_grad
        return net.first(x).reshape(-1, len(net.kept))

    require_exact(Holding(lambda net: None, lambda net, x: net.first(x)))
    kept = Holding(lambda net: setattr(net, "kept", net.first.weight.flatten()), read)
    plain = Holding(lambda net: None, lambda net, x: net.first(x))
    found, expected = (maml(Model(net, mse_loss), 0.05, 2).meta_gradient(waves()) for net in (kept, plain))
    assert distance(found, expected) == 0


def kept_in_dictionary(net, x):
    if "twice" not in net.kept:
        net.kept["twice"] = 2 * net.first.weight
    return F.linear(x, net.kept["twice"], net.first.bias)


def kept_in_object(net, x):
    if not hasattr(net.kept, "twice"):
        net.kept.twice = 2 * net.first.weight
    return F.linear(x, net.kept.twice, net.first.bias)


def kept_in_lists(net, x):
    net.kept["all"].append(2 * net.first.weight)
    return F.linear(x, net.kept["all"][0], net.first.bias)


@pytest.mark.parametrize(
    ("kept", "read"),
    [(dict, kept_in_dictionary), (Plain, kept_in_object), (lambda: {"all": []}, kept_in_lists)],
    ids=["dictionary", "object", "list"],
)
def test_what_a_network_puts_into_what_it_holds_is_of_one_call(kept, read):
    net = Holding(lambda net: setattr(net, "kept", kept()), read)
    tasks = waves()
    afresh = Holding(lambda net: None, lambda net, x: F.linear(x, 2 * net.first.weight, net.first.bias))
    expected = maml(Model(afresh, mse_loss), 0.05, 2).meta_gradient(tasks)
    require_exact(afresh)
    one = maml(Model(net, mse_loss), 0.05, 2)
    for _ in range(2):
        assert distance(one.meta_gradient(tasks), expected) < 1e-15
    assert not (net.kept.get("twice", net.kept.get("all")) if isinstance(net.kept, dict) else vars(net.kept))
    copy.deepcopy(one)


def test_a_loss_finds_what_a_call_has_put_into_a_list():
    def read(net, x):
        hidden = net.first(x)
        net.kept.append(hidden)
        return hidden

    net = Holding(lambda net: setattr(net, "kept", []), read)
    tasks = waves()
    found = maml(Model(net, lambda y_hat, y: mse_loss(y_hat, y) + net.kept[-1].square().mean()), 0.05, 2)
    assert not net.kept
    told = Holding(lambda net: None, lambda net, x: net.first(x))
    told.forward = lambda x: (told.last(torch.tanh(told.first(x))), told.first(x))
    other = maml(Model(told, lambda both, y: mse_loss(both[0], y) + both[1].square().mean()), 0.05, 2)
    assert distance(found.meta_gradient(tasks), other.meta_gradient(tasks)) < 1e-15


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def test_hooks_on_a_backward_pass_that_no_gradient_would_meet_are_refused():
    for register in (nn.Module.register_full_backward_hook, nn.Module.register_full_backward_pre_hook):
        net, met = small(), []
        one, tasks = maml(Model(net, mse_loss), 0.05, 2), waves()
        expected = one.meta_gradient(tasks)
        handle = register(net[2], lambda *given: met.append(given))  # noqa: B023
        net(tasks.query.x[0]).sum().backward()
        assert met
        with pytest.raises(ValueError, match=r"^net: expected layers without hooks on their backward.*got 2 with one"):
            one.meta_gradient(tasks)
        handle.remove()
        assert distance(one.meta_gradient(tasks), expected) == 0


def test_a_draw_into_an_empty_tensor_says_how_to_draw():
    noisy = Holding(lambda net: None, lambda net, x: net.first(x) * torch.empty(4).bernoulli_(0.5))
    with pytest.raises(ValueError, match=r"^net: expected operations that can be done for all tasks.*draw by torch\.r"):
        maml(Model(noisy, mse_loss), 0.05, 2).meta_gradient(waves())


@pytest.mark.parametrize("inplace", [False, True])
def test_a_hard_sigmoid_of_which_pytorch_has_one_derivative(inplace):
    net = nn.Sequential(nn.Linear(1, 6), nn.Hardsigmoid(inplace), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    require_exact(net)
    x = torch.linspace(-5, 5, 21)
    own = x.clone()
    with exact_operations():
        found = nn.Hardsigmoid(inplace)(own)
    torch.testing.assert_close(found, nn.Hardsigmoid()(x))
    assert torch.equal(own, found if inplace else x)


class Weighted(nn.Module):
    """A loss whose weight is in a buffer, which it counts up in its place where ``counts``."""

    def __init__(self, counts):
        super().__init__()
        self.counts = counts
        self.register_buffer("weight", torch.tensor([2.0], dtype=torch.float64))
        self.register_buffer("nothing", None)

    def forward(self, y_hat, y):
        if self.counts:
            self.weight += 1
        return (self.weight * (y_hat - y).square()).mean()


def test_a_loss_that_counts_in_a_buffer_is_refused_and_has_not_counted():
    require_exact(small(), Weighted(counts=False), times=2)
    loss = Weighted(counts=True)
    own = loss.weight
    with pytest.raises(ValueError, match=r"^loss: expected a loss that leaves its buffers alone.*writes into weight"):
        maml(Model(small(), loss), 0.05, 2).meta_gradient(waves())
    assert loss.weight is own
    assert own == 2


@pytest.mark.parametrize("options", [{}, {"centered": True, "momentum": 0.5}, {"weight_decay": 0.1}], ids=str)
def test_inner_rmsprop_is_that_of_pytorch_where_weights_have_no_gradient(options):
    rule = partial(torch.optim.RMSprop, **options)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    with torch.no_grad():
        net[0].bias[:3] = -50.0
    require_exact(net, rule=rule)


def in_16_bits(rule=torch.optim.SGD):
    """Give a learner of float16 weights, of which some have no gradient, and one of the same in float32."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1)).half()
    solver = GradientDescent(0.01, 2, rule=rule)
    return (MetaLearner(Model(own, mse_loss), solver) for own in (net, copy.deepcopy(net).float()))


def test_an_eps_that_is_nothing_in_float16_is_refused():
    tasks = WAVES.draw(3, torch.Generator().manual_seed(0))
    for rule in (torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adamax):
        short, long = in_16_bits(rule)
        with pytest.raises(ValueError, match=r"^rule: expected an eps that float16 weights can.* with 1e-08"):
            short.meta_gradient(tasks)
        assert long.meta_gradient(tasks)
    short, long = in_16_bits()
    with pytest.raises(ValueError, match=r"^optimizer: expected an eps that float16 weights can hold, got Adam with"):
        fit(short, WAVES, steps=3)
    assert fit(short, WAVES, steps=3, tasks=2, optimizer=partial(torch.optim.Adam, eps=1e-3)).losses
    assert fit(long, WAVES, steps=3, tasks=2).losses


def scheduled(params, lr):
    optimizer = torch.optim.SGD(params, lr=lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    optimizer.register_step_post_hook(lambda *_: scheduler.step())
    return optimizer


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            {"optimizer": scheduled},
            r"^optimizer: expected one whose rates beta decides, got SGD with a scheduler",
        ),
        ({"beta": lambda: 1e-3}, r"^beta: expected a number or a function of the step's number.*got beta\(\); let it"),
        ({"beta": lambda step, loss: 1e-3}, r"^beta: expected a number or a function.*got beta\(step, loss\); let it"),
        ({"optimizer": torch.optim.Muon}, r"^optimizer: expected a callable.*which refuses that call: .*2D parameters"),
    ],
    ids=["scheduled", "of nothing", "of two", "matrices"],
)
def test_outer_rules_that_are_called_otherwise(setting, said):
    with pytest.raises(ValueError, match=said):
        fit(maml(Model(small(), mse_loss), 0.05, 1), WAVES, steps=1, **setting)


def test_rates_are_numbers_of_any_kind_and_tensors_are_no_way_round():
    def descended(alpha):
        return maml(Model(small(), mse_loss), alpha, 2).meta_gradient(waves())

    assert distance(descended(Fraction(1, 20)), descended(0.05)) == 0
    assert distance(descended(torch.tensor(0.05, dtype=torch.float64)), descended(0.05)) == 0
    assert descended(nn.Parameter(torch.tensor(-0.05)))
    for alpha in (torch.tensor(-0.05), torch.tensor([float("nan")])):
        with pytest.raises(ValueError, match=r"^alpha: expected a finite inner rate of at least 0, got (-0\.05|nan)"):
            descended(alpha)


def test_a_learner_whose_weights_are_all_frozen_says_so():
    one, tasks = maml(Model(small(), mse_loss), 0.05, 2), waves()
    expected = one.adapt(tasks.support).phi
    one.requires_grad_(False)
    for use in (
        lambda: one.adapt(tasks.support),
        lambda: one.network(tasks.support),
        lambda: one.meta_gradient(tasks),
        lambda: evaluate(one, WAVES, tasks=3),
    ):
        with pytest.raises(ValueError, match=r"^net: expected weights that learn, got only frozen ones by now"):
            use()
    one.requires_grad_()
    assert distance(one.adapt(tasks.support).phi, expected) == 0


def two_of_a_kind():
    torch.manual_seed(0)
    return maml(Model(nn.Sequential(*(nn.Linear(1, 1) for _ in range(3))), mse_loss), 0.01, 1)


def test_the_memory_of_an_optimizer_is_that_of_the_same_weights(tmp_path):
    one, file = two_of_a_kind(), tmp_path / "run"
    one.model.net[0].requires_grad_(False)
    history = fit(one, WAVES, steps=2, tasks=2, checkpoint=file)
    one.model.net[0].requires_grad_()
    one.model.net[1].requires_grad_(False)  # as many weights of the same shapes learn
    with pytest.raises(ValueError, match=r"^after: expected the weights of that run, .*0\.weight.*frozen, whose"):
        fit(one, WAVES, steps=2, tasks=2, after=history)
    other = two_of_a_kind()
    other.model.net[1].requires_grad_(False)
    with pytest.raises(ValueError, match=r"^resume: .*another run: weights: the checkpoint has .*0\.weight.*, frozen"):
        fit(other, WAVES, steps=4, tasks=2, checkpoint=file, resume=True)
    again = two_of_a_kind()
    again.model.net[0].requires_grad_(False)
    assert fit(again, WAVES, steps=4, tasks=2, checkpoint=file, resume=True).losses[:2] == history.losses


def test_data_that_were_made_in_inference_mode():
    one, tasks = maml(Model(small(), mse_loss), 0.05, 2), waves()
    expected = one.meta_gradient(tasks)
    with torch.inference_mode():
        features = tree_map(lambda leaf: leaf.clone(), tasks)
    assert features.support.x.is_inference()
    assert distance(one.meta_gradient(features), expected) == 0
    assert distance(one.adapt(features.support).phi, one.adapt(tasks.support).phi) == 0


class Adapter(nn.Module):
    """A frozen layer with a small one beside it, merged in evaluation, where ``merges``."""

    def __init__(self, merges):
        super().__init__()
        self.frozen = nn.Parameter(torch.full((4, 1), 0.3), requires_grad=False)
        self.beside, self.last = nn.Linear(1, 4, bias=False), nn.Linear(4, 1)
        self.merges, self.merged = merges, False

    def train(self, mode=True):
        super().train(mode)
        if self.merges and self.merged == mode:
            self.frozen.data += self.beside.weight.data * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, x):
        hidden = x @ self.frozen.T
        return self.last(torch.tanh(hidden if self.merged else hidden + self.beside(x)))


def test_adapters_that_evaluation_merges_are_refused_and_as_before():
    torch.manual_seed(0)
    one, tasks = maml(Model(Adapter(merges=True), mse_loss), 0.05, 2), waves()
    expected = one.meta_gradient(tasks)
    for _ in range(3):
        for use in (lambda: evaluate(one, WAVES, tasks=3), lambda: one.adapt(tasks.support)):
            with pytest.raises(ValueError, match=r"^net: expected weights that the change to ev.*changes.*frozen"):
                use()
    assert torch.equal(one.model.net.frozen, torch.full((4, 1), 0.3))
    assert not one.model.net.merged
    assert distance(one.meta_gradient(tasks), expected) == 0
    one.model.net.merges = False
    assert evaluate(one, WAVES, tasks=3).isfinite().all()


def test_a_layer_that_stays_in_its_mode_is_in_it_afterwards():
    class Fixed(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    net = nn.Sequential(nn.Linear(1, 4), Fixed(4), nn.Dropout(0.5), nn.Linear(4, 1)).train()
    one = maml(Model(net, mse_loss), 0.05, 2)
    evaluate(one, WAVES, tasks=3)
    assert [part.training for part in net] == [True, False, True, True]


def test_a_trace_is_good_for_its_own_autocast_only(monkeypatch):
    monkeypatch.setattr(tracing, "_compiled", lambda graph, tensors: graph)
    one, tasks = maml(Model(small().float(), mse_loss), 0.05, 2), WAVES.draw(3, torch.Generator().manual_seed(0))
    tracer, found = Tracer(one), []
    for enabled in (True, False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found += [(tracer.run("step", one.gradients, tasks)[0], one.meta_gradient(tasks))]
    assert all(distance(*pair) < 1e-6 for pair in found)
    assert distance(found[0][1], found[1][1]) > 1e-4


def test_activations_are_of_the_weights_that_they_are_asked_of():
    layer = Holding(*HELD["a list"])
    model, tasks = Model(nn.Sequential(layer), mse_loss), waves()
    phi = tuple(weight.detach().repeat(3, *[1] * weight.ndim) * 1.5 for weight in model.theta)
    found = activations(model, phi, tasks.query.x)["0"]
    with torch.no_grad():
        for weight in layer.parameters():
            weight *= 1.5
        torch.testing.assert_close(found, layer(tasks.query.x))


class Penalised(nn.Module):
    """A network that gives the squares of what requires a gradient besides its predictions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(1, 4).double(), nn.Linear(4, 1).double()

    def forward(self, x):
        hidden = self.first(x)
        assert hidden.requires_grad == torch.is_grad_enabled()
        counted = [t for t in (*self.parameters(), x) if t.requires_grad]
        return self.last(torch.tanh(hidden)), sum(t.square().sum() for t in counted)


def test_a_network_is_told_what_requires_a_gradient():
    require_exact(Penalised(), lambda both, y: mse_loss(both[0], y) + 0.01 * both[1])
    frozen = Penalised()
    frozen.last.requires_grad_(False)
    one = Model(frozen, lambda both, y: both[1])
    tasks = waves()
    own = sum(weight.square().sum() for weight in frozen.first.parameters())
    phi = tuple(weight.expand(3, *weight.shape) for weight in one.theta)
    with torch.no_grad():  # nothing but the weights themselves
        found = one(phi, tasks.query.x)[1]
    torch.testing.assert_close(found, own.detach().expand(3))


def test_two_threads_do_not_call_one_network_at_a_time():
    inside, free = threading.Event(), threading.Event()

    def read(net, x):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            assert free.wait(20)
        return net.first(x)

    one, tasks, found = maml(Model(Holding(lambda net: None, read), mse_loss), 0.05, 2), waves(), []
    expected = one.meta_gradient(tasks)
    thread = threading.Thread(target=lambda: found.append(one.meta_gradient(tasks)))
    thread.start()
    assert inside.wait(20)
    for use in (
        lambda: one.meta_gradient(tasks),
        lambda: one.adapt(tasks.support),
        lambda: one.model.theta,
        lambda: one.model.names,
        lambda: buffers_kept(one.model.net, {}).__enter__(),
    ):
        with pytest.raises(ValueError, match=r"^net: expected one thread to call the network at a time, got two"):
            use()
    free.set()
    thread.join()
    assert distance(found[0], expected) == distance(one.meta_gradient(tasks), expected) == 0


def halved(net, x):
    with torch.no_grad():
        net.first.weight.mul_(0.5)
    return net.first(x)


def shifted(net, x):
    return net.first(F.relu(x, inplace=True))


@pytest.mark.parametrize(("read", "what"), [(halved, "weights"), (shifted, "x")], ids=["weights", "inputs"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_network_that_writes_into_what_it_is_given_is_found_out(read, what, count):
    net, tasks = Holding(lambda net: None, read), waves().pick(slice(count))
    one, before = maml(Model(net, mse_loss), 0.05, 2), net.first.weight.clone()
    for use in (lambda: one.meta_gradient(tasks), lambda: one.adapt(tasks.support)):
        with pytest.raises(ValueError, match=rf"^net: expected .*(leave {what} alone|leave weights and x)"):
            use()
    if count > 1:  # all tasks have one theta, into which torch lets nobody write
        assert torch.equal(net.first.weight, before)


def test_a_loss_that_writes_into_targets_is_found_out_and_one_into_predictions_is_right():
    def centred(y_hat, y):
        y -= y.mean()
        return mse_loss(y_hat, y)

    with pytest.raises(ValueError, match=r"^loss: expected operations that leave y alone.*and has by now"):
        maml(Model(small(), centred), 0.05, 2).meta_gradient(waves())
    require_exact(small(), lambda y_hat, y: y_hat.sub_(y).square().mean())
