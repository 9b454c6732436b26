"""A sine network adapting to a few points of a wave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mamlbook.learner import MetaLearner
from mamlbook.pages.figures.styling import COLOURS, INK, NAMES, drawing, line
from mamlbook.tasks.sinusoid import Sinusoids


def adaptation(
    learners: MetaLearner | Mapping[str, MetaLearner],
    waves: Sinusoids,
    *,
    seed: int = 0,
    steps: Sequence[int] = (0, 1, 10),
) -> Figure:
    """One wave, its support points, and the network after each of ``steps`` inner steps; one panel a learner.

    ``learners`` is one learner, or several by role (a key of ``figures.styling.COLOURS``).
    """
    panels = {"maml": learners} if isinstance(learners, MetaLearner) else learners
    support, query, _ = replace(waves, queries=400).draw(1, torch.Generator().manual_seed(seed))
    order = query.x[0, :, 0].argsort()
    x, y = query.x[:, order], query.y[:, order]
    with drawing(3.4 * len(panels) if len(panels) > 1 else 5.4, 3.4, columns=len(panels), sharey=True) as (fig, axes):
        for ax, (role, learner) in zip([axes] if len(panels) == 1 else axes, panels.items(), strict=True):
            ax.plot(x[0, :, 0], y[0, :, 0], label="wave", **line("truth"))
            for step, weight in zip(steps, torch.linspace(0.3, 1, len(steps)), strict=True):
                adapted = learner.adapt(support, steps=step)
                y_hat = adapted.predict(adapted.phi, x.to(learner.model.theta[0])).detach().cpu()
                label = f"{step} step" + ("" if step == 1 else "s")
                ax.plot(x[0, :, 0], y_hat[0, :, 0], color=line(role)["color"], alpha=weight.item(), label=label)
            ax.plot(support.x[0, :, 0], support.y[0, :, 0], "o", color=COLOURS["support"], label="points")
            ax.set(title=NAMES[role], xlabel="x", ylabel="y" if ax is fig.axes[0] else "")
        handles, labels = ax.get_legend_handles_labels()
        # One legend for all panels: the shades mean the steps, whatever the colour.
        handles = [_in_ink(handle) for handle in handles]
        fig.legend(handles, labels, loc="outside lower center", ncols=len(labels), columnspacing=1.1, handlelength=1.4)
    return fig


def _in_ink(handle: Line2D) -> Line2D:
    entry = copy(handle)
    entry.set_color(INK)
    return entry
