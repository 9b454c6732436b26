"""Figures that answer to the reader's hand, in the built book, in Jupyter and on Colab, without kernel or network."""

from mamlbook.pages.figures.widgets.arrows import gradient_arrows
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.cost import cost_explorer
from mamlbook.pages.figures.widgets.diagnosis import failure_diagnosis
from mamlbook.pages.figures.widgets.diversity import diversity_dial
from mamlbook.pages.figures.widgets.kink import kink_figure
from mamlbook.pages.figures.widgets.pattern import adaptation_pattern
from mamlbook.pages.figures.widgets.pull import proximal_pull
from mamlbook.pages.figures.widgets.sine import sine_adaptation
from mamlbook.pages.figures.widgets.two_tasks import two_tasks_figure
from mamlbook.pages.figures.widgets.weights import weights_figure

__all__ = [
    "Widget",
    "adaptation_pattern",
    "cost_explorer",
    "diversity_dial",
    "failure_diagnosis",
    "gradient_arrows",
    "kink_figure",
    "proximal_pull",
    "sine_adaptation",
    "two_tasks_figure",
    "weights_figure",
    "widget",
]
