"""One task solved from more and more of its points: what is drawn."""

import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import Model, Sinusoids, mlp
from mamlbook.algorithms.closed_form import kernel_ridge
from mamlbook.pages import figures


def test_each_panel_has_its_points_and_a_curve_near_them():
    learner = kernel_ridge(Model(mlp(1, 40, 40, 1, seed=0), mse_loss), lam=1e-6)
    figure = figures.fits(learner, Sinusoids(), (1, 3), seed=2)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["1 point", "3 points"]
    for ax, count in zip(figure.axes, (1, 3), strict=True):
        lines = {entry.get_label(): entry for entry in ax.get_lines()}
        assert list(lines) == ["wave", "start", "solution", "points"]
        px, py = (torch.as_tensor(z) for z in lines["points"].get_data())
        x, y = (torch.as_tensor(z) for z in lines["solution"].get_data())
        assert len(px) == count
        assert (x.diff() >= 0).all()
        nearest = (x[None] - px[:, None]).abs().argmin(1)
        assert (y[nearest] - py).abs().max() < 0.2


def test_refusals():
    learner = kernel_ridge(Model(mlp(1, 4, 1, seed=0), mse_loss))
    with pytest.raises(ValueError, match=r"shots: expected numbers of at least 1, got \(0, 2\)"):
        figures.fits(learner, Sinusoids(), (0, 2))
