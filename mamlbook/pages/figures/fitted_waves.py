"""One task solved from more and more of its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from matplotlib.figure import Figure

from mamlbook.learner import MetaLearner
from mamlbook.pages.figures.styling import COLOURS, drawing, line
from mamlbook.tasks.base import Data
from mamlbook.tasks.sinusoid import Sinusoids


def fits(learner: MetaLearner, waves: Sinusoids, shots: Sequence[int], *, seed: int = 0) -> Figure:
    """One wave, the learner's start, and its solution from the first few points: a panel for each number of points.

    Raises:
        ValueError: a number of points below 1.
    """
    if min(shots) < 1:
        raise ValueError(f"shots: expected numbers of at least 1, got {tuple(shots)}")
    drawn = replace(waves, shots=max(shots), queries=400).draw(1, torch.Generator().manual_seed(seed))
    support, query, _ = drawn
    order = query.x[0, :, 0].argsort()
    x, y = query.x[:, order], query.y[:, order]
    with drawing(6.6, 3.4, columns=len(shots), sharey=True, squeeze=False) as (fig, axes):
        for ax, count in zip(axes[0], shots, strict=True):
            points = Data(*(t[:, :count] for t in support))
            solved = learner.adapt(points)
            ax.plot(x[0, :, 0], y[0, :, 0], label="wave", **line("truth"))
            for label, phi, neutral in (("start", solved.start, "second"), ("solution", solved.phi, "first")):
                y_hat = solved.predict(phi, x.to(learner.model.theta[0])).detach().cpu()
                ax.plot(x[0, :, 0], y_hat[0, :, 0], label=label, **line(neutral))
            ax.plot(points.x[0, :, 0], points.y[0, :, 0], "o", color=COLOURS["support"], label="points")
            ax.set(title=f"{count} point{'s' * (count > 1)}", xlabel="x", xticks=[-5, 0, 5])
        axes[0, 0].set_ylabel("y")
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
