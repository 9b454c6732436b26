"""The meta-gradient of every algorithm a second time: one task after another, in plain loops, and slowly.

Nothing of the package is used, and none of its means: no ``vmap``, no ``higher``, no surrogate. A network is evaluated
by ``torch.func.functional_call`` on the network itself, and every derivative is an explicit ``torch.autograd.grad``.
The formulas are those in the docstrings of the rows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map

Weights = dict[str, Tensor]

ALPHA, STEPS = 0.1, 2

SETTINGS: dict[str, dict[str, Any]] = {
    "joint": {},
    "maml": {"alpha": ALPHA, "steps": STEPS},
    "fomaml": {"alpha": ALPHA, "steps": STEPS},
    "reptile": {"alpha": ALPHA, "steps": STEPS},
    "imaml": {"alpha": 0.01, "steps": STEPS, "lam": 40.0, "iterations": 12, "damping": 1.0},
    "imaml-neumann": {"alpha": 0.01, "steps": STEPS, "lam": 5.0, "iterations": 3, "rate": 0.01},
    "truncated": {"alpha": ALPHA, "steps": 3, "last": 1},
    "forward-mode": {"alpha": ALPHA, "steps": STEPS},
    "finite-difference": {"alpha": ALPHA, "steps": STEPS, "epsilon": 0.01},
    "kernel-ridge": {"lam": 0.1},
    "ntk-ridge": {"lam": 0.1},
    "meta-rkhs-2": {"time": 0.25},
    "meta-rkhs-1": {"reward": 0.05},
    "line-search": {"steps": STEPS, "damping": 0.5},
    "fiml": {"steps": STEPS, "damping": 0.05, "pull": 0.125},
    "protomaml": {"alpha": ALPHA, "steps": STEPS},
    "anil": {"alpha": ALPHA, "steps": STEPS},
    "boil": {"alpha": ALPHA, "steps": STEPS},
    "lambda-pattern": {"alpha": ALPHA, "steps": STEPS},
    "meta-sgd": {"alpha": ALPHA, "steps": STEPS},
    "lslr": {"alpha": ALPHA, "steps": STEPS},
    "cavia": {"alpha": 1.0, "steps": STEPS},
    "dropgrad": {"alpha": ALPHA, "steps": STEPS, "p": 0.25},
    "multi-step-loss": {"alpha": ALPHA, "steps": STEPS},
    "annealed": {"alpha": ALPHA, "steps": STEPS, "after": 1},
    "maml++": {"alpha": ALPHA, "steps": STEPS, "after": 0},
    "softmax-weights": {"alpha": ALPHA, "steps": STEPS, "temperature": 0.5},
    "robust": {"alpha": ALPHA, "steps": STEPS},
    "learned-weights": {"alpha": ALPHA, "steps": STEPS},
    "amfs-weights": {"alpha": ALPHA, "steps": STEPS, "temperature": 0.5},
    "conflict-averse": {"alpha": ALPHA, "steps": STEPS, "c": 0.5},
    "moml": {"alpha": ALPHA, "steps": STEPS},
    "moml-v2": {"alpha": ALPHA, "steps": STEPS},
    "local-moml": {"alpha": ALPHA, "steps": 1, "local_steps": 2, "beta": 0.1, "rate": 0.5},
    "sgld": {"alpha": ALPHA, "steps": STEPS, "lam": 1.0, "temperature": 0.01, "last": 2},
    "sgld-score": {"alpha": 0.01, "steps": STEPS, "lam": 5.0, "temperature": 0.01, "paths": 3},
    "evograd": {"alpha": ALPHA, "steps": STEPS, "lam": 1.0, "candidates": 3, "sigma": 0.01, "temperature": 0.1},
    "es-maml": {"alpha": ALPHA, "steps": STEPS, "pairs": 2, "sigma": 0.01},
}
"""The hyperparameters of every row here: few steps, and rates large enough that what is left out would be seen."""


def settings(row: str, net: nn.Module) -> dict[str, Any]:
    """The hyperparameters of a row for one network: a pattern has as many signs as the network has layers."""
    if row != "lambda-pattern":
        return SETTINGS[row]
    count = len(layers_of(learned(net)))
    second = "".join("01"[(count - place) % 2] for place in range(count))  # every other layer, the last among them
    return SETTINGS[row] | {"rows": ("1" * count, second)}


def learned(net: nn.Module) -> Weights:
    """The weights that are learned, by name; a tensor with two names is one weight."""
    return {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}


def layers_of(names: Any) -> list[str]:
    """The layers of these weights, in their order: a layer is all of a name but its last part."""
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))


def oracle(
    row: str,
    net: nn.Module,
    loss: Callable[[Any, Tensor], Tensor],
    tasks: Any,
    head: str | None = None,
    seed: int = 0,
    **changed: Any,
) -> Weights:
    """The meta-gradient of a row, one entry for every weight that is learned.

    ``head`` is the name of the last layer, an ``nn.Linear``. ``seed`` is that of the draws of noisy rows, which are
    drawn for all tasks at once, weight by weight. ``changed`` replaces some of ``SETTINGS[row]``.
    """
    return Oracle(net, loss, tasks, head, seed).meta_gradient(row, **settings(row, net) | changed)


class Task(NamedTuple):
    """One task: its network as a function of weights, and the two sets of examples."""

    predict: Callable[[Weights, Any], Any]
    loss: Callable[[Any, Tensor], Tensor]
    support: tuple[Any, Tensor]
    query: tuple[Any, Tensor]

    def on_support(self, phi: Weights) -> Tensor:
        return self.loss(self.predict(phi, self.support[0]), self.support[1])

    def on_query(self, phi: Weights) -> Tensor:
        return self.loss(self.predict(phi, self.query[0]), self.query[1])


class Oracle:
    """The meta-gradients of one network on one batch of tasks."""

    def __init__(self, net: nn.Module, loss: Callable, tasks: Any, head: str | None = None, seed: int = 0):
        self.net, self.loss, self.head, self.seed = net, loss, head, seed
        self.count = len(tasks.index)
        self.tasks = [
            Task(self.predict, loss, *((_task(data.x, b), data.y[b]) for data in (tasks.support, tasks.query)))
            for b in range(self.count)
        ]
        self.known: dict[Any, Any] = {}

    def predict(self, phi: Weights, x: Any) -> Any:
        everywhere = {name: phi[first] for first, names in self.places.items() if first in phi for name in names}
        with spelled_out():
            return functional_call(self.net, everywhere, x if isinstance(x, tuple) else (x,), tie_weights=False)

    @cached_property
    def places(self) -> dict[str, list[str]]:
        """Where each weight stands, under the first of its names.

        A tensor that two layers share stands in both. A layer with two names is one place, and has to be told once:
        ``functional_call`` would otherwise keep the last weights it was given.
        """
        first, found, seen = {}, {}, set()
        for name, p in self.net.named_parameters(remove_duplicate=False):
            owner, _, last = name.rpartition(".")
            place = id(self.net.get_submodule(owner)), last
            if place not in seen:
                seen.add(place)
                found.setdefault(first.setdefault(id(p), name), []).append(name)
        return found

    def theta(self) -> Weights:
        """The weights, to be differentiated afresh."""
        return {name: p.clone().requires_grad_() for name, p in learned(self.net).items()}

    @cached_property
    def used(self) -> list[str]:
        """The weights that the loss depends on; the others have no gradient, and no noise is drawn for them."""
        theta = self.theta()
        return [name for name, g in _slope(self.tasks[0].on_support(theta), theta, none=True).items() if g is not None]

    def meta_gradient(self, row: str, **options: Any) -> Weights:
        rule: Callable[..., Weights] = getattr(self, "row_" + row.replace("-", "_").replace("++", "_plus_plus"))
        return rule(**options)

    # What rows have in common.

    def mean(self, of_task: Callable[[Task], Weights]) -> Weights:
        return self.combined([of_task(task) for task in self.tasks], [1 / self.count] * self.count)

    def combined(self, gradients: list[Weights], weights: Any) -> Weights:
        return {name: sum(w * g[name] for w, g in zip(weights, gradients, strict=True)) for name in learned(self.net)}

    def mamls(self, alpha: float, steps: int) -> tuple[list[Weights], list[Tensor]]:
        """MAML's gradient and query loss of every task."""
        key = ("maml", alpha, steps)
        if key not in self.known:
            gradients, losses = [], []
            for task in self.tasks:
                theta = self.theta()
                *_, phi = descend(task.on_support, theta, alpha, steps)
                losses.append(task.on_query(phi))
                gradients.append(_slope(losses[-1], theta))
            self.known[key] = gradients, [loss.detach() for loss in losses]
        return self.known[key]

    def solutions(self, alpha: float, steps: int) -> list[Weights]:
        """What plain steps lead to, as constants."""
        key = ("solutions", alpha, steps)
        if key not in self.known:
            self.known[key] = [
                _constant(list(descend(task.on_support, self.theta(), alpha, steps, graph=False))[-1])
                for task in self.tasks
            ]
        return self.known[key]

    def draws(self, draw: Callable[..., Tensor], copies: int, names: list[str], times: int = 1) -> list[list[Weights]]:
        """For each time and each of the copies of each task a draw for each weight, as the package draws them."""
        torch.manual_seed(self.seed)
        found = []
        for _ in range(times):
            drawn = {
                name: draw(copies * self.count, *p.shape, dtype=p.dtype)
                for name, p in learned(self.net).items()
                if name in names
            }
            found.append([{name: all_of[b] for name, all_of in drawn.items()} for b in range(copies * self.count)])
        return found

    # First order and MAML.

    def row_joint(self) -> Weights:
        def of_task(task: Task) -> Weights:
            theta = self.theta()
            return _slope(task.on_query(theta), theta)

        return self.mean(of_task)

    def row_maml(self, alpha: float, steps: int) -> Weights:
        gradients, _ = self.mamls(alpha, steps)
        return self.combined(gradients, [1 / self.count] * self.count)

    def row_fomaml(self, alpha: float, steps: int) -> Weights:
        def at(task: Task, phi: Weights) -> Weights:
            phi = _leaf(phi)
            return _slope(task.on_query(phi), phi)

        gradients = [at(task, phi) for task, phi in zip(self.tasks, self.solutions(alpha, steps), strict=True)]
        return self.combined(gradients, [1 / self.count] * self.count)

    def row_reptile(self, alpha: float, steps: int) -> Weights:
        theta = learned(self.net)
        ways = [{name: theta[name] - phi[name] for name in theta} for phi in self.solutions(alpha, steps)]
        return self.combined(ways, [1 / self.count] * self.count)

    def row_truncated(self, alpha: float, steps: int, last: int) -> Weights:
        def of_task(task: Task) -> Weights:
            *_, at = descend(task.on_support, self.theta(), alpha, steps - last, graph=False)
            at = _leaf(at)  # the Jacobian of the way there is read as the identity
            *_, phi = descend(task.on_support, at, alpha, last)
            return _slope(task.on_query(phi), at)

        return self.mean(of_task)

    def row_forward_mode(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)

    def row_finite_difference(self, alpha: float, steps: int, epsilon: float) -> Weights:
        def of_task(task: Task) -> Weights:
            def gradient(phi: Weights) -> Weights:
                phi = _leaf(phi)
                return _slope(task.on_support(phi), phi)

            path = list(descend(task.on_support, self.theta(), alpha, steps, graph=False))
            phi = _leaf(path[-1])
            v = _slope(task.on_query(phi), phi)
            for at in reversed(path[:-1]):
                e = epsilon / math.sqrt(_dot(v, v))
                ahead, behind = (gradient({n: at[n] + sign * e * v[n] for n in v}) for sign in (1, -1))
                v = {n: v[n] - alpha * (ahead[n] - behind[n]) / (2 * e) for n in v}
            return v

        return self.mean(of_task)

    # The solution as a minimum.

    def row_imaml(self, alpha: float, steps: int, lam: float, iterations: int, damping: float) -> Weights:
        """The linear system is solved until nothing is left, which conjugate gradients reach in few steps here."""

        def of_task(task: Task) -> Weights:
            q, product = self._at_minimum(task, alpha, steps, lam)
            # ((1 + damping) I + H / lam) v = q
            v = {n: torch.zeros_like(t) for n, t in q.items()}
            left = direction = q
            for _ in range(200):
                if _dot(left, left) <= 1e-30 * _dot(q, q):
                    break
                turned = {n: (1 + damping) * direction[n] + h / lam for n, h in product(direction).items()}
                size = _dot(left, left) / _dot(direction, turned)
                v = {n: v[n] + size * direction[n] for n in v}
                before, left = left, {n: left[n] - size * turned[n] for n in v}
                share = _dot(left, left) / _dot(before, before)
                direction = {n: left[n] + share * direction[n] for n in v}
            return v

        return self.mean(of_task)

    def row_imaml_neumann(self, alpha: float, steps: int, lam: float, iterations: int, rate: float) -> Weights:
        def of_task(task: Task) -> Weights:
            q, product = self._at_minimum(task, alpha, steps, lam)
            # By Horner's rule: v = rate lam (q + (I - rate M) (q + (I - rate M) (q + ...)))
            v = q
            for _ in range(iterations):
                v = {n: q[n] + v[n] - rate * (h + lam * v[n]) for n, h in product(v).items()}
            return {n: rate * lam * t for n, t in v.items()}

        return self.mean(of_task)

    def _at_minimum(self, task: Task, alpha: float, steps: int, lam: float) -> tuple[Weights, Callable]:
        """The query gradient at the solution of Adam, and the product with the Hessian of the support loss there."""
        theta = learned(self.net)
        phi, first, second = dict(theta), dict.fromkeys(theta, 0.0), dict.fromkeys(theta, 0.0)
        for step in range(1, steps + 1):
            at = _leaf(phi)
            for n, g in _slope(task.on_support(at), at).items():
                g = g + lam * (phi[n] - theta[n])
                first[n] = 0.9 * first[n] + 0.1 * g
                second[n] = 0.999 * second[n] + 0.001 * g * g
                root = (second[n] / (1 - 0.999**step)).sqrt()
                phi[n] = phi[n] - alpha / (1 - 0.9**step) * first[n] / (root + 1e-8)
        at = _leaf(phi)
        gradient = _slope(task.on_support(at), at, graph=True)

        def product(v: Weights) -> Weights:
            return _slope(_dot(gradient, v), at, keep=True)

        return _slope(task.on_query(at), at), product

    # Closed form.

    def row_kernel_ridge(self, lam: float) -> Weights:
        weight, bias = self._head()

        def of_task(task: Task) -> Weights:
            theta = self.theta()
            (x, y), n = task.support, len(task.support[1])
            h = self._features(task, theta)
            y_hat = self.predict(theta, x)
            gram = h @ h.T + lam * n * torch.eye(n, dtype=h.dtype)
            residual = _targets(y_hat, y) - y_hat
            # The minimiser is a combination of the features; what it adds is a change of the head.
            moved = torch.linalg.solve(gram, residual).T @ h
            phi = theta | {weight: theta[weight] + moved[:, : theta[weight].shape[1]]}
            if bias is not None:
                phi[bias] = theta[bias] + moved[:, -1]
            return _slope(task.on_query(phi), theta)

        return self.mean(of_task)

    def row_ntk_ridge(self, lam: float) -> Weights:
        def coefficients(gram: Tensor, residual: Tensor, n: int) -> Tensor:
            return torch.linalg.solve(gram + lam * n * torch.eye(len(gram), dtype=gram.dtype), residual)

        return self.mean(lambda task: self._by_tangents(task, coefficients))

    def row_meta_rkhs_2(self, time: float) -> Weights:
        def coefficients(gram: Tensor, residual: Tensor, n: int) -> Tensor:
            # H^-1 (I - exp(-t H / n)) r as a power series, whose terms have fallen below rounding at the end.
            total = term = time / n * residual
            for power in range(2, 400):
                term = -time / n / power * (gram @ term)
                total = total + term
                if term.abs().max() < 1e-20 * total.abs().max():
                    return total
            raise ArithmeticError("the series is too long: take a shorter time")

        return self.mean(lambda task: self._by_tangents(task, coefficients))

    def _by_tangents(self, task: Task, coefficients: Callable[[Tensor, Tensor, int], Tensor]) -> Weights:
        theta = self.theta()
        (x, y), (others, answers) = task.support, task.query
        y_hat, at_others = self.predict(theta, x), self.predict(theta, others)
        rows, columns = (_jacobian(f, theta) for f in (y_hat, at_others))
        residual = (_targets(y_hat, y) - y_hat).flatten()
        moved = columns @ rows.T @ coefficients(rows @ rows.T, residual, len(y))
        return _slope(task.loss(at_others + moved.view_as(at_others), answers), theta)

    def row_meta_rkhs_1(self, reward: float) -> Weights:
        def of_task(task: Task) -> Weights:
            theta = self.theta()
            loss = task.on_query(theta)
            gradient = _slope(loss, theta, graph=True)
            return _slope(loss - reward * _dot(gradient, gradient), theta)

        return self.mean(of_task)

    def row_line_search(self, steps: int, damping: float) -> Weights:
        def of_task(task: Task) -> Weights:
            theta = self.theta()
            change = self._searching(task, task.loss, damping, 0.0)
            *_, phi = descend(task.on_support, theta, 1.0, steps, change=change)
            return _slope(task.on_query(phi), theta)

        return self.mean(of_task)

    def _searching(self, task: Task, loss: Callable, damping: float, pull: float) -> Callable:
        """The gradient times the rate that leads to the lowest point of a quadratic."""

        def change(step: int, phi: Weights, gradients: Weights) -> Weights:
            y_hat = self.predict(phi, task.support[0])
            slopes = _jacobian(y_hat, {n: phi[n] for n in gradients})
            along = slopes @ torch.cat([g.flatten() for g in gradients.values()])
            bend = along @ _loss_hessian(loss, y_hat, task.support[1]) @ along
            length = _dot(gradients, gradients)
            rate = length / (bend + (pull + damping) * length)
            return {n: rate * g for n, g in gradients.items()}

        return change

    def row_fiml(self, steps: int, damping: float, pull: float) -> Weights:
        weight, bias = self._head()
        head = [n for n in (weight, bias) if n is not None]

        def residuals(y_hat: Tensor, y: Tensor) -> Tensor:
            wanted = y if y.is_floating_point() else 10 * _targets(y_hat, y) - 5  # 5 for the right class, -5 for others
            return (wanted - y_hat).square().sum() / 2

        def of_task(task: Task) -> Weights:
            theta = self.theta()
            start = dict(theta)
            if not task.support[1].is_floating_point():
                start |= self._shortest_head(task, theta)

            def objective(phi: Weights) -> Tensor:
                away = {n: phi[n] - theta[n] for n in head}
                return residuals(self.predict(phi, task.support[0]), task.support[1]) + pull**2 / 2 * _dot(away, away)

            change = self._searching(task, residuals, damping, pull**2)
            *_, phi = descend(objective, start, 1.0, steps, adapts=lambda step: head, change=change)
            return _slope(task.on_query(phi), theta)

        return self.mean(of_task)

    def _shortest_head(self, task: Task, theta: Weights) -> Weights:
        """For each class the shortest w with <w, own mean> = 1 and <w, mean of the others> = -1."""
        weight, bias = self._head()
        h, y = self._features(task, theta), task.support[1]
        rows = []
        for c in range(theta[weight].shape[0]):
            means = torch.stack([h[y == c].mean(0), h[y != c].mean(0)])
            rows.append(means.T @ torch.linalg.solve(means @ means.T, means.new_tensor([1.0, -1.0])))
        w = torch.stack(rows)
        found = {weight: w[:, : theta[weight].shape[1]]}
        return found if bias is None else found | {bias: w[:, -1]}

    def row_protomaml(self, alpha: float, steps: int) -> Weights:
        weight, bias = self._head()

        def of_task(task: Task) -> Weights:
            theta = self.theta()
            h, y = self._features(task, theta)[:, : theta[weight].shape[1]], task.support[1]
            means = torch.stack([h[y == c].mean(0) for c in range(theta[weight].shape[0])])
            start = theta | {weight: 2 * means, bias: -means.square().sum(1)}
            *_, phi = descend(task.on_support, start, alpha, steps)
            return _slope(task.on_query(phi), theta)

        return self.mean(of_task)

    def _head(self) -> tuple[str, str | None]:
        """The names of the head's weight and bias."""
        layer = self.net.get_submodule(self.head)
        return f"{self.head}.weight", None if layer.bias is None else f"{self.head}.bias"

    def _features(self, task: Task, theta: Weights) -> Tensor:
        """What comes into the head on the support set, with a 1 for the bias."""
        seen: list[Tensor] = []
        layer = self.net.get_submodule(self.head)
        handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        try:
            self.predict(theta, task.support[0])
        finally:
            handle.remove()
        (h,) = seen
        return h if layer.bias is None else torch.cat([h, torch.ones_like(h[:, :1])], 1)

    # Which weights adapt, and how fast.

    def row_anil(self, alpha: float, steps: int) -> Weights:
        return self._adapting(alpha, steps, lambda name, step: name.startswith(f"{self.head}."))

    def row_boil(self, alpha: float, steps: int) -> Weights:
        return self._adapting(alpha, steps, lambda name, step: not name.startswith(f"{self.head}."))

    def row_lambda_pattern(self, alpha: float, steps: int, rows: tuple[str, ...]) -> Weights:
        places = {layer: place for place, layer in enumerate(layers_of(learned(self.net)))}

        def adapts(name: str, step: int) -> bool:
            return rows[min(step, len(rows) - 1)][places[name.rpartition(".")[0] or name]] == "1"

        return self._adapting(alpha, steps, adapts)

    def row_cavia(self, alpha: float, steps: int) -> Weights:
        def zeros(theta: Weights) -> Weights:
            return {n: torch.zeros_like(t, requires_grad=True) if _of_context(n) else t for n, t in theta.items()}

        return self._adapting(alpha, steps, lambda name, step: _of_context(name), zeros)

    def _adapting(
        self, alpha: float, steps: int, accepts: Callable[[str, int], bool], start: Callable | None = None
    ) -> Weights:
        def of_task(task: Task) -> Weights:
            theta = self.theta()
            phi = theta if start is None else start(theta)
            adapts = lambda step: [n for n in theta if accepts(n, step)]  # noqa: E731
            *_, phi = descend(task.on_support, phi, alpha, steps, adapts=adapts)
            return _slope(task.on_query(phi), theta)

        return self.mean(of_task)

    def row_meta_sgd(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)  # learned rates begin at 1

    def row_lslr(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)

    def row_dropgrad(self, alpha: float, steps: int, p: float) -> Weights:
        drawn = self.draws(torch.rand, 1, self.used, steps)

        def of_task(b: int) -> Weights:
            theta, task = self.theta(), self.tasks[b]

            def drop(step: int, phi: Weights, gradients: Weights) -> Weights:
                return {n: g * (drawn[step][b][n] >= p) / (1 - p) for n, g in gradients.items()}

            *_, phi = descend(task.on_support, theta, alpha, steps, change=drop)
            return _slope(task.on_query(phi), theta)

        return self.combined([of_task(b) for b in range(self.count)], [1 / self.count] * self.count)

    # Stability.

    def row_multi_step_loss(self, alpha: float, steps: int) -> Weights:
        def of_task(task: Task) -> Weights:
            theta = self.theta()
            _, *path = descend(task.on_support, theta, alpha, steps)
            return _slope(sum(task.on_query(phi) for phi in path) / steps, theta)  # equal weights at first

        return self.mean(of_task)

    def row_annealed(self, alpha: float, steps: int, after: int) -> Weights:
        return self.row_maml(alpha, steps) if after == 0 else self.row_fomaml(alpha, steps)

    def row_maml_plus_plus(self, alpha: float, steps: int, after: int) -> Weights:
        assert after == 0
        return self.row_multi_step_loss(alpha, steps)

    # The outer loop.

    def row_softmax_weights(self, alpha: float, steps: int, temperature: float) -> Weights:
        gradients, losses = self.mamls(alpha, steps)
        grown = [math.exp(loss / temperature) for loss in losses]
        return self.combined(gradients, [w / sum(grown) for w in grown])

    def row_robust(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)  # no task has been found worse than another yet

    def row_learned_weights(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)  # all noise levels begin equal

    def row_amfs_weights(self, alpha: float, steps: int, temperature: float) -> Weights:
        gradients, _ = self.mamls(alpha, steps)
        mean = self.combined(gradients, [1 / self.count] * self.count)
        cosines = [_dot(g, mean) / (_dot(g, g) * _dot(mean, mean)).sqrt() for g in gradients]
        grown = [math.exp(c / temperature) for c in cosines]
        return self.combined(gradients, [w / sum(grown) for w in grown])

    def row_conflict_averse(self, alpha: float, steps: int, c: float) -> Weights:
        gradients, _ = self.mamls(alpha, steps)
        gram = torch.tensor([[float(_dot(g, h)) for h in gradients] for g in gradients], dtype=torch.float64)
        return self.combined(gradients, conflict_averse_weights(gram, c))

    def row_moml(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)  # a task that is met for the first time is remembered as it is solved

    def row_moml_v2(self, alpha: float, steps: int) -> Weights:
        return self.row_maml(alpha, steps)

    def row_local_moml(self, alpha: float, steps: int, local_steps: int, beta: float, rate: float) -> Weights:
        def of_task(task: Task) -> Weights:
            w, memory = self.theta(), None
            sets = zip(_parts(task.support, local_steps), _parts(task.query, local_steps), strict=True)
            for support, query in sets:
                part = task._replace(support=support, query=query)
                *_, phi = descend(part.on_support, w, alpha, steps)
                solved = _constant(phi)
                memory = solved if memory is None else {n: (1 - rate) * memory[n] + rate * solved[n] for n in solved}
                u = _leaf(memory)
                q = _slope(part.on_query(u), u)
                gradient = _slope(_dot(phi, q), w)
                w = _leaf({n: w[n] - beta * gradient[n] for n in w})
            return {n: (start - w[n].detach()) / beta for n, start in learned(self.net).items()}

        return self.mean(of_task)

    # Random solutions.

    def row_sgld(self, alpha: float, steps: int, lam: float, temperature: float, last: int) -> Weights:
        drawn = self.draws(torch.randn, 1, list(learned(self.net)), steps)

        def of_task(b: int) -> Weights:
            theta = self.theta()
            path = self._langevin(self.tasks[b], theta, alpha, lam, temperature, [at[b] for at in drawn], graph=True)
            judged = path[1:][-last:]
            return _slope(sum(self.tasks[b].on_query(phi) for phi in judged) / len(judged), theta)

        return self.combined([of_task(b) for b in range(self.count)], [1 / self.count] * self.count)

    def row_sgld_score(self, alpha: float, steps: int, lam: float, temperature: float, paths: int) -> Weights:
        drawn = self.draws(torch.randn, paths, list(learned(self.net)), steps)

        def of_task(b: int) -> Weights:
            task, ends, losses = self.tasks[b], [], []
            for path in range(paths):
                noise = [at[path * self.count + b] for at in drawn]
                ends.append(self._langevin(task, self.theta(), alpha, lam, temperature, noise, graph=False)[-1])
                losses.append(float(task.on_query(ends[-1])))
            mean = sum(losses) / paths
            middle = {n: sum(end[n] for end in ends) / paths for n in ends[0]}
            pairs = list(zip(losses, ends, strict=True))
            return {
                n: lam / temperature * sum((loss - mean) * (end[n] - middle[n]) for loss, end in pairs) / (paths - 1)
                for n in middle
            }

        return self.combined([_constant(of_task(b)) for b in range(self.count)], [1 / self.count] * self.count)

    def _langevin(
        self,
        task: Task,
        theta: Weights,
        alpha: float,
        lam: float,
        temperature: float,
        noise: list[Weights],
        graph: bool,
    ) -> list[Weights]:
        """phi - alpha grad F(phi) + sqrt(2 alpha T) xi, from theta on."""
        path = [theta]
        for xi in noise:
            (step,) = list(descend(_pulled(task, theta, lam), path[-1], alpha, 1, graph=graph))[1:]
            path.append({n: t + math.sqrt(2 * alpha * temperature) * xi[n] for n, t in step.items()})
        return path

    def row_evograd(
        self, alpha: float, steps: int, lam: float, candidates: int, sigma: float, temperature: float
    ) -> Weights:
        (drawn,) = self.draws(torch.randn, candidates, list(learned(self.net)))

        def of_task(b: int) -> Weights:
            task, theta = self.tasks[b], self.theta()
            *_, phi = descend(_pulled(task, theta, lam), theta, alpha, steps, graph=False)
            phi = _constant(phi)
            around = [
                {n: t + sigma * drawn[k * self.count + b][n].sign() for n, t in phi.items()} for k in range(candidates)
            ]
            grown = torch.stack([torch.exp(-_pulled(task, theta, lam)(at) / temperature) for at in around])
            v = grown / grown.sum()
            mixed = {n: sum(w * at[n] for w, at in zip(v, around, strict=True)) for n in phi}
            return _slope(task.on_query(mixed), theta)

        return self.combined([of_task(b) for b in range(self.count)], [1 / self.count] * self.count)

    def row_es_maml(self, alpha: float, steps: int, pairs: int, sigma: float) -> Weights:
        theta = learned(self.net)
        torch.manual_seed(self.seed)
        total = sum(t.numel() for t in theta.values())
        drawn = torch.randn(self.count, total, pairs, dtype=next(iter(theta.values())).dtype)

        def of_task(b: int) -> Weights:
            gradient = {n: torch.zeros_like(t) for n, t in theta.items()}
            for k in range(pairs):
                pieces = drawn[b, :, k].split([t.numel() for t in theta.values()])
                e = {n: piece.view_as(t) for (n, t), piece in zip(theta.items(), pieces, strict=True)}
                ahead, behind = (
                    self._adapted_loss(
                        self.tasks[b], {n: t + side * sigma * e[n] for n, t in theta.items()}, alpha, steps
                    )
                    for side in (1, -1)
                )
                gradient = {n: g + (ahead - behind) / (2 * pairs * sigma) * e[n] for n, g in gradient.items()}
            return gradient

        return self.combined([of_task(b) for b in range(self.count)], [1 / self.count] * self.count)

    def _adapted_loss(self, task: Task, start: Weights, alpha: float, steps: int) -> float:
        *_, phi = descend(task.on_support, _leaf(start), alpha, steps, graph=False)
        return float(task.on_query(phi).detach())


def descend(
    objective: Callable[[Weights], Tensor],
    start: Weights,
    alpha: float,
    steps: int,
    *,
    graph: bool = True,
    adapts: Callable[[int], list[str]] | None = None,
    change: Callable[[int, Weights, Weights], Weights] | None = None,
) -> Iterator[Weights]:
    """phi <- phi - alpha g from ``start`` on: every point on the way, the first included.

    ``adapts(step)`` names the weights that take the step, ``change(step, phi, g)`` gives other gradients, and without
    ``graph`` the points are constants.
    """
    phi = start if graph else _leaf(start)
    yield phi
    for step in range(steps):
        # Copies, so that the gradient by one weight does not pass through another that was computed from it.
        phi = {n: t.clone() for n, t in phi.items()} if graph else _leaf(phi)
        names = list(phi) if adapts is None else adapts(step)
        gradients = _slope(objective(phi), {n: phi[n] for n in names}, graph=graph or change is not None, none=True)
        gradients = {n: g for n, g in gradients.items() if g is not None}
        if change is not None:
            gradients = change(step, phi, gradients)
        phi = phi | {n: phi[n] - alpha * g for n, g in gradients.items()}
        phi = phi if graph else _constant(phi)
        yield phi


def conflict_averse_weights(gram: Tensor, c: float) -> list[float]:
    """1/B + c ||g_0|| / ||g_v|| v, where v in the simplex makes <g_v, g_0> + c ||g_0|| ||g_v|| smallest.

    Exactly: on the face of the simplex where some v are not zero, G v r / ||g_v|| = m - h for some number m, with
    h = G 1/B and r = c ||g_0||. So v is proportional to m a - b with a = G^-1 1 and b = G^-1 h, and
    ||g_v||^2 = v^T G v leaves a quadratic equation for m. The best of all faces is the minimum.
    """
    count = len(gram)
    h = gram.mean(1)
    r = c * h.mean().sqrt()
    best, found = math.inf, None
    for size in range(1, count + 1):
        for face in combinations(range(count), size):
            on = list(face)
            inner, ones = gram[on][:, on], torch.ones(size, dtype=gram.dtype)
            a, b = torch.linalg.solve(inner, ones), torch.linalg.solve(inner, h[on])
            root = (ones @ b) ** 2 - (ones @ a) * (h[on] @ b - r**2)
            if root < 0:
                continue
            for sign in (1, -1):
                v = (((ones @ b) + sign * root.sqrt()) / (ones @ a)) * a - b
                v = v / v.sum()
                if (v < 0).any():
                    continue
                whole = torch.zeros(count, dtype=gram.dtype)
                whole[on] = v
                value = float(whole @ h + r * (whole @ gram @ whole).sqrt())
                if value < best:
                    best, found = value, whole
    length = (found @ gram @ found).sqrt()
    return [float(1 / count + r / length * v) for v in found]


def finite_difference(
    net: nn.Module,
    loss: Callable[[Any, Tensor], Tensor],
    tasks: Any,
    ways: list[Weights],
    *,
    alpha: float = ALPHA,
    steps: int = STEPS,
    size: float = 1e-4,
) -> list[float]:
    """How fast MAML's objective changes along some ways through the weights, by differences of its values alone.

    The weights of the network itself are set, in place, and put back afterwards: the network is called as its author
    calls it, and gradient descent is ``loss.backward()`` and a subtraction. Six values along each way leave an error of
    the order size^6.
    """
    weights = {name: p for name, p in net.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in weights.items()}

    def at(way: Weights, distance: float) -> float:
        total = 0.0
        for b in range(len(tasks.index)):
            with torch.no_grad():
                for name, p in weights.items():
                    p.copy_(start[name] + distance * way[name])
            for _ in range(steps):
                judge(tasks.support, b).backward()
                with torch.no_grad():
                    for p in weights.values():
                        if p.grad is not None:
                            p.sub_(alpha * p.grad)
                            p.grad = None
            total += float(judge(tasks.query, b).detach())
        return total / len(tasks.index)

    def judge(data: Any, b: int) -> Tensor:
        x = _task(data.x, b)
        return loss(net(*x) if isinstance(x, tuple) else net(x), data.y[b])

    try:
        return [
            sum(c * (at(way, k * size) - at(way, -k * size)) for k, c in ((1, 45), (2, -9), (3, 1))) / (60 * size)
            for way in ways
        ]
    finally:
        with torch.no_grad():
            for name, p in weights.items():
                p.copy_(start[name])


# Kernels of PyTorch that have no right derivative of every order, spelled out.


@contextmanager
def spelled_out() -> Iterator[None]:
    """Have norms and attentions computed by plain arithmetic, also where the network calls the functions itself."""
    before = [(place, name, getattr(place, name)) for place, name, _ in PLAIN]
    for place, name, plain in PLAIN:
        setattr(place, name, plain)
    try:
        yield
    finally:
        for place, name, function in before:
            setattr(place, name, function)


def _normalised(x: Tensor, axes: list[int], eps: float) -> Tensor:
    away = x - x.mean(axes, keepdim=True)
    return away / (away.square().mean(axes, keepdim=True) + eps).sqrt()


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: list[int]) -> Tensor:
    x = x if weight is None else x * weight.view(shape)
    return x if bias is None else x + bias.view(shape)


def _per_channel(x: Tensor) -> list[int]:
    return [-1 if axis == 1 else 1 for axis in range(x.ndim)]


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = list(range(-len(normalized_shape), 0))
    return _scaled(_normalised(x, axes, eps), weight, bias, list(normalized_shape))


def rms_norm(x, normalized_shape, weight=None, eps=None):
    axes = list(range(-len(normalized_shape), 0))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _scaled(x / (x.square().mean(axes, keepdim=True) + eps).sqrt(), weight, None, list(normalized_shape))


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    groups = x.reshape(len(x), num_groups, -1)
    return _scaled(_normalised(groups, [2], eps).view_as(x), weight, bias, _per_channel(x))


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if not training:
        mean, variance = (known.view(_per_channel(x)) for known in (running_mean, running_var))
        return _scaled((x - mean) / (variance + eps).sqrt(), weight, bias, _per_channel(x))
    return _scaled(_normalised(x, [axis for axis in range(x.ndim) if axis != 1], eps), weight, bias, _per_channel(x))


def instance_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    assert use_input_stats
    return _scaled(_normalised(x, list(range(2, x.ndim)), eps), weight, bias, _per_channel(x))


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    assert dropout_p == 0
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    grown = (scores - scores.detach().amax(-1, keepdim=True)).exp()
    return grown / grown.sum(-1, keepdim=True) @ value


def weight_norm(v, g, dim=0):
    axes = [axis for axis in range(v.ndim) if axis != dim % v.ndim]
    return v * (g / v.square().sum(axes, keepdim=True).sqrt())


def embedding_bag(
    input, weight, offsets, max_norm, norm_type, by_frequency, mode, sparse, per_sample, last_offset, padding_idx
):
    """The mean over words by how often each is in the bag."""
    assert (offsets, max_norm, per_sample, mode) == (None, None, None, "mean")
    often = F.one_hot(input, len(weight)).sum(1).to(weight.dtype)
    often = often if padding_idx is None else often * (torch.arange(len(weight)) != padding_idx)
    return often @ weight / often.sum(1, keepdim=True).clamp(min=1)


def cdist(one, other, p=2.0):
    """By the squares alone, and 0 for points that are the same."""
    assert p == 2
    squares = (one[:, None] - other[None]).square().sum(-1)
    return torch.where(squares > 0, squares.where(squares > 0, torch.ones_like(squares)).sqrt(), 0)


PLAIN: list[tuple[Any, str, Callable]] = [
    *(
        (F, function.__name__, function)
        for function in (layer_norm, rms_norm, group_norm, batch_norm, instance_norm, scaled_dot_product_attention)
    ),
    (F, "embedding_bag", embedding_bag),
    (torch, "cdist", cdist),
    (torch, "_weight_norm", weight_norm),
    (sys.modules["torch.nn.utils.weight_norm"], "_weight_norm", weight_norm),
]
"""Where the kernels are looked up, and what stands in for them."""


# Small change.


def _slope(value: Tensor, by: Weights, *, graph: bool = False, none: bool = False, keep: bool = False) -> Any:
    """The derivative of a number by each weight: zero, or with ``none`` None, where it does not depend on it."""
    if not value.requires_grad or not by:
        return {n: None if none else torch.zeros_like(t) for n, t in by.items()}
    found = torch.autograd.grad(
        value, list(by.values()), create_graph=graph, retain_graph=graph or keep, allow_unused=True
    )
    if none:
        return dict(zip(by, found, strict=True))
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(by.items(), found, strict=True)}


def _jacobian(y_hat: Any, by: Weights) -> Tensor:
    """The derivative of every output by every weight, (outputs, weights), itself to be differentiated."""
    outputs = torch.cat([leaf.flatten() for leaf in tree_leaves(y_hat)])
    rows = [_slope(output, by, graph=True) for output in outputs]
    return torch.stack([torch.cat([g.flatten() for g in row.values()]) for row in rows])


def _loss_hessian(loss: Callable, y_hat: Any, y: Tensor) -> Tensor:
    """The second derivative of the loss by the outputs, row by row, itself to be differentiated."""
    parts = tree_map(lambda leaf: leaf.clone(), y_hat)
    leaves = tree_leaves(parts)
    slopes = _slope(loss(parts, y), dict(enumerate(leaves)), graph=True)
    return _jacobian(list(slopes.values()), dict(enumerate(leaves)))


def _pulled(task: Task, theta: Weights, lam: float) -> Callable[[Weights], Tensor]:
    """The support loss and lam / 2 times the squared distance from theta."""

    def objective(phi: Weights) -> Tensor:
        away = {n: phi[n] - theta[n] for n in theta}
        return task.on_support(phi) + lam / 2 * _dot(away, away)

    return objective


def _dot(u: Weights, v: Weights) -> Tensor:
    return sum((u[n] * v[n]).sum() for n in u)


def _constant(phi: Weights) -> Weights:
    return {n: t.detach() for n, t in phi.items()}


def _leaf(phi: Weights) -> Weights:
    return {n: t.detach().clone().requires_grad_() for n, t in phi.items()}


def _targets(y_hat: Tensor, y: Tensor) -> Tensor:
    """Targets of a squared loss: y itself, or a 1 for the right class."""
    return y if y.is_floating_point() else F.one_hot(y, y_hat.shape[-1]).to(y_hat.dtype)


def _of_context(name: str) -> bool:
    return name.startswith("context.")


def _task(x: Any, b: int) -> Any:
    return tree_map(lambda leaf: leaf[b], x)


def _parts(examples: tuple[Any, Tensor], count: int) -> list[tuple[Any, Tensor]]:
    """The examples of one set in so many parts, as equal as can be."""
    x, y = examples
    cuts = [part.tolist() for part in torch.arange(len(y)).tensor_split(count)]
    return [(tree_map(lambda leaf, cut=cut: leaf[cut], x), y[cut]) for cut in cuts]
