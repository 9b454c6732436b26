"""JAX: ``jit`` of the gradient of a ``vmap`` of gradients."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.contenders import Step
from benchmarks.job import Job

UNROLLED = 16  # inner steps up to which the loop is written out; beyond, ``lax.scan`` keeps compilation short


def prepare(job: Job) -> Step:
    """``jit(value_and_grad(mean of vmap))`` for the perceptron; for convolutions ``lax.map`` takes vmap's place.

    One task after the other keeps them ordinary convolutions: under ``vmap`` every task's own kernel makes them grouped
    ones, which XLA runs more slowly on a CPU.
    """
    jax.config.update("jax_enable_x64", job.dtype == "float64")
    device = jax.devices("gpu" if job.device == "cuda" else "cpu")[0]
    theta = [jax.device_put(t, device) for t in job.theta]
    tasks = [jax.device_put(t, device) for t in (*job.support, *job.query)]
    run = jax.jit(meta_gradient(job))

    def step():
        loss, gradients = run(theta, *tasks)
        return gradients, loss

    return step


def meta_gradient(job: Job) -> Callable:
    """The mean query loss and the meta-gradient as a function of theta and of the four arrays of the tasks."""
    workload = job.workload
    network = _conv4(workload.network == "conv4-max") if workload.convolutional else _mlp
    loss = _cross_entropy if workload.convolutional else _squared_error

    def objective(phi, x, y):
        return loss(network(phi, x), y)

    def descended(phi, x, y):
        slope = jax.grad(objective)(phi, x, y)
        if workload.method != "maml":
            slope = jax.lax.stop_gradient(slope)
        return jax.tree.map(lambda p, g: p - workload.alpha * g, phi, slope)

    def adapted(theta, x, y):
        if workload.steps > UNROLLED:
            return jax.lax.scan(lambda phi, _: (descended(phi, x, y), None), theta, None, workload.steps)[0]
        phi = theta
        for _ in range(workload.steps):
            phi = descended(phi, x, y)
        return phi

    def over_tasks(function, *tasks):
        if workload.convolutional:
            return jax.lax.map(lambda task: function(*task), tasks)
        return jax.vmap(function)(*tasks)

    def mean_query(theta, *tasks):
        return over_tasks(lambda xs, ys, xq, yq: objective(adapted(theta, xs, ys), xq, yq), *tasks).mean()

    def reptile(theta, *tasks):
        def one(xs, ys, xq, yq):
            phi = adapted(theta, xs, ys)
            return objective(phi, xq, yq), jax.tree.map(jnp.subtract, theta, phi)

        losses, ways = over_tasks(one, *tasks)
        return losses.mean(), jax.tree.map(lambda way: way.mean(0), ways)

    return reptile if workload.method == "reptile" else jax.value_and_grad(mean_query)


def _mlp(theta, x):
    *hidden, head = zip(theta[::2], theta[1::2], strict=True)
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight.T + bias)
    return x @ head[0].T + head[1]


def _conv4(pool: bool) -> Callable:
    """The network of ``mamlbook.networks.conv4``, its weights in PyTorch's order and layout."""
    stride = 1 if pool else 2

    def forward(theta, x):
        for block in range(4):
            weight, bias, gain, offset = theta[4 * block : 4 * block + 4]
            x = jax.lax.conv_general_dilated(x, weight, (stride, stride), [(1, 1), (1, 1)])
            x = x + bias[:, None, None]
            mean = x.mean((0, 2, 3), keepdims=True)
            variance = jnp.square(x - mean).mean((0, 2, 3), keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(variance + 1e-5) * gain[:, None, None] + offset[:, None, None]
            x = jax.nn.relu(x)
            if pool:
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return x.reshape(len(x), -1) @ theta[16].T + theta[17]

    return forward


def _squared_error(y_hat, y):
    return jnp.square(y_hat - y).mean()


def _cross_entropy(y_hat, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(y_hat), y[:, None], 1).mean()
