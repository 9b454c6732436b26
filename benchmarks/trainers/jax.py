"""JAX: a whole meta-training as one ``jit(lax.scan(...))``, draws and Adam included."""

from __future__ import annotations

import math
import os
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.contenders.jax import convolved, meta_gradient
from benchmarks.job import Job
from benchmarks.trainers import BETA

# Compiled code is kept where PyTorch's is, however quickly it came, so that a second start can be told from the first.
jax.config.update("jax_compilation_cache_dir", os.environ.get("TORCHINDUCTOR_CACHE_DIR"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
# A GPU's matrix products round to ten bits by default; no contender may.
jax.config.update("jax_default_matmul_precision", "highest")

DECAY, SQUARED_DECAY, EPSILON = 0.9, 0.999, 1e-8  # those of torch.optim.Adam


class State(NamedTuple):
    """The weights, Adam's means of gradients and of their squares, the number of steps."""

    theta: list
    mean: list
    squared: list
    steps: jax.Array


def prepare(job: Job) -> Scan:
    """``jit(lax.scan(...))`` over meta-steps; for several replicas, ``jit(vmap(...))`` of it."""
    return Scan(job)


class Scan:
    """States with the keys of their draws; with replicas all arrays have an axis for them in front."""

    def __init__(self, job: Job):
        self.job, self.replicas = job, job.workload.replicas
        self.device = jax.devices("gpu" if job.device == "cuda" else "cpu")[0]
        self.gradient = meta_gradient(job, convolved)
        key = jax.random.key(0)
        keys = key if self.replicas == 1 else jax.random.split(key, self.replicas)
        self.carry = jax.device_put(keys, self.device), self._begun()
        self.run = jax.jit(self._scanned, static_argnums=1)
        self.update = jax.jit(self._mapped(self._updated, 0, None))

    def train(self, steps: int) -> list:
        self.carry, losses = self.run(self.carry, steps)
        jax.block_until_ready(losses)
        return self.carry[1].theta

    def follow(self, jobs: list[Job]) -> list:
        state = self._begun()
        for job in jobs:
            state, _ = self.update(state, tuple(jax.device_put(t, self.device) for t in (*job.support, *job.query)))
        return state.theta

    def _begun(self) -> State:
        theta = [jax.device_put(t, self.device) for t in self.job.theta]
        zeros = [jnp.zeros_like(t) for t in theta]
        return State(theta, zeros, zeros, jnp.zeros((self.replicas,) if self.replicas > 1 else ()))

    def _mapped(self, function, *axes):
        """The function for every replica at once; ``axes`` are those of ``vmap``."""
        return function if self.replicas == 1 else jax.vmap(function, axes)

    def _scanned(self, carry, steps: int):
        return self._mapped(partial(jax.lax.scan, self._step, xs=None, length=steps), 0)(carry)

    def _step(self, carry, _):
        key, state = carry
        key, now = jax.random.split(key)
        state, loss = self._updated(state, self._drawn(now))
        return (key, state), loss

    def _drawn(self, key) -> tuple:
        """Waves as ``mamlbook.Sinusoids`` draws them: support x and y, query x and y."""
        tasks, shots, queries = (self.job.workload.tasks, self.job.support.x.shape[1], self.job.query.x.shape[1])
        heights, shifts, places = jax.random.split(key, 3)
        amplitude = jax.random.uniform(heights, (tasks, 1, 1), minval=0.1, maxval=5.0)
        phase = jax.random.uniform(shifts, (tasks, 1, 1), maxval=math.pi)
        x = jax.random.uniform(places, (tasks, shots + queries, 1), minval=-5.0, maxval=5.0)
        y = amplitude * jnp.sin(x - phase)
        return x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:]

    def _updated(self, state: State, tasks: tuple) -> tuple[State, jax.Array]:
        """One step of Adam along the meta-gradient, and the mean query loss."""
        loss, gradient = self.gradient(state.theta, *tasks)
        steps = state.steps + 1
        mean = [DECAY * m + (1 - DECAY) * g for m, g in zip(state.mean, gradient, strict=True)]
        squared = [
            SQUARED_DECAY * s + (1 - SQUARED_DECAY) * g * g for s, g in zip(state.squared, gradient, strict=True)
        ]
        rate, root = BETA / (1 - DECAY**steps), jnp.sqrt(1 - SQUARED_DECAY**steps)
        theta = [
            t - rate * m / (jnp.sqrt(s) / root + EPSILON) for t, m, s in zip(state.theta, mean, squared, strict=True)
        ]
        return State(theta, mean, squared, steps), loss
