"""In which limit each changed outer loop is MAML, or an independent derivation of what it does."""

import math

import torch

from battery import relative, seeded, sine_model, sine_tasks
from mamlbook import Model, distance, linear
from mamlbook.algorithms import ALGORITHMS
from mamlbook.tasks.quadratic import Quadratics, half_squared_error

ALPHA = 0.03


def build(name, model=None, **options):
    return ALGORITHMS[name](sine_model() if model is None else model, alpha=ALPHA, **options)


def numbered(tasks=5, seed=0):
    return sine_tasks(tasks, seed)._replace(index=torch.arange(tasks))


def each_gradient(tasks, steps=1):
    """Every task's own meta-gradient and query loss, one task at a time."""
    learner = build("maml", steps=steps)
    alone = [tasks.pick([b]) for b in range(len(tasks.index))]
    gradients = [torch.cat([g.flatten() for g in learner.meta_gradient(one)]) for one in alone]
    return torch.stack(gradients), torch.stack([learner(one)[1][0] for one in alone])


def flat(gradient):
    return torch.cat([g.flatten() for g in gradient])


def softmax_weights():
    """T to infinity is the mean, T to 0 the worst task; between, the gradient of T log mean exp(L / T)."""
    tasks = sine_tasks()
    maml = build("maml").meta_gradient(tasks)
    assert relative(build("softmax-weights", temperature=1e9).meta_gradient(tasks), maml) < 1e-8
    gradients, losses = each_gradient(tasks)
    worst = build("softmax-weights", temperature=1e-4).meta_gradient(tasks)
    assert distance([flat(worst)], [gradients[losses.argmax()]]) < 1e-12

    model = sine_model()
    problem_losses = torch.stack([build("maml", model)(tasks.pick([b]))[0] for b in range(5)])
    smoothed = 0.7 * torch.log(torch.exp(problem_losses / 0.7).mean())
    expected = torch.autograd.grad(smoothed, model.theta)
    assert relative(build("softmax-weights", temperature=0.7).meta_gradient(tasks), expected) < 1e-12


def robust():
    """At first it is MAML; with losses that stay, all the weight goes to the worst task of the collection."""
    tasks = numbered()
    learner = build("robust", tasks=5, rate=1.0).double()
    assert relative(learner.meta_gradient(tasks), build("maml").meta_gradient(tasks)) < 1e-12
    for _ in range(300):
        learner(tasks)
        learner.advance()
    gradients, losses = each_gradient(tasks)
    assert learner.weighting.p[losses.argmax()] > 1 - 1e-12
    assert distance([flat(learner.meta_gradient(tasks))], [gradients[losses.argmax()]]) < 1e-10


def learned_weights():
    """The surrogate differentiates mean exp(-s) L + s in both; its minimum in s is log L."""
    tasks = numbered()
    learner = build("learned-weights", tasks=5)
    assert relative(learner.meta_gradient(tasks), build("maml").meta_gradient(tasks)) < 1e-12  # s = 0
    with torch.no_grad():
        learner.weighting.s.copy_(torch.linspace(-1, 1, 5))
    gradients, losses = each_gradient(tasks)
    s = learner.weighting.s
    weights = torch.exp(-s.detach()).double()
    surrogate, _ = learner(tasks)
    surrogate.backward()
    assert distance([flat([t.grad for t in learner.model.theta])], [(weights[:, None] * gradients).mean(0)]) < 1e-12
    assert distance([s.grad.double()], [(1 - weights * losses) / 5]) < 1e-6
    with torch.no_grad():
        s.copy_(losses.log())
    s.grad = None
    learner(tasks)[0].backward()
    assert s.grad.abs().max() < 1e-6


def amfs_weights():
    """Tasks that agree count the same, and T to infinity is the mean; between, the softmax written out."""
    tasks = sine_tasks()
    same = tasks.pick([2, 2, 2])
    assert relative(build("amfs-weights").meta_gradient(same), build("maml").meta_gradient(same)) < 1e-12
    maml = build("maml").meta_gradient(tasks)
    assert relative(build("amfs-weights", temperature=1e9).meta_gradient(tasks), maml) < 1e-8
    gradients, _ = each_gradient(tasks)
    mean = gradients.mean(0)
    cosines = gradients @ mean / (gradients.norm(dim=1) * mean.norm())
    expected = torch.softmax(cosines / 0.1, 0) @ gradients
    assert distance([flat(build("amfs-weights", temperature=0.1).meta_gradient(tasks))], [expected]) < 1e-12


def conflict_averse():
    """c = 0 is the mean; for 2 and 3 tasks no point of a fine grid on the simplex solves the small problem better."""
    tasks = sine_tasks()
    assert relative(build("conflict-averse", c=0.0).meta_gradient(tasks), build("maml").meta_gradient(tasks)) < 1e-12
    for count in (2, 3):
        few = tasks.pick(range(count))
        gradients, _ = each_gradient(few)
        mean = gradients.mean(0)
        for c in (0.3, 0.8):
            d = flat(build("conflict-averse", c=c).meta_gradient(few))
            assert abs((d - mean).norm() / mean.norm() - c) < 1e-9  # on the edge of the ball
            mixed = grid(count) @ gradients
            dual = mixed @ mean + c * mean.norm() * mixed.norm(dim=1)
            # Weak duality: what the worst-off task gains is at most every value of the dual.
            assert abs((gradients @ d).min() - dual.min()) < 1e-4 * dual.min().abs()


def grid(count, parts=400):
    """All weights that are multiples of 1 / parts and sum to 1, (N, count)."""
    one = torch.arange(parts + 1, dtype=torch.float64)
    if count == 2:
        return torch.stack([one, parts - one], 1) / parts
    a, b = (t.flatten() for t in torch.meshgrid(one, one, indexing="ij"))
    inside = a + b <= parts
    return torch.stack([a[inside], b[inside], (parts - a - b)[inside]], 1) / parts


def moml():
    """A memory of nothing but the newest solution is MAML, also after it was written."""
    learner, steps = build("moml", tasks=5, rate=1.0), 2
    for seed in range(steps):
        tasks = numbered(seed=seed)
        assert relative(learner.meta_gradient(tasks), build("maml").meta_gradient(tasks)) < 1e-12
        learner.advance()


def moml_v2():
    """The same, where every task is drawn every time."""
    learner = build("moml-v2", tasks=5, rate=1.0)
    for seed in range(2):
        tasks = numbered(seed=seed)
        assert relative(learner.meta_gradient(tasks), build("maml").meta_gradient(tasks)) < 1e-12
        learner.advance()


def local_moml():
    """One local step is MAML; two without memory are two steps of MAML, on each task by itself and on half the data."""
    tasks = sine_tasks()
    one = build("local-moml", local_steps=1, rate=1.0).meta_gradient(tasks)
    assert relative(one, build("maml").meta_gradient(tasks)) < 1e-10
    got = build("local-moml", local_steps=2, rate=1.0, beta=0.05).meta_gradient(tasks)
    ends = []
    for b in range(5):
        model = sine_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for half in (slice(0, 5), slice(5, 10)):
            alone = tasks.pick([b])
            cut = [type(data)(data.x[:, half], data.y[:, half]) for data in alone[:2]]
            optimizer.zero_grad()
            build("maml", model)(alone._replace(support=cut[0], query=cut[1]))[0].backward()
            optimizer.step()
        ends.append(flat(model.theta).detach())
    expected = (flat(sine_model().theta).detach() - torch.stack(ends).mean(0)) / 0.05
    assert distance([flat(got)], [expected]) < 1e-10


def bowl(theta=0.9, curvature=2.0, optimum=-0.5):
    return Model(linear([theta]), half_squared_error), Quadratics([curvature], [optimum]).all()


def sgld():
    """Without noise it is MAML; in a bowl the end of a long path has the variance T / (a + lam)."""
    tasks = sine_tasks()
    still = build("sgld", temperature=0.0, lam=0.0, last=1, steps=3).meta_gradient(tasks)
    assert relative(still, build("maml", steps=3).meta_gradient(tasks)) < 1e-12
    model, tasks = bowl()
    a, c, lam, temperature, alpha = 2.0, -0.5, 3.0, 0.4, 0.01
    learner = ALGORITHMS["sgld"](model, alpha=alpha, steps=200, lam=lam, temperature=temperature, last=1)
    torch.manual_seed(0)
    many = tasks.pick([0] * 20_000)
    phi = learner.solver(model, many.support, unroll=0).phi[0].flatten().detach()
    # The step turns N(m, v) into N(m, (1 - alpha (a + lam))^2 v + 2 alpha T), whose fixed point this is.
    variance = temperature / (a + lam) / (1 - alpha * (a + lam) / 2)
    assert abs(phi.mean().item() - (a * c + lam * 0.9) / (a + lam)) < 5 * math.sqrt(variance / 20_000)
    assert abs(phi.var().item() / variance - 1) < 5 * math.sqrt(2 / 20_000)
    # d phi / d theta = lam / (a + lam) whatever the noise, and the query gradient is linear: exact up to its mean.
    got = learner.meta_gradient(many)[0].item()
    expected = lam / (a + lam) * a * ((a * c + lam * 0.9) / (a + lam) - c)
    assert abs(got - expected) < 5 * lam / (a + lam) * a * math.sqrt(variance / 20_000)


def sgld_score():
    """In a bowl the covariance form has the same mean as the exact gradient of the expected loss."""
    model, tasks = bowl()
    a, c, lam, temperature, alpha = 2.0, -0.5, 3.0, 0.4, 0.01
    learner = ALGORITHMS["sgld-score"](model, alpha=alpha, steps=250, lam=lam, temperature=temperature, paths=8)
    torch.manual_seed(0)
    draws = torch.stack([learner.meta_gradient(tasks.pick([0] * 250))[0] for _ in range(8)]).flatten()
    mean = (a * c + lam * 0.9) / (a + lam)
    # Cov(a (phi - c)^2 / 2, phi) = a (mean - c) Var phi, and Var phi = T / (a + lam) up to the size of the step.
    variance = temperature / (a + lam) / (1 - alpha * (a + lam) / 2)
    expected = lam / temperature * a * (mean - c) * variance
    assert abs(draws.mean().item() - expected) < 5 * draws.std().item() / math.sqrt(8)
    assert abs(draws.mean().item() - lam / (a + lam) * a * (mean - c)) < 0.06 * expected


def evograd():
    """For small sigma its mean is lam sigma^2 / tau (K - 1) / K times the first-order gradient."""
    tasks = sine_tasks(tasks=1)
    lam, sigma, temperature, candidates = 2.0, 1e-3, 1.0, 2
    options = {"lam": lam, "sigma": sigma, "temperature": temperature, "candidates": candidates}
    learner = build("evograd", **options)
    many = tasks.pick([0] * 4000)
    draws = torch.stack([flat(seeded(learner, many, seed=seed)) for seed in range(5)])
    target = flat(build("fomaml").meta_gradient(tasks)) * lam * sigma**2 / temperature * (1 - 1 / candidates)
    # One draw is (s s^T) g on a scale, s the signs that differ: along g an error of sqrt(2) at most, across sqrt(P).
    share = (draws.mean(0) @ target) / (target @ target)
    assert abs(share - 1) < 5 * math.sqrt(2 / 20_000)
    error = (draws.mean(0) - target).norm() / target.norm()
    assert error < 1.5 * math.sqrt(len(target) / 20_000)


def es_maml():
    """On a quadratic, a full set of orthogonal directions gives MAML's gradient exactly, at any width."""
    bowls = Quadratics(torch.stack([torch.diag(torch.tensor([1.0, 2.0, 3.0, 0.5])), torch.eye(4)]), torch.ones(2, 4))
    theta = [0.5, -1.0, 2.0, 0.25]
    model = Model(linear(theta), half_squared_error)
    exact = build("maml", model, steps=3).meta_gradient(bowls.all())
    for sigma in (0.01, 3.0):
        learner = build("es-maml", model, steps=3, pairs=4, sigma=sigma, orthogonal=True)
        assert relative(learner.meta_gradient(bowls.all()), exact) < 1e-10
    gaussian = build("es-maml", model, steps=3, pairs=4, sigma=0.1)
    torch.manual_seed(0)
    many = bowls.all().pick([0, 1] * 5000)
    # The mean of g e e^T over n directions has the variance (|g|^2 + g_i^2) / n in each entry.
    error = flat(gaussian.meta_gradient(many)) - flat(exact)
    largest = flat(build("maml", model, steps=3).meta_gradient(bowls.all().pick([0]))).norm()
    assert error.norm() < 5 * largest * math.sqrt(5 / 40_000)


LIMITS = {
    "softmax-weights": softmax_weights,
    "robust": robust,
    "learned-weights": learned_weights,
    "amfs-weights": amfs_weights,
    "conflict-averse": conflict_averse,
    "moml": moml,
    "moml-v2": moml_v2,
    "local-moml": local_moml,
    "sgld": sgld,
    "sgld-score": sgld_score,
    "evograd": evograd,
    "es-maml": es_maml,
}
