"""JAX: ``jit`` of the gradient of a ``vmap`` of gradients, or of a scan over tasks."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.contenders import Step
from benchmarks.job import Job

UNROLLED = 16  # inner steps up to which the loop is written out; beyond, ``lax.scan`` keeps compilation short


def prepare(job: Job) -> Step:
    """``jit(value_and_grad(mean of vmap))``; for convolutions ``lax.scan`` over tasks, which XLA runs faster on a CPU.

    Under ``vmap`` every task's own kernel would make them grouped convolutions. Channels come last, as XLA likes it.
    """
    return _jitted(job, convolved)


def im2col(job: Job) -> Step:
    """The same with each convolution written as the matrix product that it is, on nine shifted copies of the image."""
    return _jitted(job, _multiplied)


def _jitted(job: Job, convolution: Callable) -> Step:
    jax.config.update("jax_enable_x64", job.dtype == "float64")
    # A GPU's matrix products round to ten bits by default; no contender may.
    jax.config.update("jax_default_matmul_precision", "highest")
    device = jax.devices("gpu" if job.device == "cuda" else "cpu")[0]
    theta = [jax.device_put(t, device) for t in job.theta]
    tasks = [jax.device_put(t, device) for t in (*job.support, *job.query)]
    run = jax.jit(meta_gradient(job, convolution))

    def step():
        loss, gradients = run(theta, *tasks)
        return gradients, loss

    return step


def meta_gradient(job: Job, convolution: Callable) -> Callable:
    """The mean query loss and the meta-gradient as a function of theta and of the four arrays of the tasks."""
    workload = job.workload
    loop = workload.convolutional and job.device == "cpu"
    network = _conv4(workload.network == "conv4-max", convolution) if workload.convolutional else _mlp
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

    def query(theta, xs, ys, xq, yq):
        return objective(adapted(theta, xs, ys), xq, yq)

    def mean_query(theta, *tasks):
        return jax.vmap(query, (None, 0, 0, 0, 0))(theta, *tasks).mean()

    def reptile(theta, *tasks):
        def one(xs, ys, xq, yq):
            phi = adapted(theta, xs, ys)
            return objective(phi, xq, yq), jax.tree.map(jnp.subtract, theta, phi)

        return jax.tree.map(lambda each: each.mean(0), jax.vmap(one)(*tasks))

    def one_by_one(theta, *tasks):
        def add(total, task):
            return jax.tree.map(jnp.add, total, jax.value_and_grad(query)(theta, *task)), None

        zero = jnp.zeros((), theta[0].dtype), jax.tree.map(jnp.zeros_like, theta)
        total, _ = jax.lax.scan(add, zero, tasks)
        return jax.tree.map(lambda each: each / workload.tasks, total)

    if workload.method == "reptile":
        return reptile
    return one_by_one if loop else jax.value_and_grad(mean_query)


def _mlp(theta, x):
    *hidden, head = zip(theta[::2], theta[1::2], strict=True)
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight.T + bias)
    return x @ head[0].T + head[1]


def _conv4(pool: bool, convolution: Callable) -> Callable:
    """The network of ``mamlbook.networks.conv4``, its weights in PyTorch's order and layout."""

    def forward(theta, x):
        x = x.transpose(0, 2, 3, 1)
        for block in range(4):
            weight, bias, gain, offset = theta[4 * block : 4 * block + 4]
            x = convolution(x, weight.transpose(2, 3, 1, 0), 1 if pool else 2) + bias
            x = x - x.mean((0, 1, 2))
            x = x * jax.lax.rsqrt(jnp.square(x).mean((0, 1, 2)) + 1e-5) * gain + offset
            x = jax.nn.relu(x)
            if pool:
                x = _pooled(x)
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1) @ theta[16].T + theta[17]

    return forward


def _pooled(x):
    """The maximum of 2 x 2 pixels, taken by pairs: compiled, the second derivative of ``max`` over axes came as nan."""
    side = x.shape[1] // 2
    corners = [x[:, i : 2 * side : 2, j : 2 * side : 2] for i in (0, 1) for j in (0, 1)]
    return jnp.maximum(jnp.maximum(*corners[:2]), jnp.maximum(*corners[2:]))


def convolved(x, kernel, stride: int):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _multiplied(x, kernel, stride: int):
    side = (x.shape[1] + stride - 1) // stride
    x, reach = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), stride * (side - 1) + 1
    shifted = [x[:, i : i + reach : stride, j : j + reach : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, -1) @ kernel.reshape(-1, kernel.shape[-1])


def _squared_error(y_hat, y):
    return jnp.square(y_hat - y).mean()


def _cross_entropy(y_hat, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(y_hat), y[:, None], 1).mean()
