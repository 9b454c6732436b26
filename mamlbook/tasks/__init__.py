"""Where learning problems come from."""

from mamlbook.tasks.base import Data, Fixed, SupportOnly, TaskDistribution, Tasks, never_again, require_tasks
from mamlbook.tasks.collection import WaveCollection
from mamlbook.tasks.families import Drifting, Lines, Mixture, Signs, SquareWaves
from mamlbook.tasks.glyphs import glyph_split, glyphs
from mamlbook.tasks.images import Episodes, Pool
from mamlbook.tasks.omniglot import background, evaluation, omniglot, paper_split
from mamlbook.tasks.quadratic import ClosedForm, LinearRegression, Quadratics, half_squared_error
from mamlbook.tasks.sinusoid import Sinusoids

__all__ = [
    "ClosedForm",
    "Data",
    "Drifting",
    "Episodes",
    "Fixed",
    "LinearRegression",
    "Lines",
    "Mixture",
    "Pool",
    "Quadratics",
    "Signs",
    "Sinusoids",
    "SquareWaves",
    "SupportOnly",
    "TaskDistribution",
    "Tasks",
    "WaveCollection",
    "background",
    "evaluation",
    "glyph_split",
    "glyphs",
    "half_squared_error",
    "never_again",
    "omniglot",
    "paper_split",
    "require_tasks",
]
