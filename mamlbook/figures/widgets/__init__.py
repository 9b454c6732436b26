"""Figures that answer to the reader's hand, in the built book, in Jupyter and on Colab, without kernel or network."""

from mamlbook.figures.widgets.arrows import arrows
from mamlbook.figures.widgets.base import Widget, widget
from mamlbook.figures.widgets.cost import cost_explorer
from mamlbook.figures.widgets.diagnosis import diagnosis
from mamlbook.figures.widgets.diversity import diversity_dial
from mamlbook.figures.widgets.kink import kink
from mamlbook.figures.widgets.pattern import adaptation_pattern
from mamlbook.figures.widgets.pull import pull
from mamlbook.figures.widgets.sine import sine_adaptation
from mamlbook.figures.widgets.two_tasks import two_tasks
from mamlbook.figures.widgets.weights import weights_figure

__all__ = [
    "Widget",
    "adaptation_pattern",
    "arrows",
    "cost_explorer",
    "diagnosis",
    "diversity_dial",
    "kink",
    "pull",
    "sine_adaptation",
    "two_tasks",
    "weights_figure",
    "widget",
]
