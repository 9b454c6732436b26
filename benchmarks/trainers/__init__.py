"""A whole meta-training by each library, as its own users would write the loop.

A trainer is a function ``prepare(job)`` that gives an object with two methods, each of which returns weights in the
order of ``net.parameters()``, in whatever arrays the library has:

- ``train(steps)`` goes on for so many meta-steps, from the job's weights at first and then from where it stands. Every
  meta-step draws tasks of its own, waves as ``mamlbook.Sinusoids`` draws them, as many and of such sizes as the job's;
- ``follow(jobs)`` begins anew from the job's weights and takes one meta-step on the tasks of each of these jobs.

The outer rule is Adam as PyTorch has it, at the rate ``BETA``. Where the job has several replicas, arrays have an axis
for them in front, and each draws tasks of its own.
"""

from __future__ import annotations

from benchmarks.contenders import Contender

BETA = 1e-3

TRAINERS = {
    "mamlbook": Contender("benchmarks.trainers.mamlbook:eager", replicas=True),
    "mamlbook compiled": Contender("benchmarks.trainers.mamlbook:compiled", replicas=True),
    "higher": Contender("benchmarks.trainers.loops:higher"),
    "torch.func compiled": Contender("benchmarks.trainers.loops:torch_func"),
    "JAX": Contender("benchmarks.trainers.jax:prepare", replicas=True),
}
