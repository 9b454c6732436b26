"""One function per kind of picture, still or interactive; a notebook cell that ends with one shows it.

Beside them are the readers of the stored results that a single picture is made for.
"""

from mamlbook.pages.figures.curves import bars, curve, steps
from mamlbook.pages.figures.diagrams import episode, two_loops, unrolled
from mamlbook.pages.figures.fitted_waves import fits
from mamlbook.pages.figures.gradient_conflict import conflict
from mamlbook.pages.figures.limits import sensitivity, tracking
from mamlbook.pages.figures.panel_grid import panels
from mamlbook.pages.figures.race_chart import race, recall_times
from mamlbook.pages.figures.regression import adaptation
from mamlbook.pages.figures.row_table import rows
from mamlbook.pages.figures.scaling_charts import scaling, widths
from mamlbook.pages.figures.settings import dots, heat
from mamlbook.pages.figures.widgets.arrows import gradient_arrows
from mamlbook.pages.figures.widgets.comparison import field_comparison
from mamlbook.pages.figures.widgets.context import attention_context
from mamlbook.pages.figures.widgets.cost import cost_explorer
from mamlbook.pages.figures.widgets.crossover import crossover_explorer, crossover_table, recall_crossover
from mamlbook.pages.figures.widgets.diagnosis import failure_diagnosis
from mamlbook.pages.figures.widgets.diversity import diversity_dial, recall_dial
from mamlbook.pages.figures.widgets.doctor import run_doctor
from mamlbook.pages.figures.widgets.drawing import draw_characters
from mamlbook.pages.figures.widgets.drift import moving_target
from mamlbook.pages.figures.widgets.floor import noise_floor
from mamlbook.pages.figures.widgets.guide import algorithm_guide
from mamlbook.pages.figures.widgets.kink import kink_figure
from mamlbook.pages.figures.widgets.memory import memory_of_solutions
from mamlbook.pages.figures.widgets.navigation import plane_navigation
from mamlbook.pages.figures.widgets.pattern import adaptation_pattern
from mamlbook.pages.figures.widgets.prior import prior_of_steps
from mamlbook.pages.figures.widgets.protocol import tasks_needed
from mamlbook.pages.figures.widgets.pull import proximal_pull
from mamlbook.pages.figures.widgets.quiz import select_all
from mamlbook.pages.figures.widgets.rates import rate_slopes
from mamlbook.pages.figures.widgets.ridge import solved_head
from mamlbook.pages.figures.widgets.scrubber import training_scrubber
from mamlbook.pages.figures.widgets.searches import field_searches
from mamlbook.pages.figures.widgets.sine import sine_adaptation
from mamlbook.pages.figures.widgets.truncation import truncated_steps
from mamlbook.pages.figures.widgets.two_tasks import two_tasks_figure
from mamlbook.pages.figures.widgets.verdicts import network_verdicts
from mamlbook.pages.figures.widgets.weights import weights_figure

__all__ = [
    "adaptation",
    "adaptation_pattern",
    "algorithm_guide",
    "attention_context",
    "bars",
    "conflict",
    "cost_explorer",
    "crossover_explorer",
    "crossover_table",
    "curve",
    "diversity_dial",
    "dots",
    "draw_characters",
    "episode",
    "failure_diagnosis",
    "field_comparison",
    "field_searches",
    "fits",
    "gradient_arrows",
    "heat",
    "kink_figure",
    "memory_of_solutions",
    "moving_target",
    "network_verdicts",
    "noise_floor",
    "panels",
    "plane_navigation",
    "prior_of_steps",
    "proximal_pull",
    "race",
    "rate_slopes",
    "recall_crossover",
    "recall_dial",
    "recall_times",
    "rows",
    "run_doctor",
    "scaling",
    "select_all",
    "sensitivity",
    "sine_adaptation",
    "solved_head",
    "steps",
    "tasks_needed",
    "tracking",
    "training_scrubber",
    "truncated_steps",
    "two_loops",
    "two_tasks_figure",
    "unrolled",
    "weights_figure",
    "widths",
]
