"""Decision problems in NumPy and loops: returns, policy gradients and Hessians, without torch."""

from itertools import product

import numpy as np

from mamlbook.reinforcement import DecisionProblems

STATES, ACTIONS, HORIZON = 3, 2, 3


def tables(seed: int, tasks: int = 1):
    """Random start, transition and rewards, with a state that is no start and a way that is none."""
    random = np.random.default_rng(seed)
    start = np.array([0.3, 0.7, 0.0])
    transition = random.dirichlet(np.ones(STATES), (STATES, ACTIONS))
    transition[0, 1] = [0.0, 0.4, 0.6]
    return start, transition, random.normal(size=(tasks, STATES, ACTIONS))


def problems(seed: int, tasks: int = 1) -> DecisionProblems:
    """The same problems in the package."""
    return DecisionProblems(*tables(seed, tasks), HORIZON)


def logits(seed: int) -> np.ndarray:
    """The logits of a policy, (states, actions)."""
    return np.random.default_rng(100 + seed).normal(size=(STATES, ACTIONS))


def softmax(rows):
    """Also of complex numbers."""
    powers = np.exp(rows)
    return powers / powers.sum(-1, keepdims=True)


def trajectories(start, transition, reward, horizon=HORIZON):
    """Every trajectory as (states, actions, the environment's probability, rewards)."""
    states, actions = reward.shape
    for first in range(states):
        for acted in product(range(actions), repeat=horizon):
            for after in product(range(states), repeat=horizon - 1):
                way = (first, *after)
                chance = start[first]
                for time, arrived in enumerate(after):
                    chance *= transition[way[time], acted[time], arrived]
                if chance > 0:
                    yield way, acted, chance, np.array([reward[s, a] for s, a in zip(way, acted, strict=True)])


def scores(theta, way, acted):
    """grad log pi(a_t | s_t) for every t: (T, states, actions)."""
    chance, rows = softmax(theta), np.zeros((len(way), *theta.shape), dtype=theta.dtype)
    for time, (s, a) in enumerate(zip(way, acted, strict=True)):
        rows[time, s] = -chance[s]
        rows[time, s, a] += 1
    return rows


def curvatures(theta, way):
    """The Hessian of log pi(a_t | s_t) for every t: (T, n, n), which is -(diag(pi) - pi pi') in the row of s_t."""
    chance, count = softmax(theta), theta.shape[1]
    rows = np.zeros((len(way), theta.size, theta.size))
    for time, s in enumerate(way):
        block = slice(s * count, (s + 1) * count)
        rows[time, block, block] = np.outer(chance[s], chance[s]) - np.diag(chance[s])
    return rows


def probability(theta, way, acted, chance):
    odds = softmax(theta)
    return chance * np.prod([odds[s, a] for s, a in zip(way, acted, strict=True)])


def expected_return(theta, problem):
    """J: a sum over all trajectories."""
    return sum(probability(theta, way, acted, p) * r.sum() for way, acted, p, r in trajectories(*problem))


def policy_gradient(theta, problem):
    """grad J by the score, also at complex logits."""
    return sum(
        probability(theta, way, acted, p) * r.sum() * scores(theta, way, acted).sum(0)
        for way, acted, p, r in trajectories(*problem)
    )


def complex_step(function, theta):
    """The gradient of a real function that is analytic, without a difference of two numbers."""
    found = np.zeros_like(theta)
    for place in np.ndindex(theta.shape):
        moved = theta.astype(complex)
        moved[place] += 1e-30j
        found[place] = function(moved).imag / 1e-30
    return found


def meta_gradient(theta, problem, alpha):
    """The gradient of -J(theta + alpha grad J(theta))."""
    return complex_step(lambda at: -expected_return(at + alpha * policy_gradient(at, problem), problem), theta)


def sampled_hessian(name, theta, way, acted, r):
    """The second derivative at theta of one trajectory's surrogate, written out: (n, n)."""
    ahead = r[::-1].cumsum()[::-1]
    flat, bent = scores(theta, way, acted).reshape(len(way), -1), curvatures(theta, way)
    if name == "naive":
        return np.einsum("t,tij->ij", ahead, bent)
    if name == "lvc":
        return np.einsum("t,tij->ij", ahead, bent + np.einsum("ti,tj->tij", flat, flat))
    summed, curved = flat.cumsum(0), bent.cumsum(0)
    return np.einsum("t,tij->ij", r, curved + np.einsum("ti,tj->tij", summed, summed))


def sampled_gradient(theta, way, acted, r):
    """The first derivative, the same for all: sum_t grad log pi_t times the return from t on."""
    return np.einsum("t,t...->...", r[::-1].cumsum()[::-1], scores(theta, way, acted))


def estimate(name, theta, problem, alpha, drawn):
    """The meta-gradient from a support set of trajectories, with an exact query gradient."""
    gradient = np.mean([sampled_gradient(theta, way, acted, r) for way, acted, _, r in drawn], 0)
    hessian = np.mean([sampled_hessian(name, theta, way, acted, r) for way, acted, _, r in drawn], 0)
    outer = policy_gradient(theta + alpha * gradient, problem).reshape(-1)
    return -(outer + alpha * hessian @ outer).reshape(theta.shape)


def expected_hessian(name, theta, problem):
    return sum(
        probability(theta, way, acted, p) * sampled_hessian(name, theta, way, acted, r)
        for way, acted, p, r in trajectories(*problem)
    )
